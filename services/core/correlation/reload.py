"""Another rule in the place of one that is in force: which of its incidents go on in the new one's."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from services.core.correlation.correlator import Correlator
from services.core.correlation.incident import Incident
from services.core.correlation.ledger import IncidentLedger


def replace_correlators(old: Sequence[Correlator], new: Correlator | None, ledger: IncidentLedger) -> list[Incident]:
    """Puts a correlator in the place of those of the same rule in other versions, and closes them.

    `new` has read what it needs with a ledger of its own; None: the rule is gone. What an old version has found and
    the new one finds too goes on there: it is superseded by the incident that holds its first signal that is in any,
    which takes over what people did. What the new one does not find stays, takes no new signal, and runs out.
    """
    heirs: list[tuple[str, str, int]] = []  # incident, heir, event time at which the incident may be forgotten
    changes: list[Incident] = []
    same: set[str] = set()
    merged: list[str] = []
    if new is not None:
        of_signal = {i: one for _, group in new.found() for i in group.members for one in group.incidents}
        heirs = [found for correlator in old for found in _heirs(correlator, of_signal)]
        merged = ledger.hand_over([(incident_id, heir) for incident_id, heir, _ in heirs])
        joined = new.join(ledger)
        ledger.expect(joined, ())
        for incident in joined:
            same.add(incident.id)
            if incident.id not in ledger.standing or not ledger.repeats(incident):
                changes += ledger.tell(incident, told=incident.revision - 1)
        for incident_id, heir, settled_ms in heirs:
            why = f"version {new.rules[0].version} of its rule"
            changes.append(ledger.end(incident_id, heir, settled_ms, why))
    gone = same | {incident_id for incident_id, _, _ in heirs}
    for correlator in old:
        correlator.close({i for _, group in correlator.found() for i in group.incidents} - gone)
    changes += [version for incident_id in merged for version in ledger.tell_again(incident_id)]
    return changes


def _heirs(old: Correlator, of_signal: dict[str, str]) -> Iterable[tuple[str, str, int]]:
    for graph, group in old.found():
        found = (of_signal.get(node.signal.id) for node in graph.listing(group).nodes)
        heir = next((incident_id for incident_id in found if incident_id is not None), None)
        settled_ms = (old.event_ms or 0) + graph.kept_ms
        yield from ((i, heir, settled_ms) for i in sorted(group.incidents) if heir is not None and heir != i)
