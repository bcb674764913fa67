"""What a rule would have found in the past, out of the signals that ClickHouse holds, compared with what was live.

The incidents that stand are a function of the signals that stand: of each its final revision is enough, and the order
in which they came is not needed.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from services.core.correlation.correlator import Correlator
from services.core.correlation.event_time import Watermarks
from services.core.correlation.horizon import memory_ms
from services.core.correlation.incident import Incident, IncidentState
from services.core.correlation.rule import Rule
from services.core.signals import Signal

# Nothing is silent here: what is stored is all that was said.
_SILENCE_MS = 60_000
_GONE = (IncidentState.SUPERSEDED, IncidentState.RETRACTED)


@dataclass(frozen=True)
class Past:
    """An incident as it is stored."""

    id: str
    rule_version: int
    state: str
    severity: str
    title: str
    start_ms: int
    end_ms: int
    signal_ids: frozenset[str]  # those that it lists
    city: str = ""


@dataclass(frozen=True)
class Comparison:
    """Two sets of incidents, one beside the other, by start."""

    both: list[tuple[Past, Past]] = field(default_factory=list)
    only_found: list[Past] = field(default_factory=list)
    only_live: list[Past] = field(default_factory=list)

    def of_city(self, city: str) -> Comparison:
        """What concerns one city."""
        return Comparison(
            both=[(found, live) for found, live in self.both if found.city == city],
            only_found=[incident for incident in self.only_found if incident.city == city],
            only_live=[incident for incident in self.only_live if incident.city == city],
        )

    @property
    def cities(self) -> list[str]:
        """Cities of which there is anything, by name."""
        pairs = [found for found, _ in self.both]
        return sorted({incident.city for incident in (*pairs, *self.only_found, *self.only_live)})

    @property
    def same(self) -> int:
        """Pairs that stand on the same signals."""
        return sum(found.signal_ids == live.signal_ids for found, live in self.both)


class Backtest:
    """One rule over signals of the past, stretch by stretch of event time."""

    def __init__(self, rule: Rule, from_ms: int, to_ms: int) -> None:
        """Finds the incidents that begin from `from_ms` on, and before `to_ms`. ValueError: not before it."""
        if not from_ms < to_ms:
            raise ValueError(f"from {from_ms} must lie before to {to_ms}")
        self._rule, self._from_ms, self._to_ms = rule, from_ms, to_ms
        sources = {(s.domain, s.kind): 1 for s in rule.selectors}
        self._correlator = Correlator((rule,), sources, silence_ms=_SILENCE_MS)
        self._newest: dict[str, Incident] = {}
        # What begins before may hang together with what begins after it, and is to be counted there.
        self.begin_ms = from_ms - memory_ms(rule)
        self._advance(self.begin_ms)

    def take(self, signals: Iterable[Signal], until_ms: int) -> None:
        """Takes the signals whose windows end by `until_ms`, in any order, but for those that were taken before."""
        for signal in signals:
            self._keep(self._correlator.take(signal, 0))
        self._advance(until_ms)

    @property
    def waits(self) -> bool:
        """Whether what comes later may still belong to incidents that begin before the end."""
        event_ms = self._correlator.event_ms
        return (
            event_ms is None
            or event_ms < self._to_ms + memory_ms(self._rule)
            or any(incident.state is IncidentState.OPEN for incident in self._counted())
        )

    @property
    def refused(self) -> int:
        """Signals that were too many to hold or to link."""
        return self._correlator.counters.overflow

    def found(self) -> list[Past]:
        """The incidents, by start."""
        return sorted(map(past_of, self._counted()), key=_order)

    def _counted(self) -> Iterator[Incident]:
        for incident in self._newest.values():
            if incident.state not in _GONE and self._from_ms <= incident.start_ms < self._to_ms:
                yield incident

    def _advance(self, time_ms: int) -> None:
        for domain, kind in sorted({(s.domain, s.kind) for s in self._rule.selectors}):
            self._keep(self._correlator.take(Watermarks(domain, kind, {0: time_ms}), 0))

    def _keep(self, changes: Iterable[Incident]) -> None:
        for incident in changes:
            self._newest[incident.id] = incident
            if incident.start_ms < self._from_ms and incident.settled:
                del self._newest[incident.id]


def past_of(incident: Incident) -> Past:
    """An incident as it would be stored."""
    return Past(
        id=incident.id,
        rule_version=incident.rule_version,
        state=incident.state.name.lower(),
        severity=incident.severity.name.lower(),
        title=incident.title,
        start_ms=incident.start_ms,
        end_ms=incident.end_ms,
        signal_ids=frozenset(signal.id for signal in incident.signals),
        city=incident.city,
    )


def compare(found: Sequence[Past], live: Sequence[Past]) -> Comparison:
    """Pairs incidents of one id first, then those that share signals, each with the one that it shares most with.

    Other versions of a rule give other ids to what stands on the same signals.
    """
    pairs = {incident.id: (incident, other) for incident in found for other in live if incident.id == other.id}
    left = {other.id: other for other in live if other.id not in pairs}
    of_signal: dict[str, list[Past]] = {}
    for other in left.values():
        for signal_id in other.signal_ids:
            of_signal.setdefault(signal_id, []).append(other)
    for incident in found:
        if incident.id in pairs:
            continue
        near = {o.id: o for i in incident.signal_ids for o in of_signal.get(i, ()) if o.id in left}.values()
        if near:
            other = min(near, key=lambda o: (-len(o.signal_ids & incident.signal_ids), *_order(o)))
            pairs[incident.id] = incident, left.pop(other.id)
    return Comparison(
        both=sorted(pairs.values(), key=lambda pair: _order(pair[0])),
        only_found=sorted((incident for incident in found if incident.id not in pairs), key=_order),
        only_live=sorted(left.values(), key=_order),
    )


def _order(incident: Past) -> tuple[int, str]:
    return incident.start_ms, incident.id
