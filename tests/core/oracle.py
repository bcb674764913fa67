"""What a partition should tell, in plain loops: every observation is kept for ever, every window counted anew."""

from __future__ import annotations

import cmath
import math
import statistics
from collections import Counter
from dataclasses import dataclass, field, replace

from services.core.frame import Frame, Malformed
from services.core.history import History
from services.core.kind import Kind, Measure, Window
from services.core.panes import border_of
from services.core.state import Counters
from tests.core import trail_oracle
from tests.core.distinct_oracle import count_distinct
from tests.core.session_oracle import SessionOracle, first_end

NAN = float("nan")


@dataclass(frozen=True)
class Observation:
    city: str
    entity: str
    time_ms: int
    period_s: int
    values: dict[str, float]


@dataclass(frozen=True)
class Emission:
    """One row of a batch."""

    window: str
    city: str
    entity: str
    start_ms: int
    revision: int
    measures: dict[str, float]
    previous: dict[str, float]
    end_ms: int
    history: dict[str, tuple[float, ...]] = field(default_factory=dict)  # the oldest window first


@dataclass
class Oracle:
    kind: Kind
    watermark_ms: int | None = None
    counters: Counters = field(default_factory=Counters)
    folded: list[Observation] = field(default_factory=list)
    touched: list[Observation] = field(default_factory=list)
    numbers: dict[str, set[int]] = field(default_factory=dict)
    late: list[tuple[int, int]] = field(default_factory=list)  # offset and row
    refused: list[tuple[int, int, str]] = field(default_factory=list)  # offset, row, class; row -1: the whole record
    sessions: dict[str, SessionOracle] = field(default_factory=dict)  # by window

    def fold(self, record: Frame | Malformed) -> list[Emission]:
        """What leaves after this record."""
        if isinstance(record, Malformed):
            self.counters.read += 1
            self.counters.dead_lettered += 1
            self.refused.append((record.offset, -1, "malformed"))
            return []
        self.counters.read += len(record)
        if record.numbered and self._repeated(record.source_id, record.sequence):
            self.counters.duplicate += len(record)
            return []
        if record.period_s * 1000 > self.kind.longest_period_ms:
            self.counters.dead_lettered += len(record)
            self.refused.append((record.offset, -1, "invalid"))
            return []
        before = self.watermark_ms
        reached = [record.clock_ms] if record.heartbeat else []
        for row in range(len(record)):
            reached += self._fold_row(record, row, before)
        if reached:
            now = max(reached) - self.kind.disorder_ms
            self.watermark_ms = now if before is None else max(before, now)
        border = border_of(self.kind)
        if self.watermark_ms is None or (before is not None and before // border == self.watermark_ms // border):
            return []
        leaving = self._leave(before, self.watermark_ms)
        self.touched = []
        return leaving

    def _repeated(self, source: str, number: int) -> bool:
        seen = self.numbers.setdefault(source, set())
        repeated = number in seen or (bool(seen) and number < max(seen) - 64)
        seen.add(number)
        return repeated

    def _fold_row(self, frame: Frame, row: int, before: int | None) -> list[int]:
        """The time that the observation reaches, if it is fit."""
        time_ms, end_ms = int(frame.time_ms[row]), int(frame.time_ms[row]) + frame.period_s * 1000
        index = int(frame.entity[row])
        values = {c.name: float(frame.columns[c.name][row]) for c in self.kind.columns}
        values |= {c.name: NAN for c in self.kind.columns if c.codes and not c.required and not values[c.name]}
        if index >= len(frame.entity_ids) or not all(self._fits(name, value) for name, value in values.items()):
            return self._refuse(frame, row, "invalid")
        if end_ms > frame.clock_ms + self.kind.skew_ms:
            return self._refuse(frame, row, "future")
        seen = Observation(frame.city, frame.entity_ids[index], time_ms, frame.period_s, values)
        fixed = [w for w in self.kind.windows if not w.gap_ms]
        ends = [start + w.size_ms for w in fixed if takes(w, seen) for start in starts_of(w, time_ms)]
        border = border_of(self.kind)
        ends += [first_end(w, time_ms, end_ms, border) for w in self.kind.windows if w.gap_ms]
        if before is not None and before >= min(ends) + self.kind.lateness_ms:
            self.counters.late += 1
            self.late.append((frame.offset, row))
            return [end_ms]
        self.counters.folded += 1
        self.folded.append(seen)
        if before is not None and min(ends) <= before:
            self.touched.append(seen)
        return [end_ms]

    def _fits(self, name: str, value: float) -> bool:
        column = self.kind.column(name)
        if math.isnan(value):
            return not column.required
        return value in dict(column.codes) if column.codes else column.minimum <= value <= column.maximum

    def _refuse(self, frame: Frame, row: int, error_class: str) -> list[int]:
        self.counters.dead_lettered += 1
        self.refused.append((frame.offset, row, error_class))
        return []

    def _leave(self, before: int | None, now: int) -> list[Emission]:
        leaving = []
        for window in self.kind.windows:
            if window.gap_ms:
                leaving += self._leave_sessions(window, now)
                continue
            judged = any(
                d.window == window.name and d.find is not None and d.history is None for d in self.kind.detectors
            )
            looked_at = self.kind.history_of(window.name)
            ahead = max(int(judged), looked_at.windows - 1 if looked_at else 0)
            due = {
                (o.city, o.entity, start)
                for o in self.folded
                if takes(window, o)
                for start in starts_of(window, o.time_ms)
                if start + window.size_ms <= now and (before is None or start + window.size_ms > before)
            }
            for o in self.touched:
                for start in starts_of(window, o.time_ms) if takes(window, o) else []:
                    further = ahead + self.kind.lookback_ms // window.slide_ms
                    for s in (start + i * window.slide_ms for i in range(further + 1)):
                        if before is not None and s + window.size_ms <= before:
                            due.add((o.city, o.entity, s))
            for city, entity, start in sorted(due):
                inside = self._inside(window, city, entity, start)
                if inside:
                    told: dict[str, float] = {}
                    if judged:
                        before_it = start - window.slide_ms
                        previous = self._inside(window, city, entity, before_it)
                        told = self._tell(previous) | self._tell_patterns(window, city, entity, before_it, previous)
                        told = {name: told[name] for name in self.kind.previous_of(window.name)}
                        told["revision"] = self._weigh(window, city, entity, before_it)
                    about = (window.name, city, entity, start, self._weigh(window, city, entity, start))
                    measures = self._tell(inside) | self._tell_patterns(window, city, entity, start, inside)
                    emission = Emission(*about, measures, told, start + window.size_ms)
                    leaving.append(replace(emission, history=self._look_back(window, looked_at, city, entity, start)))
        return leaving

    def _look_back(
        self, window: Window, asked: History | None, city: str, entity: str, start: int
    ) -> dict[str, tuple[float, ...]]:
        if asked is None:
            return {}
        back = range(asked.windows - 1, -1, -1)
        parts = [self._inside(window, city, entity, start - i * window.slide_ms) for i in back]
        told = [self._tell(part) for part in parts]
        history = {
            name: tuple(t[name] if p else NAN for t, p in zip(told, parts, strict=True)) for name in asked.measures
        }
        return {"revision": tuple(float(len(part)) for part in parts), **history}

    def _leave_sessions(self, window: Window, now: int) -> list[Emission]:
        sessions = self.sessions.setdefault(window.name, SessionOracle(window, self.kind.lateness_ms))
        rows = [(o.city, o.entity, o.time_ms, o.time_ms + o.period_s * 1000, o) for o in self.folded]
        border = border_of(self.kind)
        return [
            Emission(window.name, city, entity, start, revision, self._tell(inside, none=0.0), {}, end)
            for city, entity, start, end, revision, inside in sessions.leave(rows, now // border * border, now)
        ]

    def _inside(self, window: Window, city: str, entity: str, start: int) -> list[Observation]:
        return [
            o
            for o in self.folded
            if (o.city, o.entity) == (city, entity) and takes(window, o) and start <= o.time_ms < start + window.size_ms
        ]

    def _weigh(self, window: Window, city: str, entity: str, start: int) -> int:
        """Observations of the window and of what its patterns look back at."""
        end = start + window.size_ms
        mine = [o for o in self.folded if (o.city, o.entity) == (city, entity) and takes(window, o)]
        return sum(start - self.kind.lookback_ms <= o.time_ms < end for o in mine)

    def _tell_patterns(
        self, window: Window, city: str, entity: str, start: int, inside: list[Observation]
    ) -> dict[str, float]:
        if self.kind.trail is None:
            return {}
        mine = [o for o in self.folded if (o.city, o.entity) == (city, entity) and takes(window, o)]
        counted = trail_oracle.count_faster(self.kind, mine, start, start + window.size_ms)
        return {self.kind.trail.patterns[0].name: counted if inside else NAN}

    def _tell(self, inside: list[Observation], none: float = NAN) -> dict[str, float]:
        told: dict[str, float] = {}
        for measure in self.kind.measures:
            numbers = [(o.time_ms, o.values[measure.column]) for o in inside]
            numbers = [(t, v) for t, v in numbers if not math.isnan(v)]
            values = sorted(v for _, v in numbers)
            count, codes = len(values), self.kind.column(measure.column).codes
            every = {
                "count": float(count) if inside else none,
                "sum": math.fsum(values) if count else NAN,
                "min": values[0] if count else NAN,
                "max": values[-1] if count else NAN,
                "mean": math.fsum(values) / count if count else NAN,
                "sum_of_squares": math.fsum(v * v for v in values) if count else NAN,
                "variance": statistics.variance(values) if count > 1 else NAN,
                "first": min(numbers)[1] if count else NAN,
                "last": max(numbers)[1] if count else NAN,
                "last_ms": float(max(numbers)[0]) if count else NAN,
                "energy_mean": 10 * math.log10(math.fsum(10 ** (v / 10) for v in values) / count) if count else NAN,
                "mean_direction": self._direction(measure, inside),
                "distinct": float(len(set(values)) if codes else count_distinct(values)) if inside else none,
            }
            told |= {f"{measure.column}_{a}": every[a] for a in measure.aggregates if a in every}
            told |= {
                f"{measure.column}_p{p}": values[p * (count - 1) // 100] if count else NAN for p in measure.percents
            }
            # The most frequent first, of equally frequent ones the smaller code.
            ranked = sorted(Counter(values).items(), key=lambda met: (-met[1], met[0]))
            for place, (code, times) in enumerate([*ranked, *[(NAN, 0)] * measure.tops][: measure.tops], 1):
                name = f"{measure.column}_top{place}"
                told |= {name: code, f"{name}_count": float(times) if inside else none}
        return told

    def _direction(self, measure: Measure, inside: list[Observation]) -> float:
        """As the sum of vectors in the complex plane, whose angle runs the other way round."""
        told = [(o.values[measure.column], o.values[measure.weight] if measure.weight else 1.0) for o in inside]
        total = [cmath.rect(w, math.radians(v)) for v, w in told if not (math.isnan(v) or math.isnan(w))]
        summed = complex(math.fsum(z.real for z in total), math.fsum(z.imag for z in total))
        return math.degrees(cmath.phase(summed)) % 360 if abs(summed) > len(told) * 2**-25 else NAN


def takes(window: Window, observation: Observation) -> bool:
    return observation.period_s * 1000 <= window.size_ms


def starts_of(window: Window, time_ms: int) -> list[int]:
    """Starts of all windows that hold the time."""
    latest = time_ms - time_ms % window.slide_ms
    return list(range(latest, time_ms - window.size_ms, -window.slide_ms))
