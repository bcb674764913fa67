"""Scans the signals of a city step by step of event time, and tells what is found: a pure function of the log.

What is found at a step follows from the signals that stand and ended by then, in any order of arrival. A signal that is
late changes the past: at the next step the scans since then are made again, and findings are told anew, or taken back.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from services.core.correlation.event_time import EventTime, EventTimeState, Watermarks
from services.core.scan.cases import cases_of
from services.core.scan.chain import Chain, extend
from services.core.scan.clusters import Chance, find_clusters
from services.core.scan.finding import Finding, FindingState, Sight, describe, sight_of
from services.core.scan.plan import WatchPlan
from services.core.signals import Signal

# City and event time of a scan -> the chance that its permutations take: the same for the same.
Chances = Callable[[str, int], Chance]
Sights = Mapping[str, tuple[Sight, ...]]  # by city: what one scan saw


@dataclass
class LookoutCounters:
    """What became of the records that were taken."""

    taken: int = 0  # signals that told something new
    repeated: int = 0  # an older version, or the same once more
    unplaced: int = 0  # of an entity whose position is not known
    settled: int = 0  # too late to change anything
    overflow: int = 0  # too many to hold
    reports: int = 0  # of watermarks


@dataclass(frozen=True)
class LookoutState:
    """All that is known, as plain data: what a checkpoint holds."""

    event_time: EventTimeState
    signals: tuple[Signal, ...] = ()  # by id
    last_ms: int | None = None
    dirty_ms: int | None = None
    scans: tuple[tuple[int, str, tuple[Sight, ...]], ...] = ()  # event time, city, sights
    base: tuple[Chain, ...] = ()
    told: tuple[Finding, ...] = ()  # by id
    counters: LookoutCounters = field(default_factory=LookoutCounters)


class Lookout:
    """The scans of all cities of one partition of the signal topic.

    `take` each record in the order of the log, and `scan` for as long as a scan is `due`, before the next one.
    """

    def __init__(
        self,
        sources: Mapping[tuple[str, str], int],
        chances: Chances,
        *,
        silence_ms: int,
        plan: WatchPlan | None = None,
        state: LookoutState | None = None,
    ) -> None:
        """`sources`: number of partitions by (domain, kind) whose watermarks hold event time back. `state`: goes on."""
        self.plan = WatchPlan() if plan is None else plan
        self._chances = chances
        self._time = EventTime(sources, silence_ms=silence_ms)
        state = LookoutState(self._time.snapshot()) if state is None else state
        self._time.restore(state.event_time)
        self.counters = replace(state.counters)
        self._held = {signal.id: signal for signal in state.signals}  # the newest version of each, retracted ones too
        self._last_ms = state.last_ms  # the step that was scanned last
        self._dirty_ms = state.dirty_ms  # the first step of which a scan is to be made again
        self._scans: dict[int, dict[str, tuple[Sight, ...]]] = {}  # of the steps that late signals may change
        for scan_ms, city, sights in state.scans:
            self._scans.setdefault(scan_ms, {})[city] = sights
        self._base = list(state.base)  # findings by the scans before those
        self._told = {finding.id: finding for finding in state.told}
        self._listed = self._list()

    @property
    def event_ms(self) -> int | None:
        """Event time that has come, in ms since the epoch; None: not known yet."""
        return self._time.event_ms

    @property
    def standing(self) -> int:
        """Findings that the last scan has seen."""
        return sum(finding.state is FindingState.STANDING for finding in self._told.values())

    @property
    def held(self) -> int:
        """Signals that are remembered."""
        return len(self._held)

    def take(self, record: Signal | Watermarks, log_time_ms: int) -> None:
        """Takes note of one record of the signal topic with its record time."""
        self._time.observe(log_time_ms)
        if isinstance(record, Watermarks):
            self.counters.reports += 1
            self._time.report(record)
        else:
            result = self._take_signal(record)
            setattr(self.counters, result, getattr(self.counters, result) + 1)
        self._time.event_ms = self._time.reached()

    @property
    def due(self) -> bool:
        """Whether event time has passed the end of a step that is not scanned."""
        goal_ms = self._goal_ms()
        return goal_ms is not None and (self._last_ms is None or self._last_ms < goal_ms)

    def scan(self) -> list[Finding]:
        """Scans the next step at which something may have changed; gives the new versions of findings, by id.

        ValueError where none is due.
        """
        goal_ms = self._goal_ms()
        if goal_ms is None or not self.due:
            raise ValueError(f"no scan is due at event time {self.event_ms}")
        step_ms = self._next_step(goal_ms)
        raised = self._raised()
        for again_ms in self._steps_again(step_ms):
            self._scans[again_ms] = self._look(again_ms, raised)
        self._dirty_ms = None
        self._scans[step_ms] = self._look(step_ms, raised)
        self._last_ms = step_ms
        versions = self._tell(step_ms)
        self._settle(step_ms)
        self._listed = self._list()
        return versions

    def snapshot(self) -> LookoutState:
        """All that is known, as plain data: enough to go on from here with the records that follow."""
        return LookoutState(
            event_time=self._time.snapshot(),
            signals=tuple(self._held[i] for i in sorted(self._held)),
            last_ms=self._last_ms,
            dirty_ms=self._dirty_ms,
            scans=tuple((ms, city, sights) for ms in sorted(self._scans) for city, sights in self._scans[ms].items()),
            base=tuple(self._base),
            told=tuple(self._told[i] for i in sorted(self._told)),
            counters=replace(self.counters),
        )

    def _take_signal(self, signal: Signal) -> str:
        """What becomes of a signal, in the words of the counters."""
        if signal.latitude != signal.latitude or signal.longitude != signal.longitude:  # NaN
            return "unplaced"
        if self.event_ms is not None and signal.end_ms <= self.event_ms - self.plan.settled_ms:
            return "settled"
        known = self._held.get(signal.id)
        if known is None and len(self._held) >= self.plan.max_signals:
            return "overflow"
        if known is not None and not _replaces(signal, known):
            return "repeated"
        self._held[signal.id] = signal
        if _case_of(signal) != _case_of(known):
            for version in (signal, known):
                if version is not None and self._last_ms is not None and version.end_ms <= self._last_ms:
                    step_ms = self._step_of(version.end_ms)
                    self._dirty_ms = step_ms if self._dirty_ms is None else min(self._dirty_ms, step_ms)
        elif signal.id in self._listed:
            self._renew(signal)
        return "taken"

    def _goal_ms(self) -> int | None:
        return None if self.event_ms is None else self.event_ms // self.plan.step_ms * self.plan.step_ms

    def _step_of(self, end_ms: int) -> int:
        """The first step at which a window that ends then is known."""
        return -(-end_ms // self.plan.step_ms) * self.plan.step_ms

    def _next_step(self, goal_ms: int) -> int:
        """The first step up to the goal at which something may change: a signal has come, or a finding is over."""
        last_ms = self._last_ms
        steps = {self._step_of(s.end_ms) for s in self._held.values() if not s.retracted}
        steps |= {f.last_ms + self.plan.step_ms for f in self._told.values() if f.state is FindingState.STANDING}
        return min((ms for ms in steps if ms < goal_ms and (last_ms is None or ms > last_ms)), default=goal_ms)

    def _steps_again(self, before_ms: int) -> Iterator[int]:
        """The steps to scan again: those since the earliest change at which there is a case."""
        if self._dirty_ms is not None:
            yield from range(self._dirty_ms, min(before_ms, (self._last_ms or 0) + 1), self.plan.step_ms)

    def _raised(self) -> dict[str, list[Signal]]:
        """The signals that stand, by city."""
        found: dict[str, list[Signal]] = {}
        for signal in self._held.values():
            if not signal.retracted:
                found.setdefault(signal.city, []).append(signal)
        return found

    def _look(self, scan_ms: int, raised: Mapping[str, Sequence[Signal]]) -> dict[str, tuple[Sight, ...]]:
        """What a scan at some time sees in each city; those in which nothing is seen are left out."""
        seen = {city: self._sights(city, scan_ms, signals) for city, signals in sorted(raised.items())}
        return {city: sights for city, sights in seen.items() if sights}

    def _sights(self, city: str, scan_ms: int, signals: Sequence[Signal]) -> tuple[Sight, ...]:
        plan = self.plan
        cases = cases_of(signals, scan_ms, plan)
        if not len(cases.time_ms) or cases.time_ms[-1] < scan_ms - plan.step_ms:
            return ()  # nothing began in the last step: no cluster goes on
        clusters = find_clusters(
            cases.latitude,
            cases.longitude,
            cases.time_ms,
            plan.scan,
            self._chances(city, scan_ms),
            most=plan.most,
            greatest_p=plan.greatest_p,
        )
        return tuple(sight_of(cluster, cases, signals, scan_ms) for cluster in clusters)

    def _tell(self, step_ms: int) -> list[Finding]:
        """New versions of the findings that are not as they were told."""
        chains = _linked(self._base, self._scans, self.plan)
        versions = []
        for chain in chains:
            state = FindingState.STANDING if chain.last_ms == step_ms else FindingState.OVER
            told = self._told.get(chain.id)
            finding = describe(chain.id, chain.city, state, chain.first_ms, chain.last_ms, chain.best, self.plan)
            finding = replace(finding, revision=0 if told is None else told.revision)
            if repr(finding) != repr(told):  # by text, since NaN (no threshold) equals itself there
                versions.append(replace(finding, revision=finding.revision + 1))
        gone = set(self._told) - {chain.id for chain in chains}
        for id_ in gone:
            told = self._told[id_]
            if told.state is not FindingState.RETRACTED:
                versions.append(replace(told, state=FindingState.RETRACTED, revision=told.revision + 1))
        self._told |= {version.id: version for version in versions}
        return sorted(versions, key=lambda finding: finding.id)

    def _settle(self, step_ms: int) -> None:
        """Scans that nothing changes any more become the base of the others; what has left every reach is forgotten."""
        plan = self.plan
        final_ms = step_ms - plan.settled_ms
        settled = {ms: self._scans.pop(ms) for ms in sorted(self._scans) if ms <= final_ms}
        self._base = _linked(self._base, settled, plan)
        gone = {chain.id for chain in self._base if chain.last_ms < final_ms - plan.reach_ms}
        gone |= {
            f.id
            for f in self._told.values()
            if f.state is FindingState.RETRACTED and f.last_ms < final_ms - plan.reach_ms
        }
        self._base = [chain for chain in self._base if chain.id not in gone]
        self._told = {i: finding for i, finding in self._told.items() if i not in gone}
        from_ms = final_ms - plan.history_ms - plan.gap_ms
        self._held = {i: signal for i, signal in self._held.items() if signal.end_ms > from_ms}

    def _renew(self, signal: Signal) -> None:
        """Takes a new version of a signal that is told: of the same case, with other figures."""
        for cities in self._scans.values():
            if signal.city in cities:
                cities[signal.city] = tuple(_with(sight, signal) for sight in cities[signal.city])
        self._base = [replace(chain, best=_with(chain.best, signal)) for chain in self._base]

    def _list(self) -> frozenset[str]:
        """Ids of the signals that findings and scans list."""
        sights = [sight for cities in self._scans.values() for found in cities.values() for sight in found]
        return frozenset(s.id for sight in (*sights, *(c.best for c in self._base)) for s in sight.signals)


def _linked(base: Sequence[Chain], scans: Mapping[int, Sights], plan: WatchPlan) -> list[Chain]:
    """The findings after some more scans."""
    chains = list(base)
    for scan_ms in sorted(scans):
        for city, sights in sorted(scans[scan_ms].items()):
            chains = extend(chains, city, sights, plan.version)
    return chains


def _case_of(signal: Signal | None) -> object:
    """What of a signal a scan looks at; of none and of a retracted one alike: nothing."""
    if signal is None or signal.retracted:
        return None
    return signal.city, signal.latitude, signal.longitude, signal.end_ms


def _with(sight: Sight, signal: Signal) -> Sight:
    if all(s.id != signal.id for s in sight.signals):
        return sight
    return replace(sight, signals=tuple(signal if s.id == signal.id else s for s in sight.signals))


def _replaces(new: Signal, known: Signal) -> bool:
    """Whether a version of a signal counts: a greater revision, or a retraction of the same one (as in ClickHouse)."""
    if (new.revision, new.retracted) != (known.revision, known.retracted):
        return (new.revision, new.retracted) > (known.revision, known.retracted)
    return repr(new) != repr(known)
