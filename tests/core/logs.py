"""Kinds and logs to try the engine on, and what left it in a form that can be compared."""

from __future__ import annotations

import dataclasses
import math
import random
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from hypothesis import strategies as st
from numpy.typing import NDArray

from services.core.anomaly.memory import Field
from services.core.following import OBSERVATIONS, Follower, Moment
from services.core.frame import Block, Frame, Malformed, Problem
from services.core.history import History
from services.core.kind import Aggregate, Column, ColumnType, Detector, Kind, Measure, Window
from services.core.partition import Closing, Partition, PartitionState
from services.core.pattern import Pattern, Steps, Trail
from services.core.signals import EvidenceColumn, Finding, Severity, Signal
from services.core.windows import WindowBatch
from tests.core.oracle import Emission

# A Monday, and a multiple of every window here.
T0 = 1_700_438_400_000
HIGH = 20.0
CODES = ((1, "ONE"), (2, "TWO"), (3, "THREE"), (9, "NINE"))

Refusal = tuple[int, str, int, tuple[Problem, ...], tuple[int, ...]]  # offset, class, count, problems, rows
Row = tuple[str, float] | tuple[str, float, float]  # entity, seconds after T0, speed

# Speeds are too far apart for levels.
EVERY = tuple(a for a in Aggregate if a not in (Aggregate.QUANTILE, Aggregate.TOP, Aggregate.ENERGY_MEAN))


def find_high(batch: WindowBatch) -> Finding:
    """A mean above 20 that is also above that of the window before, where there was one."""
    mean = batch.measures["speed_mean"]
    before = batch.previous.get("speed_mean", np.full(len(batch), np.nan))
    breached = (mean > HIGH) & ~(mean <= before)
    severity = np.where(mean > 2 * HIGH, Severity.SEVERE, Severity.MINOR)
    return Finding(breached, severity, np.clip(mean / 100, 0, 1), (EvidenceColumn("speed_mean", mean, HIGH, before),))


def find_risen(batch: WindowBatch) -> Finding:
    """A mean above twice the least of the four windows before, as far as one of them is known."""
    least = np.fmin.reduce(batch.history["speed_mean"][:, :-1], axis=1)
    mean = batch.measures["speed_mean"]
    breached = mean > 2 * least
    severity = np.full(len(batch), Severity.MODERATE)
    evidence = (EvidenceColumn("speed_mean", mean, 2 * least),)
    return Finding(breached, severity, np.clip(mean / 100, 0, 1), evidence, [f"of {e}" for e in batch.slot.tolist()])


LOOKS_BACK = History(5, ("speed_mean", "count_sum"))


def step_follower(moment: Moment) -> Finding:
    """What has faded by half since the window before and is added up, and what the neighbour did one window ago."""
    speed, theirs = moment.measures["speed_mean"], moment.of_neighbour("speed_mean", 1)
    memory = moment.memory
    memory.of("windows")[moment.slot] += 1
    memory.of("last_two")[moment.slot] = np.stack([memory.of("last_two")[moment.slot][:, 1], speed], axis=1)
    memory.of("faded")[moment.slot] = faded = memory.of("faded")[moment.slot] / 2 + np.nan_to_num(speed)
    breached = (faded > HIGH) | (theirs > 2 * speed)
    evidence = (
        EvidenceColumn("faded", faded, HIGH, memory.of("last_two")[moment.slot][:, 0]),
        EvidenceColumn("neighbour", theirs, 2 * speed),
        EvidenceColumn("observations", moment.measures[OBSERVATIONS], 0.0),
        EvidenceColumn("windows", memory.of("windows")[moment.slot].astype(np.float64), 0.0),
        EvidenceColumn("share", moment.attributes["share"], 0.0, moment.hour_of_week.astype(np.float64)),
    )
    severity = np.where(faded > 2 * HIGH, Severity.SEVERE, Severity.MINOR)
    return Finding(breached, severity, np.clip(faded / 100, 0, 1), evidence)


FOLLOWER = Follower(
    fields=(Field("windows", dtype="<i8"), Field("last_two", math.nan, 2), Field("faded")),
    measures=("speed_mean", OBSERVATIONS),
    step=step_follower,
    keep_ms=60_000,
    label="next",
    back=1,
)


def follow(window: str) -> Detector:
    return Detector(f"follow_{window}", "1", window, attributes=(("share", 0.0),), follower=FOLLOWER)


def completed(batch: WindowBatch) -> WindowBatch:
    """With what is known of the entities: each names the next one in the alphabet."""
    ids = [batch.entity_ids[slot] for slot in batch.slot.tolist()]
    nexts = [chr(ord(name[0]) + 1) if len(name) == 1 else "a" for name in ids]
    share = np.array([ord(name[-1]) / 128 for name in ids])
    return dataclasses.replace(batch, labels={"next": np.array(nexts, object)}, attributes={"share": share})


def kind(
    windows: Sequence[Window],
    *,
    disorder_ms: int,
    lateness_ms: int,
    judged: Sequence[str] = (),
    followed: Sequence[str] = (),
) -> Kind:
    """A kind with one required column, optional ones, and every aggregate; all that is told is looked at once more in
    the window after, but for sessions."""
    measures = (
        Measure("count", (Aggregate.SUM, Aggregate.MAX, Aggregate.LAST_MS)),
        Measure("speed", (*EVERY, Aggregate.QUANTILE), percents=(10, 50, 95), weight="count"),
        Measure("exact", (Aggregate.LAST, Aggregate.MEAN, Aggregate.VARIANCE, Aggregate.ENERGY_MEAN)),
        Measure("code", (Aggregate.FIRST, Aggregate.DISTINCT, Aggregate.TOP), tops=2),
    )
    told = tuple(name for measure in measures for name in measure.names())
    before = {w.name: () if w.gap_ms else told for w in windows}
    return Kind(
        name="probe",
        columns=(
            Column("count", "1", 0, 1000, required=True),
            Column("speed", "km/h", -50, 300),
            Column("exact", "1", -8, 8, type=ColumnType.DOUBLE),
            Column("code", "1", 1, 9, type=ColumnType.CODE, codes=CODES),
        ),
        windows=tuple(windows),
        measures=measures,
        disorder_ms=disorder_ms,
        lateness_ms=lateness_ms,
        skew_ms=5_000,
        detectors=(
            *(Detector(f"high_{name}", "1", name, find_high, previous=before[name]) for name in judged),
            *(follow(name) for name in followed),
        ),
    )


TUMBLING = kind([Window("10s", 10_000)], disorder_ms=3_000, lateness_ms=20_000, judged=["10s"])
HOPPING = kind([Window("60s", 60_000, 10_000)], disorder_ms=5_000, lateness_ms=30_000, judged=["60s"])
NESTED = kind(
    [Window("20s", 20_000), Window("10s", 10_000), Window("60s", 60_000, 20_000)],
    disorder_ms=0,
    lateness_ms=40_000,
    judged=["60s"],
)
# Slides of which none divides the other, and no lateness at all.
UNEVEN = kind([Window("8s", 8_000, 4_000), Window("12s", 12_000, 6_000)], disorder_ms=1_000, lateness_ms=0)
SESSIONS = kind([Window("s", 120_000, gap_ms=6_000)], disorder_ms=2_000, lateness_ms=24_000, judged=["s"])
# Sessions of two gaps beside fixed windows, one of which tells early.
MIXED = kind(
    [
        Window("short", 60_000, gap_ms=4_000),
        Window("20s", 20_000, early_ms=5_000),
        Window("long", 180_000, gap_ms=30_000),
        Window("60s", 60_000, 20_000),
    ],
    disorder_ms=0,
    lateness_ms=60_000,
    judged=["20s"],
)
WITHIN_MS = 25_000


def mark_faster(steps: Steps) -> NDArray[np.bool_]:
    """Whether an observation of the same entity and code within 25 s before was slower. O(n²)."""
    speed, code = steps.columns["speed"], steps.columns["code"]
    gap_ms = steps.time_ms[:, None] - steps.time_ms[None, :]
    of_same = (steps.entity[:, None] == steps.entity[None, :]) & (code[:, None] == code[None, :])
    slower = (speed[:, None] > speed[None, :]) & of_same & (gap_ms > 0) & (gap_ms <= WITHIN_MS)
    return np.asarray(slower.any(axis=1), np.bool_)


# Windows that look back beyond their start, at single observations of which a pane keeps three of an entity at most.
TRAIL = dataclasses.replace(
    kind([Window("10s", 10_000), Window("40s", 40_000, 20_000)], disorder_ms=3_000, lateness_ms=60_000, judged=["10s"]),
    trail=Trail(("speed", "code"), WITHIN_MS, (Pattern("faster_count", mark_faster),), subject="code", most=3),
    detectors=(Detector("high_10s", "1", "10s", find_high, previous=("speed_mean", "speed_p50", "faster_count")),),
)
# What is looked at reaches further back than observations may come late.
HISTORY = dataclasses.replace(
    kind([Window("10s", 10_000), Window("20s", 20_000, 10_000)], disorder_ms=2_000, lateness_ms=20_000),
    detectors=(Detector("risen", "1", "10s", find_risen, history=LOOKS_BACK),),
)
FOLLOWED = kind(
    [Window("10s", 10_000), Window("60s", 60_000, 20_000)],
    disorder_ms=2_000,
    lateness_ms=40_000,
    judged=["60s"],
    followed=["10s", "60s"],
)
# No lateness, and nobody looks at the window before.
BRIEF = kind([Window("10s", 10_000)], disorder_ms=0, lateness_ms=0, followed=["10s"])
KINDS = {
    "trail": TRAIL,
    "tumbling": TUMBLING,
    "hopping": HOPPING,
    "nested": NESTED,
    "uneven": UNEVEN,
    "sessions": SESSIONS,
    "mixed": MIXED,
    "history": HISTORY,
    "followed": FOLLOWED,
    "brief": BRIEF,
}


def frame(
    rows: Iterable[Row],
    *,
    offset: int = -1,
    city: str = "auckland",
    period_s: int = 0,
    clock_ms: int | None = None,
    heartbeat: bool = False,
    source: tuple[str, int] = ("", 0),
) -> Frame:
    """A frame of these rows. Its clock is by default the greatest end of a row."""
    full = [row if len(row) == 3 else (*row, math.nan) for row in rows]
    ids = tuple(dict.fromkeys(entity for entity, _, _ in full))
    times = np.array([T0 + round(second * 1000) for _, second, _ in full], np.int64)
    latest = int(times.max(initial=T0)) + period_s * 1000
    speeds = np.array([speed for _, _, speed in full])
    return Frame(
        city=city,
        entity_ids=ids,
        entity=np.array([ids.index(entity) for entity, _, _ in full], np.uint32),
        time_ms=times,
        period_s=period_s,
        columns={
            "count": np.ones(len(full), np.float32),
            "speed": speeds.astype(np.float32),
            "exact": np.clip(speeds / 100, -8, 8),
            "code": np.zeros(len(full), np.uint32),
        },
        source_id=source[0],
        sequence=source[1],
        clock_ms=latest if clock_ms is None else clock_ms,
        heartbeat=heartbeat,
        offset=offset,
    )


def heartbeat(second: float, offset: int = -1) -> Frame:
    """A frame without observations that says how far the city's clock has come."""
    return frame([], clock_ms=T0 + round(second * 1000), heartbeat=True, offset=offset)


@st.composite
def logs(draw: st.DrawFn, of: Kind, longest: int = 14) -> list[Frame | Malformed]:
    """A log with disorder, lateness, repetitions, heartbeats, faults and a clock that now and then jumps ahead."""
    return _log(random.Random(draw(st.integers(0, 2**32))), of, draw(st.integers(1, longest)))


def random_log(chance: random.Random, of: Kind, longest: int = 14) -> list[Frame | Malformed]:
    """The same from a seed."""
    return _log(chance, of, chance.randint(1, longest))


def _log(chance: random.Random, of: Kind, records_wanted: int) -> list[Frame | Malformed]:
    records: list[Frame | Malformed] = []
    clock_ms = T0 + 60_000
    for offset in range(records_wanted):
        clock_ms += chance.choice([0, 500, 2_000, 4_000, 9_000, 30_000])
        pick = chance.random()
        if pick < 0.05:
            records.append(Malformed(offset, "torn"))
        elif pick < 0.15:
            records.append(heartbeat((clock_ms - T0) / 1000, offset))
        else:
            records.append(_random_frame(chance, of, offset, clock_ms))
    return records


def _random_frame(chance: random.Random, of: Kind, offset: int, clock_ms: int) -> Frame:
    n = chance.choice([0, 1, 2, 3, 5, 8, 12])
    ids = tuple(chance.sample(["a", "b", "c", "d:1", "e"] + [f"x{i}" for i in range(10)], chance.choice([1, 3, 5, 9])))
    ages = [0, 100, 1_000, 5_000, 12_000, 35_000, 70_000, -4_000]
    period_s = chance.choice([0, 0, 1, 10, 12, 20, 60, 61])
    times = [
        max(0, clock_ms - period_s * 1000 - chance.choice(ages) - chance.choice([0, chance.randrange(1000)]))
        for _ in range(n)
    ]
    counts = [float(chance.choice([0, 1, 7, 1000, 1001] if chance.random() < 0.1 else [0, 1, 7])) for _ in range(n)]
    speeds = [chance.choice([math.nan, -0.0, 0.0, chance.randrange(-200, 1200) / 4]) for _ in range(n)]
    exact = [chance.choice([math.nan, chance.randrange(-8 * 2**20, 8 * 2**20) / 2**20]) for _ in range(n)]
    codes = [chance.choice([0, 1, 2, 3, 9, 4 if chance.random() < 0.1 else 9]) for _ in range(n)]
    beyond = 1 if chance.random() < 0.1 else 0
    return Frame(
        city=chance.choice(["auckland", "auckland", "oslo"]),
        entity_ids=ids,
        entity=np.array([chance.randrange(len(ids) + beyond) for _ in range(n)], np.uint32),
        time_ms=np.array(times, np.int64),
        period_s=period_s,
        columns={
            "count": np.array(counts, np.float32),
            "speed": np.array(speeds, np.float32),
            "exact": np.array(exact, np.float64),
            "code": np.array(codes, np.uint32),
        },
        source_id=chance.choice(["", "g1", "g2"]),
        sequence=chance.choice([0, 1, 2, 3, offset + 1, offset + 1, 70, 140]),
        clock_ms=clock_ms,
        offset=offset,
    )


def fold_all(partition: Partition, records: Sequence[Frame | Malformed | Block]) -> tuple[list[Closing], list[Signal]]:
    """Everything that leaves while these records are folded at once."""
    closings, signals = [], []
    for closing in partition.fold(records):
        closings.append(closing)
        for batch in closing.batches:
            signals += partition.detect(completed(batch))
    return closings, signals


def emissions_of(batch: WindowBatch) -> list[Emission]:
    """The rows of a batch one by one."""
    return [
        Emission(
            window=batch.window.name,
            city=batch.cities[slot],
            entity=batch.entity_ids[slot],
            start_ms=int(batch.start_ms[i]),
            revision=int(batch.revision[i]),
            measures={name: float(values[i]) for name, values in batch.measures.items()},
            previous={name: float(values[i]) for name, values in batch.previous.items()},
            end_ms=int(batch.end_ms[i]),
            history={name: tuple(values[i].tolist()) for name, values in batch.history.items()},
        )
        for i, slot in enumerate(batch.slot.tolist())
    ]


def bytes_of_batches(closings: Iterable[Closing]) -> list[bytes]:
    """Each closing with windows as bytes: equal bytes are equal rows in equal order."""
    return [
        repr([closing.watermark_ms, [_bytes_of_batch(b) for b in (*closing.batches, *closing.early)]]).encode()
        for closing in closings
        if closing.batches or closing.early
    ]


def _bytes_of_batch(batch: WindowBatch) -> list[object]:
    columns: list[NDArray[Any]] = [
        batch.slot,
        batch.start_ms,
        batch.end_ms,
        batch.revision,
        *batch.measures.values(),
        *batch.previous.values(),
        *batch.history.values(),
    ]
    texts = [(batch.cities[slot], batch.entity_ids[slot]) for slot in batch.slot.tolist()]
    return [batch.window.name, [*batch.measures], texts, [(c.dtype.str, c.tobytes()) for c in columns]]


def bytes_of_state(state: PartitionState) -> bytes:
    """A snapshot as bytes."""
    arrays = [(name, a.dtype.str, a.shape, a.tobytes()) for name, a in state.arrays.items()]
    rest = (state.partition, state.next_offset, state.watermark_ms, dataclasses.astuple(state.counters), state.texts)
    return repr((arrays, rest)).encode()


def left_over(closings: Iterable[Closing]) -> tuple[list[tuple[int, int]], list[Refusal]]:
    """Late rows (offset, row), and refused ones (offset, class, count, problems), in their order."""
    late: list[tuple[int, int]] = []
    refused: list[Refusal] = []
    for closing in closings:
        for part in closing.late:
            late += zip(part.offsets.tolist(), part.rows.tolist(), strict=True)
        refused += [(r.offset, r.error_class, r.count, r.problems, tuple(r.rows)) for r in closing.refused]
    return sorted(late), refused
