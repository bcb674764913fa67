"""The detector of the unusual: one configuration for every series, one score from 0 to 1, one budget of alarms."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, fields
from itertools import chain

import numpy as np
from numpy.typing import NDArray

from services.core.anomaly.budget import Budget
from services.core.anomaly.charts import Ewma
from services.core.anomaly.flat import Flat
from services.core.anomaly.level import Recent
from services.core.anomaly.memory import Field, Float64Array, Int64Array, Memory, Places, places_of
from services.core.anomaly.missing import Presence
from services.core.anomaly.robust import LongRun, Residual
from services.core.anomaly.score import News, Tail, a_week, combine, score
from services.core.anomaly.seasonal import HoltWinters

BoolArray = NDArray[np.bool_]

# The time of day is used where it makes the spread smaller by a fifth at least; otherwise it would add its own noise.
SEASON_EARNS = 0.8


@dataclass(frozen=True)
class Judgement:
    """What is to be said of each row. Arrays: (rows,); NaN, or False, where a row was not judged.

    Not judged are rows without a value, and windows that were told before: the first telling counts.
    """

    score: Float64Array  # 0 ordinary, 0.5 as strange as one window a week, 1 never seen
    expected: Float64Array  # the value that was expected
    sigma: Float64Array  # the error that was expected
    news: BoolArray  # stranger than what this entity showed lately
    alarm: BoolArray  # news, and within the budget
    flat: Float64Array  # the score of how long the value has not moved
    missing: Float64Array  # the score of the windows that were missing just before
    residual: Float64Array  # what the score is made of, as surprises: against what was expected,
    step: Float64Array  # against the last few windows,
    drift: Float64Array  # and of the mean of late


@dataclass(frozen=True)
class Unusual:
    """Judges the windows of many entities against the past of each.

    State lies in a `Memory` of these fields; it is a function of the rows of each entity alone, in the order of their
    starts, as windows leave a partition. How rows are cut into calls, and what other entities do, makes no difference.
    """

    window_ms: int  # from one window's start to the next one's
    seasonal: HoltWinters = field(default_factory=HoltWinters)
    long_run: LongRun = field(default_factory=LongRun)
    recent: Recent = field(default_factory=Recent)
    ewma: Ewma = field(default_factory=Ewma)
    flat: Flat = field(default_factory=Flat)
    budget: Budget = field(default_factory=Budget)
    news: News = field(default_factory=News)
    presence: Presence = field(init=False)
    tails: Mapping[str, Tail] = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "presence", Presence(self.window_ms))
        tails = [*map(Tail, ("residual", "step", "drift")), *map(_of_lengths, ("run", "gap"))]
        object.__setattr__(self, "tails", {tail.name: tail for tail in tails})

    @property
    def fields(self) -> tuple[Field, ...]:
        made = (
            self.presence.fields,
            self.seasonal.fields,
            self.long_run.fields,
            self.recent.fields,
            self.ewma.fields,
            self.flat.fields,
            *(tail.fields for tail in self.tails.values()),
            self.news.fields,
            self.budget.fields,
        )
        return (Field("seen"), *chain.from_iterable(made))

    def judge(
        self, memory: Memory, slot: Int64Array, start_ms: Int64Array, phase: Int64Array, value: Float64Array
    ) -> Judgement:
        """Judges rows and takes them in. Shapes: (rows,); those of an entity by start; NaN or infinity is no value.

        `phase` of each row is below `seasonal.phases`: its hour of the day or of the week.
        """
        memory.grow(int(slot.max(initial=-1)) + 1)
        if bool((slot[1:] > slot[:-1]).all()):  # as in most batches: each entity has one window
            later = self.presence.is_next(memory, places_of(slot), start_ms)
            if bool((later & np.isfinite(value)).all()):
                return self._step(memory, slot, start_ms, phase, value)
        told = _nothing(len(slot))
        for some in _turns(slot):
            later = self.presence.is_next(memory, slot[some], start_ms[some])
            judged = some[later & np.isfinite(value[some])]
            found = self._step(memory, slot[judged], start_ms[judged], phase[judged], value[judged])
            for f in fields(Judgement):
                getattr(told, f.name)[judged] = getattr(found, f.name)
        return told

    def silent(self, memory: Memory, now_ms: int) -> Float64Array:
        """The score of each entity's silence by now; 0 for one that was never seen. Shape: (entities,)."""
        slot = np.arange(len(memory))
        seen = memory.of("seen")[slot]
        gap, told_a_week = self.presence.silent(memory, now_ms, seen)
        return self._own_score("gap", memory, slot, gap, seen, told_a_week)

    def _step(
        self, memory: Memory, slot: Int64Array, start_ms: Int64Array, phase: Int64Array, value: Float64Array
    ) -> Judgement:
        places = places_of(slot)
        seen = memory.of("seen")[places].copy()
        gap, told_a_week = self.presence.step(memory, places, start_ms, seen)
        floor = self.long_run.least_sigma(memory, places)
        expected = self._expect(memory, slot, phase, value, seen, floor)
        statistics = {
            "residual": np.abs(expected.z),
            "step": np.abs(self.recent.step(memory, places, value, seen, floor).z),
            "drift": np.abs(self.ewma.step(memory, places, expected.z)),
        }
        surprises = {n: self.tails[n].surprise(memory, places, s, seen) for n, s in statistics.items()}
        for name, statistic in statistics.items():
            self.tails[name].learn(memory, places, statistic, seen)
        expected_a_week = a_week(combine([*surprises.values()]), told_a_week)
        is_news = self.news.step(memory, places, start_ms, expected_a_week)
        alarm = self.budget.step(memory, places, start_ms, expected_a_week, is_news)
        run, ended = self.flat.step(memory, places, value)
        flat = self._own_score("run", memory, places, run, seen, told_a_week)
        missing = self._own_score("gap", memory, places, gap, seen, told_a_week)
        self._learn_some("run", memory, slot, ended, seen, ended > 0)
        self._learn_some("gap", memory, slot, gap, seen, seen > 0)
        memory.of("seen")[places] = seen + 1
        return Judgement(
            score(expected_a_week), expected.expected, expected.sigma, is_news, alarm, flat, missing, **surprises
        )

    def _expect(
        self,
        memory: Memory,
        slot: Int64Array,
        phase: Int64Array,
        value: Float64Array,
        seen: Float64Array,
        floor: Float64Array,
    ) -> Residual:
        """The residual by the time of day for entities of which it tells something, by the long run for the others."""
        places = places_of(slot)
        earns = memory.of("seasonal.sigma")[places] < SEASON_EARNS * memory.of("long_run.sigma")[places]
        by_time = self.seasonal.step(memory, slot, phase, value, seen, floor)
        at_all = self.long_run.step(memory, places, value, seen, floor)
        if not earns.any():
            return at_all
        chosen = [np.where(earns, getattr(by_time, f.name), getattr(at_all, f.name)) for f in fields(Residual)]
        return Residual(*chosen)

    def _own_score(
        self,
        tail: str,
        memory: Memory,
        places: Places,
        statistic: Float64Array,
        seen: Float64Array,
        told_a_week: Float64Array,
    ) -> Float64Array:
        surprise = self.tails[tail].surprise(memory, places, statistic, seen)
        return score(a_week(surprise, told_a_week))

    def _learn_some(
        self, tail: str, memory: Memory, slot: Int64Array, statistic: Float64Array, seen: Float64Array, which: BoolArray
    ) -> None:
        if bool(which.all()):
            self.tails[tail].learn(memory, places_of(slot), statistic, seen)
        elif len(some := np.flatnonzero(which)):
            self.tails[tail].learn(memory, slot[some], statistic[some], seen[some])


def _nothing(rows: int) -> Judgement:
    score, expected, sigma, flat, missing, residual, step, drift = np.full((8, rows), np.nan)
    news, alarm = np.zeros((2, rows), np.bool_)
    return Judgement(score, expected, sigma, news, alarm, flat, missing, residual, step, drift)


def _of_lengths(name: str) -> Tail:
    """Of runs and gaps, in windows: long ones are few, and nights have a length of their own, beyond which is news."""
    return Tail(name, least=2.0, excess=0.5, prior=5.0, records=True)


def _turns(slot: Int64Array) -> Iterator[Int64Array]:
    """The first row of each slot, then the second of each, and so on."""
    order = np.argsort(slot, kind="stable")
    sorted_slots = slot[order]
    turn = np.arange(len(slot)) - np.searchsorted(sorted_slots, sorted_slots)
    if not turn.any():
        yield np.arange(len(slot))
        return
    by_turn = order[np.argsort(turn, kind="stable")]
    yield from np.split(by_turn, np.cumsum(np.bincount(turn))[:-1])
