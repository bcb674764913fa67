"""All rules over all signals, each with an event time of its own: a rule waits for the kinds that it names, no other.

A city that has no rail, or whose noise meters are read once a day, must not hold back what is known of its roads.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from services.core.correlation.correlator import MAX_SIGNALS, Correlator
from services.core.correlation.event_time import Watermarks
from services.core.correlation.incident import Acknowledgement, Incident
from services.core.correlation.rule import Rule
from services.core.correlation.selector import Key
from services.core.correlation.state import CorrelatorCounters, CorrelatorState
from services.core.signals import Signal

# What becomes of a signal is told once, however many rules look at it: the first of these that came of it in any.
RESULTS = ("taken", "overflow", "repeated", "settled")


@dataclass(frozen=True)
class RulebookState:
    """All that is known, as plain data: what a checkpoint holds."""

    rules: tuple[CorrelatorState, ...]  # in the order of the rules
    counters: CorrelatorCounters


class Rulebook:
    """A correlator for each rule."""

    def __init__(
        self,
        rules: Sequence[Rule],
        sources: Mapping[tuple[str, str], int],
        *,
        silence_ms: int,
        max_signals: int = MAX_SIGNALS,
        state: RulebookState | None = None,
    ) -> None:
        """`sources`: number of partitions by (domain, kind). `state`: goes on from it; of the same rules."""
        self.rules = tuple(rules)
        self.counters = CorrelatorCounters() if state is None else replace(state.counters)
        limits = {"silence_ms": silence_ms, "max_signals": max_signals}
        self._correlators = [
            Correlator((rule,), sources, **limits)
            if state is None
            else Correlator.restore((rule,), sources, state.rules[number], **limits)
            for number, rule in enumerate(rules)
        ]
        self._of_key: dict[Key, list[Correlator]] = {}
        for rule, correlator in zip(self.rules, self._correlators, strict=True):
            for key in rule.sides_of_key:
                self._of_key.setdefault(key, []).append(correlator)

    @property
    def event_ms(self) -> int | None:
        """Event time that every rule has come to of which it is known, in ms since the epoch; None: of none."""
        known = [c.event_ms for c in self._correlators if c.event_ms is not None]
        return min(known, default=None)

    @property
    def waiting(self) -> int:
        """Signals that event time has not passed yet; one that several rules look at counts for each."""
        return sum(correlator.waiting for correlator in self._correlators)

    @property
    def standing(self) -> int:
        """Incidents that are open, acknowledged, or resolved and still correctable."""
        return sum(correlator.standing for correlator in self._correlators)

    def silent(self) -> list[tuple[str, str, int]]:
        """Partitions (domain, kind, number) that no longer hold time back."""
        return sorted({source for correlator in self._correlators for source in correlator.silent()})

    def take(self, record: Signal | Watermarks, log_time_ms: int) -> list[Incident]:
        """Takes one record of the signal topic with its record time; gives the incidents' new versions, by rule."""
        changes: list[Incident] = []
        if isinstance(record, Watermarks):
            self.counters.reports += 1
            for correlator in self._correlators:
                changes += correlator.take(record, log_time_ms)
            return changes
        concerned = self._of_key.get((record.domain, record.kind, record.type), ())
        results = set()
        for correlator in concerned:
            changes += correlator.take(record, log_time_ms)
            results.add(correlator.last_result)
        result = next((result for result in RESULTS if result in results), "unmatched")
        setattr(self.counters, result, getattr(self.counters, result) + 1)
        return changes

    def acknowledge(self, action: Acknowledgement) -> list[Incident]:
        """Folds one action; where no rule knows the incident, each waits for it."""
        knowing = [c for c in self._correlators if c.knows(action.incident_id)]
        return [version for c in knowing or self._correlators for version in c.acknowledge(action)]

    def snapshot(self) -> RulebookState:
        """All that is known, as plain data: enough to go on from here with the records that follow."""
        return RulebookState(tuple(c.snapshot() for c in self._correlators), replace(self.counters))
