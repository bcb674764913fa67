"""Signals as the engine makes them of observations of one entity."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from services.core.frame import Frame
from services.core.kind import HOUR_MS, Kind
from services.core.partition import Partition
from services.core.signals import Signal

# 2024-06-03T00:00Z
T0 = 1_717_372_800_000

Columns = Mapping[str, Sequence[float]]


def signals_of(
    kind: Kind,
    columns: Columns,
    numbers: Mapping[str, float] | None = None,
    *,
    every_s: int = 60,
    at_s: Sequence[float] | None = None,
) -> list[Signal]:
    """All signals of these observations, one every so often or at these times after T0, of an entity with numbers."""
    rows = len(next(iter(columns.values())))
    times_s = np.arange(rows) * every_s if at_s is None else np.array(at_s)
    missing = {c.name: [0.0 if c.codes else math.nan] * rows for c in kind.columns}
    values = {c.name: np.array((missing | dict(columns))[c.name], c.type.value) for c in kind.columns}
    time_ms = T0 + (times_s * 1000).astype(np.int64)
    period_s = every_s if at_s is None else 0
    entity = np.zeros(rows, np.uint32)
    frame = Frame("auckland", ("one",), entity, time_ms, period_s, values, clock_ms=int(time_ms[-1]))
    partition = Partition("traffic", kind, 0)
    wanted = {name: default for d in kind.detectors for name, default in d.attributes} | dict(numbers or {})
    signals = []
    for closing in partition.fold([frame, _heartbeat(kind)]):
        assert not closing.refused
        for batch in closing.batches:
            attributes = {name: np.full(len(batch), value) for name, value in wanted.items()}
            labels = {d.follower.label: np.full(len(batch), "", object) for d in kind.detectors if d.follower}
            signals += partition.detect(replace(batch, attributes=attributes, labels=labels))
    assert not any(signal.retracted for signal in signals)
    return signals


def minutes_of(signals: list[Signal], kind: str) -> list[int]:
    """Minutes after T0 at which the windows with signals of a type begin."""
    return [(signal.start_ms - T0) // 60_000 for signal in signals if signal.type == kind]


def _heartbeat(kind: Kind) -> Frame:
    """The clock goes on until all windows have left for good."""
    nothing = {c.name: np.empty(0, c.type.value) for c in kind.columns}
    none, never = np.empty(0, np.uint32), np.empty(0, np.int64)
    return Frame("auckland", (), none, never, 0, nothing, clock_ms=T0 + 48 * HOUR_MS, heartbeat=True)
