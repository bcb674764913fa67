"""Rules that are tried beside those in force: they take the same log and find what they would find; nobody is told.

Each has a ledger of its own, so nothing of it can reach an incident that stands, what people do, or a plan.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from services.core.correlation.correlator import Correlator
from services.core.correlation.event_time import Watermarks
from services.core.correlation.incident import Incident
from services.core.correlation.planned import PlannedEvent
from services.core.correlation.rule import Rule
from services.core.correlation.state import CorrelatorState, SignalChanges
from services.core.signals import Signal


class Shadows:
    """A correlator for each rule that is tried, one of a name at most."""

    def __init__(self, correlators: Iterable[Correlator] = ()) -> None:
        """`correlators`: of one rule each, with a ledger of its own."""
        self._correlators = {c.rules[0].name: c for c in sorted(correlators, key=lambda c: c.rules[0].name)}

    @property
    def rules(self) -> tuple[Rule, ...]:
        """Those that are tried, by name."""
        return tuple(correlator.rules[0] for correlator in self._correlators.values())

    def take(self, record: Signal | Watermarks, log_time_ms: int) -> list[Incident]:
        """Takes one record of the signal topic with its record time; gives what would be told, rule by rule."""
        changes: list[Incident] = []
        for correlator in self._correlators.values():
            if isinstance(record, Watermarks) and correlator.passes(record, log_time_ms):
                continue
            changes += correlator.take(record, log_time_ms)
        return changes

    def plan(self, event: PlannedEvent) -> list[Incident]:
        """Takes a planned event: it would explain incidents of these rules as well."""
        return [change for correlator in self._correlators.values() for change in correlator.plan(event)]

    def knows(self, rule: Rule) -> bool:
        """Whether exactly this rule is tried."""
        correlator = self._correlators.get(rule.name)
        return correlator is not None and correlator.rules[0] == rule

    def event_ms_of(self, rule: str) -> int | None:
        """Event time that the rule of a name has come to; None: not known yet, or no such rule."""
        correlator = self._correlators.get(rule)
        return None if correlator is None else correlator.event_ms

    def promoted(self, rules: Iterable[Rule]) -> dict[str, Correlator]:
        """By name the correlators of those among some rules that were tried until now: they know what they need."""
        return {rule.name: self._correlators[rule.name] for rule in rules if self.knows(rule)}

    def replaced(
        self, rules: Sequence[Rule], rebuilt: Mapping[str, Correlator], planned: Sequence[PlannedEvent]
    ) -> tuple[Shadows, list[Incident]]:
        """Those that are tried from now on, and what the ones among them that are new have found in the past.

        `rebuilt`: by name a correlator of each rule that was not tried so far, that has read the log up to here.
        `planned`: the events that are known. ValueError: a rule that is new was not rebuilt.
        """
        fresh = [rule.name for rule in rules if not self.knows(rule)]
        if missing := sorted(set(fresh) - rebuilt.keys()):
            raise ValueError(f"rules that are to be tried must have been rebuilt: {', '.join(missing)}")
        for name in fresh:
            for event in planned:
                rebuilt[name].plan(event)
        made = Shadows(rebuilt[r.name] if r.name in fresh else self._correlators[r.name] for r in rules)
        return made, [incident for name in sorted(fresh) for incident in rebuilt[name].told()]

    def changes(self) -> dict[Correlator, SignalChanges]:
        """What became of the signals of each rule since that was asked last, in the order of the state."""
        return {correlator: correlator.changes() for correlator in self._correlators.values()}

    def snapshot(self, *, signals: bool = True) -> tuple[CorrelatorState, ...]:
        """All that is known, rule by rule, as plain data; `signals`: with them (see `changes`)."""
        return tuple(correlator.snapshot(signals=signals) for correlator in self._correlators.values())

    @classmethod
    def restore(
        cls,
        rules: Sequence[Rule],
        sources: Mapping[tuple[str, str], int],
        states: Sequence[CorrelatorState],
        *,
        silence_ms: int,
    ) -> Shadows:
        """Goes on where a snapshot of the same rules was taken. `sources`: partitions by (domain, kind)."""
        return cls(
            Correlator.restore((rule,), sources, state, silence_ms=silence_ms)
            for rule, state in zip(rules, states, strict=True)
        )
