"""Observations of security as the engine takes them, and what comes of them."""

from __future__ import annotations

import math
import random
from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from services.core.frame import Frame
from services.core.kind import HOUR_MS, Kind
from services.core.partition import Partition
from services.core.pattern import Steps
from services.core.signals import Signal
from services.core.windows import BaselineColumns, WindowBatch

# 2026-06-01T00:00Z, a Monday
T0 = 1_780_272_000_000
HASH = float(2**52)

Values = Mapping[str, float]
Row = tuple[float, Values]  # seconds after T0, columns


def steps_of(kind: Kind, rows: Sequence[Row], entity: int = 0) -> Steps:
    """The steps of one entity, as the trail of the kind gives them: in order and each once."""
    assert kind.trail
    names = kind.trail.columns
    found = {(round(s * 1000), *(values.get(name, math.nan) for name in names)) for s, values in rows}
    ordered = sorted(found, key=lambda row: tuple(math.inf if math.isnan(v) else v for v in row))
    columns = {name: np.array([row[1 + i] for row in ordered]) for i, name in enumerate(names)}
    time_ms = np.array([T0 + row[0] for row in ordered], np.int64)
    return Steps(np.full(len(ordered), entity, np.int64), time_ms, columns)


def frame_of(kind: Kind, rows: Sequence[Row], entity: str = "one", sequence: int = 0) -> Frame:
    """One frame of one entity, with the clock of its last observation."""
    missing = {c.name: 0.0 if c.codes else math.nan for c in kind.columns}
    return Frame(
        city="testville",
        entity_ids=(entity,),
        entity=np.zeros(len(rows), np.uint32),
        time_ms=np.array([T0 + round(s * 1000) for s, _ in rows], np.int64),
        period_s=0,
        columns={
            c.name: np.array([values.get(c.name, missing[c.name]) for _, values in rows], c.type.value)
            for c in kind.columns
        },
        source_id="test" if sequence else "",
        sequence=sequence,
        clock_ms=T0 + 24 * HOUR_MS,
    )


def run(
    kind: Kind, frames: Sequence[Frame], normal: float = math.nan
) -> tuple[dict[int, dict[str, float]], list[Signal]]:
    """Final windows of all entities together by minute of their start, and the signals that stand in the end.

    `normal`: the baseline of every window.
    """
    partition = Partition("security", kind, 0)
    windows: dict[int, dict[str, float]] = {}
    signals: dict[str, Signal] = {}
    for records in [[frame] for frame in frames] + [[_clock(kind)]]:
        for closing in partition.fold(records):
            assert not closing.refused, closing.refused
            assert not closing.late
            for batch in closing.batches:
                for row, start_ms in enumerate(batch.start_ms.tolist()):
                    told = {name: float(values[row]) for name, values in batch.measures.items()}
                    windows[(start_ms - T0) // 60_000] = told
                signals |= {signal.id: signal for signal in partition.detect(_with_baseline(batch, normal))}
    return windows, sorted((s for s in signals.values() if not s.retracted), key=lambda s: (s.start_ms, s.type))


def _with_baseline(batch: WindowBatch, normal: float) -> WindowBatch:
    same = np.full(len(batch), normal)
    return replace(batch, baseline=BaselineColumns("", same, same, np.ones(len(batch), np.uint32)))


def _clock(kind: Kind) -> Frame:
    """The clock goes on until all windows have left for good."""
    return replace(frame_of(kind, []), entity_ids=(), clock_ms=T0 + 72 * HOUR_MS, heartbeat=True)


def thrice_and_shuffled(kind: Kind, rows: Sequence[Row], seed: int) -> list[Frame]:
    """Each row in a numbered frame of its own, three times, in any order."""
    frames = [frame_of(kind, [row], sequence=number) for number, row in enumerate(rows, 1)] * 3
    random.Random(seed).shuffle(frames)
    return frames
