"""The detector of the unusual: one configuration for every series, one score from 0 to 1, one budget of alarms."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from itertools import chain

import numpy as np
from numpy.typing import NDArray

from services.core.anomaly.budget import Budget
from services.core.anomaly.charts import Ewma
from services.core.anomaly.level import Recent
from services.core.anomaly.memory import Field, Float64Array, Int64Array, Memory, places_of, some_of
from services.core.anomaly.missing import Presence
from services.core.anomaly.robust import LongRun, Residual
from services.core.anomaly.score import ORDINARY, News, Tail, a_week, combine, score
from services.core.anomaly.seasonal import HoltWinters
from services.core.anomaly.turns import turns

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
    budget: Budget = field(default_factory=Budget)
    news: News = field(default_factory=News)
    presence: Presence = field(init=False)
    tails: Mapping[str, Tail] = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "presence", Presence(self.window_ms))
        object.__setattr__(self, "tails", {name: Tail(name) for name in ("residual", "step", "drift")})

    @property
    def fields(self) -> tuple[Field, ...]:
        made = (
            self.presence.fields,
            self.seasonal.fields,
            self.long_run.fields,
            self.recent.fields,
            self.ewma.fields,
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
        told = _nothing(len(slot))
        for some in turns(self.presence, memory, slot, start_ms, value):
            found = self._step(memory, slot[some], start_ms[some], phase[some], value[some])
            if isinstance(some, slice):
                return found
            for f in fields(Judgement):
                getattr(told, f.name)[some] = getattr(found, f.name)
        return told

    def _step(
        self, memory: Memory, slot: Int64Array, start_ms: Int64Array, phase: Int64Array, value: Float64Array
    ) -> Judgement:
        places = places_of(slot)
        seen = memory.of("seen")[places].copy()
        self.presence.take(memory, places, start_ms)
        floor = self.long_run.least_sigma(memory, places)
        expected = self._expect(memory, slot, phase, value, seen, floor)
        statistics = {
            "residual": np.abs(expected.z),
            "step": np.abs(self.recent.step(memory, places, value, seen, floor).z),
            "drift": np.abs(self.ewma.step(memory, places, expected.z)),
        }
        pace = self.tails["residual"].pace(seen)  # all tails have one rate
        surprises = {n: self.tails[n].take(memory, places, s, seen, pace) for n, s in statistics.items()}
        surprise = combine([*surprises.values()])
        # Of most rows nothing is surprising, and nobody needs to know how often their entities tell something.
        rows, expected_a_week = np.flatnonzero(surprise > 0), np.full(len(surprise), ORDINARY)
        told_a_week = self.presence.a_week(memory, some_of(places, rows), seen[rows] + 1)
        expected_a_week[rows] = a_week(surprise[rows], told_a_week)
        is_news = self.news.step(memory, places, start_ms, expected_a_week)
        alarm = self.budget.step(memory, places, start_ms, expected_a_week, is_news)
        memory.of("seen")[places] = seen + 1
        return Judgement(score(expected_a_week), expected.expected, expected.sigma, is_news, alarm, **surprises)

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


def _nothing(rows: int) -> Judgement:
    score, expected, sigma, residual, step, drift = np.full((6, rows), np.nan)
    news, alarm = np.zeros((2, rows), np.bool_)
    return Judgement(score, expected, sigma, news, alarm, residual, step, drift)
