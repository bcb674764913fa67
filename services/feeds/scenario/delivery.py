"""How observations come to the city: a little late or much, some never, some clocks wrong; and cut into frames.

Everything follows from the seed: one group's steps of a minute are frames of one source with running numbers, so what
is sent twice is folded once.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from services.core.frame import Frame
from services.core.kind import HOUR_MS, MINUTE_MS, Kind
from services.feeds.scenario.chance import stream
from services.feeds.scenario.city import City
from services.feeds.scenario.group import Group, Int64Array
from services.feeds.scenario.happening import Change, added_in, apply, joined
from services.feeds.scenario.ordinary.table import ordinary_hour
from services.feeds.scenario.rows import Rows
from services.feeds.scenario.script import Script

STEP_MS = MINUTE_MS
# Shares of observations that never come, that come minutes late, and that come most of an hour late.
MISSING, LATE, VERY_LATE = 0.003, 0.01, 0.0005
USUAL_DELAY_MS, LATE_MS, VERY_LATE_MS = (200, 2_500), (30_000, 480_000), (1_800_000, 3_300_000)
# One clock in so many is wrong, by so much at most: less than the disorder that any kind allows.
ONE_WRONG_CLOCK_IN, WRONG_BY_MS = 10, 4_000
# One counter is ahead by more than the city bears, and is refused.
AHEAD_GROUP, AHEAD_MS = "footfall", 15 * MINUTE_MS


@dataclass(frozen=True)
class Step:
    """The city's clock comes to `time_ms`; the frames hold what arrived since the step before."""

    time_ms: int
    frames: tuple[tuple[Group, Frame], ...]


def steps(city: City, script: Script) -> Iterator[Step]:
    """The run minute by minute, until what is late has come, too."""
    changes: dict[str, list[Change]] = {name: [] for name in city.groups}
    for happening in script.happenings:
        for part in happening.parts:
            for change in part.changes:
                changes[change.group].append(change)
    held: dict[tuple[str, int], Rows] = {}
    last_ms = script.to_ms + -(-VERY_LATE_MS[1] // HOUR_MS) * HOUR_MS
    for hour_ms in range(script.from_ms, last_ms, HOUR_MS):
        frames: dict[int, list[tuple[Group, Frame]]] = {}
        for name, group in city.groups.items():
            made = list(_made(city, script, group, changes[name], hour_ms)) if hour_ms < script.to_ms else []
            kept = [held.pop((name, period)) for period in (0, group.period_s) if (name, period) in held]
            for period in sorted({rows.period_s for rows in (*made, *kept)}):
                rows = _join([rows for rows in (*kept, *made) if rows.period_s == period], group.kind)
                later = _arrival(rows) >= hour_ms + HOUR_MS
                if later.any():
                    held[name, period] = rows.take(later)
                for time_ms, frame in _cut(city, group, rows.take(~later)):
                    frames.setdefault(time_ms, []).append((group, frame))
        for time_ms in range(hour_ms + STEP_MS, hour_ms + HOUR_MS + STEP_MS, STEP_MS):
            yield Step(time_ms, tuple(frames.get(time_ms, ())))


def steps_after(city: City, script: Script, after_ms: int | None) -> Iterator[Step]:
    """Those of a run whose moment lies behind `after_ms` (UTC ms), without making all before; None: all of them."""
    if after_ms is None or after_ms <= script.from_ms:
        return steps(city, script)
    # What comes most of an hour late is of the hour before.
    from_ms = max(script.from_ms, after_ms // HOUR_MS * HOUR_MS - HOUR_MS)
    if from_ms >= script.to_ms:
        return iter(())
    return (step for step in steps(city, replace(script, from_ms=from_ms)) if step.time_ms > after_ms)


def _made(city: City, script: Script, group: Group, changes: list[Change], hour_ms: int) -> Iterator[Rows]:
    """What a group measures in an hour, with what becomes of it on the way: by period."""
    now = [c for c in changes if c.from_ms < hour_ms + HOUR_MS and c.to_ms > hour_ms]
    parts = {group.period_s: [apply(now, ordinary_hour(city, group.name, hour_ms))]}
    for rows in added_in(script.happenings, group.name, hour_ms, hour_ms + HOUR_MS):
        parts.setdefault(0, []).append(rows)
    for period, found in sorted(parts.items()):
        chance = stream(city.seed, "way", group.name, period, hour_ms)
        yield _on_the_way(_join(found, group.kind), chance)


def _join(parts: list[Rows], kind: Kind) -> Rows:
    """Rows of one group and period; what one part tells and another does not is missing there."""
    names = sorted({name for rows in parts for name in rows.columns})
    missing = {name: 0.0 if kind.column(name).codes else np.nan for name in names}
    whole = [
        replace(rows, columns={n: rows.columns.get(n, np.full(len(rows), missing[n])) for n in names}) for rows in parts
    ]
    return joined(whole)


def _on_the_way(rows: Rows, chance: np.random.Generator) -> Rows:
    n = len(rows)
    fate = chance.random(n)
    delay_ms = chance.integers(*USUAL_DELAY_MS, n)
    for share, (least, most) in ((LATE + VERY_LATE, LATE_MS), (VERY_LATE, VERY_LATE_MS)):
        late = fate < share
        delay_ms[late] = chance.integers(least, most, int(late.sum()))
    return replace(rows, delay_ms=delay_ms).take(fate < 1.0 - MISSING)


def clock_errors_ms(city: City, group: Group) -> Int64Array:
    """By how much the clock of each sensor is ahead. Shape: (sensors,)."""
    chance = stream(city.seed, "clocks", group.name)
    wrong = chance.integers(0, ONE_WRONG_CLOCK_IN, len(group)) == 0
    ahead = np.where(wrong, chance.integers(-WRONG_BY_MS, WRONG_BY_MS, len(group)), 0)
    if group.name == AHEAD_GROUP:
        ahead[int(chance.integers(0, len(group)))] = AHEAD_MS
    return ahead.astype(np.int64)


def _arrival(rows: Rows) -> Int64Array:
    return rows.time_ms + rows.period_s * 1000 + rows.delay_ms


def _cut(city: City, group: Group, rows: Rows) -> Iterator[tuple[int, Frame]]:
    """Frames by the step that they arrive in, with the time that the city's clock has come to then."""
    if not len(rows):
        return
    step = _arrival(rows) // STEP_MS
    order = np.lexsort((rows.sensor, rows.time_ms, step))
    rows, step = rows.take(order), step[order]
    time_ms = rows.time_ms + clock_errors_ms(city, group)[rows.sensor]
    borders = np.concatenate(([0], np.flatnonzero(np.diff(step)) + 1, [len(rows)])).tolist()
    columns = {c.name: _column(c.name, c.type.value, rows, group.kind) for c in group.kind.columns}
    added = "" if rows.period_s == group.period_s else "-added"
    source = f"scenario-{city.seed}-{group.name}{added}"
    for first, end in pairwise(borders):
        part = slice(first, end)
        ids, entity = _dictionary(group, rows.sensor[part])
        clock_ms = (int(step[first]) + 1) * STEP_MS
        yield (
            clock_ms,
            Frame(
                city=city.name,
                entity_ids=ids,
                entity=entity,
                time_ms=time_ms[part],
                period_s=rows.period_s,
                columns={name: values[part] for name, values in columns.items()},
                source_id=source,
                sequence=int(step[first]) + 1,
                clock_ms=clock_ms,
            ),
        )


def _column(name: str, dtype: str, rows: Rows, kind: Kind) -> NDArray[Any]:
    if name not in rows.columns:
        return np.full(len(rows), 0 if kind.column(name).codes else np.nan, dtype)
    column = kind.column(name)
    values = rows.columns[name]
    told = values if column.codes else np.clip(values, column.minimum, column.maximum)
    return told.astype(dtype)


def _dictionary(group: Group, sensor: Int64Array) -> tuple[tuple[str, ...], NDArray[np.uint32]]:
    """All ids of the group where most of them are told, else those that are."""
    if 2 * len(sensor) >= len(group):
        return group.ids, sensor.astype(np.uint32)
    used, entity = np.unique(sensor, return_inverse=True)
    return tuple(group.ids[i] for i in used.tolist()), entity.astype(np.uint32)
