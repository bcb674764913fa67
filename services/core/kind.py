"""The declaration of a domain: its kinds of observation, their columns, windows, measures and detectors."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import TYPE_CHECKING

from services.core.history import History, Index
from services.core.pattern import Trail

if TYPE_CHECKING:
    from services.core.anomaly.heartbeats import Heartbeat
    from services.core.following.follower import Follower
    from services.core.signals import Finding
    from services.core.windows import WindowBatch

MINUTE_MS = 60_000
HOUR_MS = 3_600_000
DAY_MS = 86_400_000

GREATEST_CODE = 2**16 - 1  # of an enum; 0 is that of no value

# A measure that every window has for followers: how many observations it holds.
OBSERVATIONS = "observations"
# Of a kind with a follower: see services/core/following/weighed.py.
MOST_LATENESS_MS = 8 * DAY_MS


class Aggregate(StrEnum):
    """What a window tells of one column. A missing number (NaN) takes part in none of them."""

    COUNT = "count"  # numbers that were there
    SUM = "sum"
    MIN = "min"
    MAX = "max"
    MEAN = "mean"
    SUM_OF_SQUARES = "sum_of_squares"
    VARIANCE = "variance"  # of a sample (n - 1), as VARIANCE is in PostgreSQL and Flink; of one number there is none
    FIRST = "first"  # of the least time; on a tie the least value, so that order does not matter
    LAST = "last"  # of the greatest time; on a tie the greatest value
    LAST_MS = "last_ms"  # when the latest number was observed, in ms since 1970-01-01T00:00Z
    ENERGY_MEAN = "energy_mean"  # of levels in dB: 10 lg of the mean of 10^(L/10), as LAeq is (ISO 1996-1:2016, 3.1.2)
    MEAN_DIRECTION = "mean_direction"  # of degrees on the compass: where the sum of their vectors points
    QUANTILE = "quantile"  # by a DDSketch; named <column>_p<percent>
    DISTINCT = "distinct"  # how many different values: of codes exactly, of other numbers by a HyperLogLog
    TOP = "top"  # the most frequent codes, and how often each; named <column>_top<place>, <column>_top<place>_count


# What needs more than a few numbers for each cell, and is held apart from them.
SKETCHED = frozenset({Aggregate.QUANTILE, Aggregate.DISTINCT, Aggregate.TOP})

# Levels further apart than this do not add up in one sum of 70 bits: the least would be nothing beside the greatest.
WIDEST_LEVELS_DB = 180.0


class UnknownEntities(StrEnum):
    """What becomes of observations of an entity that nobody has told of."""

    ACCEPT = "accept"  # they are folded as any other
    REFUSE = "refuse"  # the api takes none; what comes into the log past it is put aside
    QUARANTINE = "quarantine"  # the api takes them, and they are put aside until somebody sends them again


class ColumnType(StrEnum):
    """Type of a column's elements, as numpy names it."""

    FLOAT = "<f4"
    DOUBLE = "<f8"
    CODE = "<u4"  # the number of an enum's value


@dataclass(frozen=True)
class Column:
    """One column of a kind: equal in name to the field of the proto row and frame and to the ClickHouse column."""

    name: str
    unit: str
    minimum: float
    maximum: float
    required: bool = False  # a required number is never NaN
    type: ColumnType = ColumnType.FLOAT
    codes: tuple[tuple[int, str], ...] = ()  # of a CODE column: the numbers taken and their names
    personal: bool = False  # bits of somebody's keyed hash: what does not fit may be a raw id, and no answer repeats it

    def __post_init__(self) -> None:
        if not self.name.isidentifier() or not self.name.islower():
            raise ValueError(f"column name {self.name!r} must be a lower-case identifier")
        if not self.minimum <= self.maximum:
            raise ValueError(f"column {self.name}: minimum {self.minimum} is above maximum {self.maximum}")
        if (self.type is ColumnType.CODE) != bool(self.codes):
            raise ValueError(f"column {self.name}: a code column names its codes, and no other does")
        if any(not 0 < code <= GREATEST_CODE for code, _ in self.codes):
            raise ValueError(f"column {self.name}: codes must lie between 1 and {GREATEST_CODE}: {self.codes}")

    @property
    def optional(self) -> bool:
        """Whether a frame may leave it out: then it reads as NaN."""
        return not self.required and self.type is not ColumnType.CODE


@dataclass(frozen=True)
class Window:
    """A window of event time, half-open [start, end): tumbling (slide = size), hopping, or of a session.

    Tumbling and hopping windows are aligned to the epoch. A session (gap > 0) holds observations of one entity of which
    each begins less than `gap_ms` after the end of those before; it ends `gap_ms` after the last one. That none lasts
    for ever, sessions are cut at the multiples of their greatest length, `size_ms`.
    """

    name: str
    size_ms: int
    slide_ms: int = 0  # 0: tumbling
    gap_ms: int = 0  # 0: no session
    early_ms: int = 0  # of event time: how often a window tells what it holds before it ends; 0: never

    def __post_init__(self) -> None:
        if not self.slide_ms:
            object.__setattr__(self, "slide_ms", self.size_ms)
        if self.size_ms <= 0 or self.slide_ms <= 0 or self.size_ms % self.slide_ms:
            raise ValueError(
                f"window {self.name}: size {self.size_ms} ms must be a multiple of slide {self.slide_ms} ms"
            )
        if min(self.gap_ms, self.early_ms) < 0:
            raise ValueError(f"window {self.name}: times must not be negative")
        if self.gap_ms and (self.slide_ms != self.size_ms or self.size_ms % self.gap_ms or self.early_ms):
            raise ValueError(
                f"window {self.name}: the greatest length of a session, {self.size_ms} ms, must be a multiple of its"
                f" gap, {self.gap_ms} ms; and a session neither hops nor tells early"
            )
        if self.early_ms and self.slide_ms % self.early_ms:
            raise ValueError(
                f"window {self.name}: slide {self.slide_ms} ms must be a multiple of early {self.early_ms} ms"
            )

    @property
    def step_ms(self) -> int:
        """What its ends are multiples of; of a session: what its end is rounded up to, where event time is asked."""
        return self.gap_ms or self.slide_ms


@dataclass(frozen=True)
class Measure:
    """What the windows of a kind tell of one column. Result columns are named <column>_<aggregate>."""

    column: str
    aggregates: tuple[Aggregate, ...]
    percents: tuple[int, ...] = ()  # of QUANTILE: 50 for the median
    tops: int = 0  # of TOP: how many codes are told
    weight: str = ""  # of MEAN_DIRECTION: the column that vectors are as long as; none: all of length 1

    def __post_init__(self) -> None:
        if self.weight and Aggregate.MEAN_DIRECTION not in self.aggregates:
            raise ValueError(f"measure {self.column}: weight {self.weight!r}: only a mean direction has one")
        if (Aggregate.QUANTILE in self.aggregates) != bool(self.percents):
            raise ValueError(f"measure {self.column}: quantiles need percents, and percents need quantiles")
        if any(not 0 < p < 100 for p in self.percents):
            raise ValueError(f"measure {self.column}: percents must lie between 0 and 100")
        if (Aggregate.TOP in self.aggregates) != (self.tops > 0) or self.tops < 0:
            raise ValueError(f"measure {self.column}: top needs a number of tops, and tops need top: {self.tops}")

    def only(self, names: Collection[str]) -> Measure | None:
        """As much of it as tells these result columns; None: it tells none of them."""
        percents = tuple(p for p in self.percents if f"{self.column}_p{p}" in names)
        places = range(1, self.tops + 1)
        tops = max((p for p in places for end in ("", "_count") if f"{self.column}_top{p}{end}" in names), default=0)
        several = {Aggregate.QUANTILE: bool(percents), Aggregate.TOP: tops > 0}
        aggregates = tuple(a for a in self.aggregates if several.get(a, f"{self.column}_{a.value}" in names))
        weight = self.weight if Aggregate.MEAN_DIRECTION in aggregates else ""
        return Measure(self.column, aggregates, percents, tops, weight) if aggregates else None

    def names(self) -> tuple[str, ...]:
        """Names of the result columns, in the order of the tables: speed_kmh_mean, speed_kmh_p50, topic_top1."""
        several = (Aggregate.QUANTILE, Aggregate.TOP)
        plain = tuple(f"{self.column}_{a.value}" for a in self.aggregates if a not in several)
        tops = (f"{self.column}_top{place}" for place in range(1, self.tops + 1))
        return (*plain, *(f"{self.column}_p{p}" for p in self.percents), *(n for t in tops for n in (t, f"{t}_count")))


@dataclass(frozen=True)
class Baseline:
    """What is normal for an entity and an hour of the local week: median and MAD of a measure of earlier windows."""

    window: str
    measure: str  # "count_sum"
    weeks: int = 8  # history that it is computed from
    minimum_samples: int = 4  # windows of the same hour of the week; fewer: no baseline
    refresh_ms: int = 7 * DAY_MS  # a new one every Monday 00:00 UTC: every hour of the week gets one sample a week

    @property
    def history_ms(self) -> int:
        return self.weeks * 7 * DAY_MS


@dataclass(frozen=True)
class Detector:
    """Finds what is worth a signal in windows: a plain function on those that leave at one moment, a follower, or who
    tells none any more."""

    name: str  # type of its signals: "congestion"
    version: str
    window: str  # name of the windows that it looks at
    find: Callable[[WindowBatch], Finding] | None = None  # by a window and the one before
    attributes: tuple[tuple[str, float], ...] = ()  # numbers of the entity that it needs, with the default
    history: History | None = None
    follower: Follower | None = None  # by all windows of the entity so far
    previous: tuple[str, ...] = ()  # result columns that `find` looks at in the window before
    # False where `find` would find nothing in any of these windows: then it is not asked. As cheap as can be.
    may_find: Callable[[WindowBatch], bool] | None = None
    silence: bool = False  # of who has fallen silent: see services/core/anomaly/silence.py
    heartbeat: Heartbeat | None = None  # of who misses heartbeats: see services/core/anomaly/heartbeats.py

    def __post_init__(self) -> None:
        if (self.find is not None) + (self.follower is not None) + self.listens != 1:
            raise ValueError(f"detector {self.name}: either a function of windows or a follower, or of silence")
        if self.heartbeat is not None and (self.silence or self.heartbeat.number not in dict(self.attributes)):
            raise ValueError(
                f"detector {self.name}: heartbeats come as the entity's number {self.heartbeat.number} says, which must"
                " be one of its attributes; and it tells no other silence"
            )
        if self.may_find is not None and self.find is None:
            raise ValueError(f"detector {self.name}: may_find is for functions of windows")
        if self.previous and (self.find is None or self.history is not None):
            raise ValueError(f"detector {self.name}: the window before is for functions that have no history")

    @property
    def listens(self) -> bool:
        """Whether it tells of entities that tell nothing, and so looks at ends of windows that nobody told."""
        return self.silence or self.heartbeat is not None


@dataclass(frozen=True)
class Kind:
    """One kind of observation of a domain."""

    name: str
    columns: tuple[Column, ...]
    windows: tuple[Window, ...]
    measures: tuple[Measure, ...]
    disorder_ms: int  # bounded disorder: the watermark stays so far behind the greatest time seen
    lateness_ms: int  # after its end a window still takes observations for so long
    skew_ms: int = 5 * MINUTE_MS  # an observation stamped further ahead of the city's clock is quarantined
    max_entities: int = 250_000  # with open windows in one partition; observations of others are dead-lettered
    any_of: tuple[str, ...] = ()  # at least one of these columns must be a number
    detectors: tuple[Detector, ...] = ()
    baseline: Baseline | None = None
    unknown_entities: UnknownEntities = UnknownEntities.ACCEPT
    trail: Trail | None = None
    indices: tuple[Index, ...] = ()

    def __post_init__(self) -> None:
        names = [c.name for c in self.columns]
        if len(set(names)) != len(names):
            raise ValueError(f"kind {self.name}: column names repeat: {names}")
        for measure in self.measures:
            if measure.column not in names:
                raise ValueError(f"kind {self.name}: measure of an unknown column {measure.column!r}")
            self._check_range(measure)
            codes = self.column(measure.column).codes
            if measure.tops and not codes:
                # Of numbers without a bound no sketch tells the most frequent ones whatever their order.
                raise ValueError(f"kind {self.name}: top of {measure.column!r}: only a column of codes has it")
            if measure.tops > len(codes) > 0:
                raise ValueError(
                    f"kind {self.name}: the top {measure.tops} of {measure.column!r}, which has {len(codes)} codes"
                )
        windows = {w.name for w in self.windows}
        if len(windows) != len(self.windows) or not windows:
            raise ValueError(f"kind {self.name}: needs windows of different names")
        for window in self.windows:
            if self.lateness_ms % window.step_ms:
                # Lateness is judged at window borders only; then it is the same whatever a fetch brought.
                raise ValueError(
                    f"kind {self.name}: lateness {self.lateness_ms} ms is no multiple of {window.step_ms} ms"
                )
        if self.max_entities <= 0:
            raise ValueError(f"kind {self.name}: at least one entity must be allowed, not {self.max_entities}")
        judges: tuple[Detector | Index, ...] = (*self.detectors, *self.indices)
        for judge in judges:
            if judge.window not in windows:
                what = type(judge).__name__.lower()
                raise ValueError(f"kind {self.name}: {what} {judge.name} of an unknown window {judge.window!r}")
            self._check_history(judge)
        for detector in self.detectors:
            if detector.follower is not None:
                self._check_follower(detector, detector.follower)
            if detector.listens:
                self._check_listening(detector)
        if len({d.name for d in self.detectors}) != len(self.detectors):
            raise ValueError(f"kind {self.name}: names of detectors repeat: {[d.name for d in self.detectors]}")
        if self.baseline and self.baseline.window not in windows:
            raise ValueError(f"kind {self.name}: baseline of an unknown window {self.baseline.window!r}")
        if min(self.disorder_ms, self.lateness_ms, self.skew_ms) < 0:
            raise ValueError(f"kind {self.name}: times must not be negative")
        if self.trail:
            self._check_trail(self.trail, names)
        for detector in self.detectors:
            self._check_previous(detector)

    def _check_trail(self, trail: Trail, columns: list[str]) -> None:
        unknown = [name for name in trail.columns if name not in columns]
        if unknown:
            raise ValueError(f"kind {self.name}: trail of unknown columns {unknown}")
        if any(w.gap_ms for w in self.windows):
            raise ValueError(f"kind {self.name}: sessions have no patterns")
        names = self.measure_names()
        if len(set(names)) != len(names):
            raise ValueError(f"kind {self.name}: result columns repeat: {names}")

    @property
    def lookback_ms(self) -> int:
        """How far before the start of a window its patterns look: `within_ms`, in whole slides of every window."""
        if self.trail is None:
            return 0
        step_ms = math.lcm(*(w.slide_ms for w in self.windows))
        return -(-self.trail.within_ms // step_ms) * step_ms

    def _check_range(self, measure: Measure) -> None:
        column = self.column(measure.column)
        if Aggregate.ENERGY_MEAN in measure.aggregates and column.maximum - column.minimum > WIDEST_LEVELS_DB:
            raise ValueError(
                f"kind {self.name}: energy mean of {column.name!r}: levels from {column.minimum:g} to"
                f" {column.maximum:g} dB are more than {WIDEST_LEVELS_DB:g} dB apart"
            )
        if measure.weight and not any(c.name == measure.weight and c.minimum >= 0 for c in self.columns):
            raise ValueError(
                f"kind {self.name}: weight {measure.weight!r} of {column.name!r} is no column of numbers from 0 on"
            )

    def _check_history(self, judge: Detector | Index) -> None:
        if judge.history is None:
            return
        window = self.window(judge.window)
        if window.gap_ms or window.slide_ms != window.size_ms:
            raise ValueError(f"kind {self.name}: history of {judge.name}: {window.name} is no tumbling window")
        plain = {f"{m.column}_{a}" for m in self.measures for a in m.aggregates if a not in SKETCHED}
        if unknown := sorted(set(judge.history.measures) - plain):
            raise ValueError(f"kind {self.name}: history of {judge.name}: it has no {', '.join(unknown)} to look at")

    def _check_previous(self, detector: Detector) -> None:
        what = f"kind {self.name}: detector {detector.name}: the window before"
        if detector.previous and self.window(detector.window).gap_ms:
            raise ValueError(f"{what}: there is none of a session")
        if unknown := sorted(set(detector.previous) - set(self.measure_names())):
            raise ValueError(f"{what} has no {', '.join(unknown)} to look at")

    def _check_listening(self, detector: Detector) -> None:
        window, what = self.window(detector.window), f"kind {self.name}: detector {detector.name}"
        if window.gap_ms or (detector.silence and window.slide_ms != window.size_ms):
            raise ValueError(f"{what}: silence is told of tumbling windows, which {window.name} is not")
        if self.baseline and self.baseline.window == window.name:
            raise ValueError(f"{what}: windows {window.name} are told in parts, by the date of their baselines")
        if detector.history or (detector.silence and detector.attributes):
            raise ValueError(f"{what}: silence is judged by the entity's own windows and nothing else")
        if detector.heartbeat is not None:
            if detector.heartbeat.seen not in self.measure_names():
                raise ValueError(f"{what}: no {detector.heartbeat.seen} tells when an entity was heard of last")
            if sum(d.heartbeat is not None and d.window == window.name for d in self.detectors) > 1:
                raise ValueError(f"{what}: another detector listens for heartbeats of windows {window.name}")

    def tells_silence(self, window: str) -> bool:
        """Whether somebody listens for entities that tell no windows of that name any more."""
        return any(d.listens and d.window == window for d in self.detectors)

    def judges_of(self, window: str) -> tuple[Detector | Index, ...]:
        """All that look at the windows of that name."""
        judges: tuple[Detector | Index, ...] = (*self.detectors, *self.indices)
        return tuple(judge for judge in judges if judge.window == window)

    def history_of(self, window: str) -> History | None:
        """What all that look at the windows of that name look at of those before; None: nothing."""
        asked = [judge.history for judge in self.judges_of(window) if judge.history is not None]
        measures = tuple(dict.fromkeys(m for h in asked for m in h.measures))
        return History(max(h.windows for h in asked), measures, max(h.at_hand for h in asked)) if asked else None

    def _check_follower(self, detector: Detector, follower: Follower) -> None:
        window = self.window(detector.window)
        what = f"kind {self.name}: detector {detector.name}"
        if window.gap_ms:
            raise ValueError(f"{what}: of sessions, which may vanish, nothing is remembered")
        if follower.every_ms not in (0, window.slide_ms):
            raise ValueError(f"{what}: counts on windows every {follower.every_ms} ms, not every {window.slide_ms}")
        if self.lateness_ms > MOST_LATENESS_MS:
            raise ValueError(f"{what}: what is late by {self.lateness_ms} ms is more than {MOST_LATENESS_MS}")
        if follower.keep_ms < max(1, follower.back) * window.slide_ms:
            raise ValueError(
                f"{what}: remembers an entity for {follower.keep_ms} ms only, windows come every"
                f" {window.slide_ms} ms and it looks {follower.back} back"
            )
        if follower.only and follower.only not in dict(detector.attributes):
            raise ValueError(f"{what}: follows those with {follower.only}, which is none of its attributes")
        names = self.measure_names()
        if unknown := [m for m in follower.measures if m not in names and m != OBSERVATIONS]:
            raise ValueError(f"{what}: unknown measures {unknown}")

    def looks_back(self, window: str) -> bool:
        """Whether windows of that name are also looked at from the window after, but for those with a history: they
        have the window before among it."""
        return any(d.window == window and d.find is not None and d.history is None for d in self.detectors)

    def previous_of(self, window: str) -> tuple[str, ...]:
        """What all that look at the windows of that name look at of the window before, in the order of the tables."""
        asked = {name for d in self.detectors if d.window == window for name in d.previous}
        return tuple(name for name in self.measure_names() if name in asked)

    def without_unusual(self) -> Kind:
        """The kind without the detectors that tell what is unusual."""
        kept = tuple(d for d in self.detectors if d.follower is None or not d.follower.unusual)
        return replace(self, detectors=kept)

    @property
    def longest_period_ms(self) -> int:
        """The longest time that an observation may have been measured over: some fixed window has to hold it."""
        return max(w.size_ms for w in ([w for w in self.windows if not w.gap_ms] or self.windows))

    def measure_names(self) -> tuple[str, ...]:
        """Names of all result columns, in the order of the tables."""
        patterns = self.trail.patterns if self.trail else ()
        return (*(name for m in self.measures for name in m.names()), *(p.name for p in patterns))

    def column(self, name: str) -> Column:
        return next(c for c in self.columns if c.name == name)

    def window(self, name: str) -> Window:
        return next(w for w in self.windows if w.name == name)


@dataclass(frozen=True)
class Domain:
    """One domain of the city: a value, `TRAFFIC = Domain(...)`, from which topics, tables and services follow."""

    name: str
    title: str
    kinds: tuple[Kind, ...]
    # Names of the standards that a city may be judged by, where they differ from place to place; the first one holds
    # where nothing is said.
    programmes: tuple[str, ...] = ()
    # Types of its entities whose silence no detector tells, though some detector of the domain listens for others.
    unheard: tuple[str, ...] = ()

    @property
    def number_bounds(self) -> dict[str, tuple[float, float]]:
        """Least and greatest of those numbers of its entities that mean nothing beyond."""
        beats = (detector.heartbeat for kind in self.kinds for detector in kind.detectors)
        return {beat.number: (beat.least_s, beat.most_s) for beat in beats if beat is not None}

    def can_fall_silent(self, entity_type: str, numbers: Mapping[str, float]) -> bool:
        """Whether some detector might tell that an entity of that type, with these numbers, has fallen silent."""
        if entity_type in self.unheard or not any(d.listens for kind in self.kinds for d in kind.detectors):
            return False
        bounds = self.number_bounds
        return all(bounds[n][0] <= value <= bounds[n][1] for n, value in numbers.items() if n in bounds)

    def kind(self, name: str) -> Kind:
        """The kind of that name; KeyError names those that exist."""
        for kind in self.kinds:
            if kind.name == name:
                return kind
        raise KeyError(f"{self.name} has no kind {name!r}; it has {', '.join(k.name for k in self.kinds)}")
