"""All rules over all signals, each with an event time of its own: a rule waits for the kinds that it names, no other.

A city that has no rail, or whose noise meters are read once a day, must not hold back what is known of its roads.
What people do and what they plan is one for all rules: an incident of one rule may be merged into that of another.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from services.core.correlation.action import Action
from services.core.correlation.correlator import FORGET_EVERY_MS, MAX_SIGNALS, Correlator
from services.core.correlation.event_time import Watermarks
from services.core.correlation.incident import Incident
from services.core.correlation.ledger import IncidentLedger
from services.core.correlation.planned import PlannedEvent
from services.core.correlation.reload import replace_correlators
from services.core.correlation.restraint import ranks_of
from services.core.correlation.rule import Rule
from services.core.correlation.selector import Key
from services.core.correlation.state import CorrelatorCounters, CorrelatorState, LedgerState, SignalChanges
from services.core.signals import Signal

# What becomes of a signal is told once, however many rules look at it: the first of these that came of it in any.
RESULTS = ("taken", "overflow", "repeated", "settled", "unmatched")
_RANKS = {result: rank for rank, result in enumerate(RESULTS)}


@dataclass(frozen=True)
class RulebookState:
    """All that is known, as plain data: what a checkpoint holds."""

    rules: tuple[CorrelatorState, ...]  # in the order of the rules, those that run out among them
    counters: CorrelatorCounters
    ledger: LedgerState  # of all rules


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
        self.counters = CorrelatorCounters() if state is None else replace(state.counters)
        self._ledger = ledger = IncidentLedger(None if state is None else state.ledger)
        limits = {"silence_ms": silence_ms, "max_signals": max_signals}
        self._correlators = [
            Correlator((rule,), sources, **limits, ledger=ledger)
            if state is None
            else Correlator.restore((rule,), sources, state.rules[number], **limits, ledger=ledger)
            for number, rule in enumerate(rules)
        ]
        ledger.follow(self.rules, self.in_force)
        ledger.all_stand()
        # Whether some rule's event time has become known or passed a multiple of FORGET_EVERY_MS since that was asked.
        self._moved = True
        self._told_ms: int | None = None  # greatest record time of a report that all rules know of; None: they do not
        self._forgotten_ms: int | None = None  # event time at which planned events were looked through last
        self._order()

    def _order(self) -> None:
        """Finds the correlators by what they are asked for; of two of one rule the one that is in force."""
        by_force = sorted(self._correlators, key=lambda correlator: not correlator.closed)
        # What inhibits is told before what it inhibits, where one record brings both.
        ranks = ranks_of(self.in_force)
        self._by_rank = sorted(self._correlators, key=lambda correlator: -ranks.get(correlator.rules[0].name, 0))
        self._moved = True
        self._told_ms = None
        self._of_name = {correlator.rules[0].name: correlator for correlator in by_force}
        self._of_source: dict[tuple[str, str], tuple[list[Correlator], list[Correlator]]] = {}
        for source in {source for correlator in self._by_rank for source in correlator.sources}:
            naming = [correlator for correlator in self._by_rank if source in correlator.sources]
            self._of_source[source] = naming, [c for c in self._by_rank if c not in naming]
        self._of_key: dict[Key, list[Correlator]] = {}
        for correlator in self._by_rank:
            for key in correlator.rules[0].sides_of_key:
                self._of_key.setdefault(key, []).append(correlator)

    @property
    def rules(self) -> tuple[Rule, ...]:
        """All that is followed, in the order of the state: also rules that are no longer in force and run out."""
        return tuple(correlator.rules[0] for correlator in self._correlators)

    @property
    def in_force(self) -> tuple[Rule, ...]:
        """The rules that find incidents."""
        return tuple(correlator.rules[0] for correlator in self._correlators if not correlator.closed)

    def reload(self, rules: Sequence[Rule], rebuilt: Mapping[str, Correlator]) -> list[Incident]:
        """Puts other rules in force; gives the incidents' new versions, rule by rule.

        Rules that are the same go on as if nothing had happened. `rebuilt`: by name a correlator of every other one,
        with a ledger of its own, that has read the log up to the same record as this rulebook and far enough back.
        What becomes of the incidents of rules that changed, or are gone: see `replace_correlators`.
        """
        wanted = {rule.name: rule for rule in rules}
        kept = {r.name for r in self.in_force if wanted.get(r.name) == r}
        if missing := sorted(wanted.keys() - kept - rebuilt.keys()):
            raise ValueError(f"rules that changed must have been rebuilt: {', '.join(missing)}")
        changes: list[Incident] = []
        for name in sorted({rule.name for rule in self.rules} | wanted.keys()):
            old = [c for c in self._correlators if c.rules[0].name == name]
            if name in kept or (name not in wanted and all(c.closed for c in old)):
                continue
            changes += replace_correlators(old, rebuilt.get(name) if name in wanted else None, self._ledger)
        fresh = [rebuilt[name] for name in wanted if name not in kept]
        going_on = [c for c in self._correlators if not c.closed or c.found()]
        self._correlators = sorted([*going_on, *fresh], key=_by_force_and_name)
        self._order()
        self._ledger.follow(self.rules, self.in_force)
        return changes + self._ledger.look_again()

    @property
    def event_ms(self) -> int | None:
        """Event time that every rule has come to of which it is known, in ms since the epoch; None: of none."""
        known = [c.event_ms for c in self._correlators if c.event_ms is not None]
        return min(known, default=None)

    def event_ms_of(self, rule: str) -> int | None:
        """Event time that one rule, by name, has come to; of one that has just run out, about that. None: not known."""
        correlator = self._of_name.get(rule)
        return self.event_ms if correlator is None else correlator.event_ms

    @property
    def waiting(self) -> int:
        """Signals that event time has not passed yet; one that several rules look at counts for each."""
        return sum(correlator.waiting for correlator in self._correlators)

    @property
    def standing(self) -> int:
        """Incidents that are not over, or over and still correctable."""
        return len(self._ledger.standing)

    def silent(self) -> list[tuple[str, str, int]]:
        """Partitions (domain, kind, number) that no longer hold time back."""
        return sorted({source for correlator in self._correlators for source in correlator.silent()})

    def take(self, record: Signal | Watermarks, log_time_ms: int) -> list[Incident]:
        """Takes one record of the signal topic with its record time; gives the incidents' new versions, by rule."""
        changes: list[Incident] = []
        if isinstance(record, Watermarks):
            self.counters.reports += 1
            for correlator in self._concerned_by(record, log_time_ms):
                before_ms = correlator.event_ms
                changes += correlator.take(record, log_time_ms)
                after_ms = correlator.event_ms
                if after_ms != before_ms and not self._moved:
                    assert after_ms is not None  # it never goes back
                    self._moved = before_ms is None or before_ms // FORGET_EVERY_MS < after_ms // FORGET_EVERY_MS
            if self._moved:
                self._moved = False
                self._forget()
            return changes
        concerned = self._of_key.get((record.domain, record.kind, record.type), ())
        rank = len(RESULTS) - 1
        for correlator in concerned:
            changes += correlator.take(record, log_time_ms)
            rank = min(rank, _RANKS[correlator.last_result])
        result = RESULTS[rank]
        setattr(self.counters, result, getattr(self.counters, result) + 1)
        return changes

    def _concerned_by(self, report: Watermarks, log_time_ms: int) -> Sequence[Correlator]:
        """The rules to which a report may tell something; it is counted for the others.

        Those that name its kind; and where it is the first of its record time, all to which it tells that time goes by.
        """
        if self._told_ms is None or log_time_ms > self._told_ms:
            self._told_ms = log_time_ms
            return [correlator for correlator in self._by_rank if not correlator.passes(report, log_time_ms)]
        naming, others = self._of_source.get((report.domain, report.kind), ((), self._by_rank))
        for correlator in others:
            correlator.counters.reports += 1
        return naming

    def act(self, action: Action) -> list[Incident]:
        """Folds what somebody did; a repetition changes nothing. Where no rule knows the incident it waits for it."""
        return self._ledger.act(action)

    def plan(self, event: PlannedEvent) -> list[Incident]:
        """Takes a planned event, or its new version; gives the incidents that are planned, or not, from now on."""
        self._ledger.planned.put(event)
        return self._ledger.plan()

    @property
    def dropped(self) -> int:
        """Settled incidents that counted for limits or flapping and were too many to remember, since the start."""
        return self._ledger.muting.dropped

    @property
    def dropped_actions(self) -> int:
        """What people did with incidents that are not there, beyond the actions that may wait; since the start."""
        return self._ledger.dropped_actions

    @property
    def planned(self) -> list[PlannedEvent]:
        """The planned events that are known, by city and id."""
        return self._ledger.planned.events()

    def _forget(self) -> None:
        """What the slowest rule has passed long since explains nothing any more; what has run out is gone."""
        if (event_ms := self.event_ms) is None:
            return
        now_ms = event_ms // FORGET_EVERY_MS * FORGET_EVERY_MS
        if now_ms != self._forgotten_ms:
            self._forgotten_ms = now_ms
            self._ledger.forget_planned(now_ms)
            if any(c.closed and not c.found() for c in self._correlators):
                self._correlators = [c for c in self._correlators if not c.closed or c.found()]
                self._order()

    def changes(self) -> dict[Correlator, SignalChanges]:
        """What became of the signals of each rule since that was asked last, in the order of the state."""
        return {correlator: correlator.changes() for correlator in self._correlators}

    def snapshot(self, *, signals: bool = True) -> RulebookState:
        """All that is known, as plain data: enough to go on from here with the records that follow.

        `signals`: with them; without, whoever asks has followed their `changes`.
        """
        rules = tuple(correlator.snapshot(signals=signals) for correlator in self._correlators)
        return RulebookState(rules, replace(self.counters), self._ledger.snapshot())


def _by_force_and_name(correlator: Correlator) -> tuple[bool, str, int]:
    rule = correlator.rules[0]
    return correlator.closed, rule.name, rule.version
