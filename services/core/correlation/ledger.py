"""What was told of every incident: its revisions, its end, and who has taken it over."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from services.core.correlation.incident import Acknowledgement, Incident, IncidentState
from services.core.correlation.state import IncidentRecord

# So long after it was made (by record time) an action still waits for its incident, and so many of them do.
EARLY_ACTION_MS = 86_400_000
MAX_EARLY_ACTIONS = 10_000


class IncidentLedger:
    """Numbers the versions of incidents and folds what people did with them."""

    def __init__(self) -> None:
        self.standing: dict[str, Incident] = {}  # the last version of each
        self._ended: dict[str, IncidentRecord] = {}
        self._taken: dict[str, Acknowledgement] = {}
        self._early: dict[str, Acknowledgement] = {}  # for incidents that are not there yet

    def tell(self, incident: Incident) -> list[Incident]:
        """Gives the next version of an incident that stands, and keeps it."""
        before = self.standing.get(incident.id) or self._ended.pop(incident.id, None)
        versions = [self._next(incident, before.revision if before else 0)]
        if early := self._early.pop(incident.id, None):
            self._taken.setdefault(incident.id, early)
            versions.append(self._next(incident, versions[0].revision))
        self.standing[incident.id] = versions[-1]
        return versions

    def _next(self, incident: Incident, revision: int) -> Incident:
        taken = self._taken.get(incident.id)
        if taken is None:
            return replace(incident, revision=revision + 1)
        state = IncidentState.ACKNOWLEDGED if incident.state is IncidentState.OPEN else incident.state
        return replace(
            incident,
            revision=revision + 1,
            state=state,
            acknowledged_by=taken.actor,
            acknowledge_time_ms=taken.time_ms,
        )

    def hand_over(self, heirs: Iterable[tuple[str, str]]) -> None:
        """(Incident, heir): who has taken an incident over has also taken the one that takes its place."""
        found = [(taken.time_ms, i, heir) for i, heir in heirs if heir and (taken := self._taken.get(i))]
        for _, incident_id, heir in sorted(found):
            self._taken.setdefault(heir, self._taken[incident_id])

    def end(self, incident_id: str, heir: str, settled_ms: int) -> Incident:
        """Gives the last version of an incident: superseded by its heir, or retracted where there is none.

        `settled_ms`: event time after which it may be forgotten.
        """
        state = IncidentState.SUPERSEDED if heir else IncidentState.RETRACTED
        last = self.standing.pop(incident_id)
        incident = replace(last, state=state, superseded_by=heir, revision=last.revision + 1)
        self._ended[incident_id] = IncidentRecord(incident_id, incident.revision, settled_ms, heir, standing=False)
        return incident

    def acknowledge(self, action: Acknowledgement) -> list[Incident]:
        """Folds one action: the first for an incident counts; one that was superseded passes it to its heir."""
        incident_id, passed = action.incident_id, set[str]()
        while (ended := self._ended.get(incident_id)) is not None and incident_id not in passed:
            passed.add(incident_id)
            self._taken.setdefault(incident_id, action)
            if not ended.superseded_by:
                return []
            incident_id = ended.superseded_by
        if incident_id in self._taken:
            return []
        if incident_id in self.standing:
            self._taken[incident_id] = action
            return self.tell(self.standing[incident_id])
        if not passed and len(self._early) < MAX_EARLY_ACTIONS:
            self._early.setdefault(incident_id, action)
        return []

    def knows(self, incident_id: str) -> bool:
        """Whether an incident stands, or has ended and is remembered."""
        return incident_id in self.standing or incident_id in self._ended

    def forget(self, incident_id: str) -> None:
        """Drops an incident that nothing can change any more."""
        self.standing.pop(incident_id, None)
        self._taken.pop(incident_id, None)

    def forget_ended(self, event_ms: int, log_ms: int | None) -> None:
        """Drops ended incidents that event time has settled, and actions whose incident never came."""
        for record in [r for r in self._ended.values() if r.settled_ms <= event_ms]:
            del self._ended[record.id]
            self._taken.pop(record.id, None)
        if log_ms is not None:
            self._early = {i: a for i, a in self._early.items() if a.time_ms + EARLY_ACTION_MS > log_ms}

    def records(self) -> list[IncidentRecord]:
        """What a checkpoint holds of all incidents, by id."""
        standing = (IncidentRecord(i.id, i.revision, 0) for i in self.standing.values())
        return sorted([*standing, *self._ended.values()], key=lambda r: r.id)

    def acknowledgements(self) -> list[Acknowledgement]:
        """What a checkpoint holds of the actions, by the incident that they now belong to."""
        folded = [replace(a, incident_id=i) for i, a in (self._taken | self._early).items()]
        return sorted(folded, key=lambda a: a.incident_id)

    def restore(
        self,
        standing: Iterable[Incident],
        records: Iterable[IncidentRecord],
        acknowledgements: Iterable[Acknowledgement],
    ) -> None:
        """Goes on from a checkpoint. `standing`: the incidents as the signals give them, without a revision."""
        by_id = {r.id: r for r in records}
        self._ended = {r.id: r for r in by_id.values() if not r.standing}
        for action in acknowledgements:
            (self._taken if action.incident_id in by_id else self._early)[action.incident_id] = action
        for incident in standing:
            self.standing[incident.id] = self._next(incident, by_id[incident.id].revision - 1)
        if lost := sorted(r.id for r in by_id.values() if r.standing and r.id not in self.standing):
            raise ValueError(f"the checkpoint's signals do not give its incidents {', '.join(lost[:3])}")
