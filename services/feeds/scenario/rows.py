"""Observations of a group in columns, and the tables that they are made in: every sensor at every moment of an hour."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from services.core.kind import HOUR_MS

Float64Array = NDArray[np.float64]
Int64Array = NDArray[np.int64]


@dataclass(frozen=True)
class Rows:
    """Observations of one group. Arrays: (n,). Columns that are left out were not measured."""

    time_ms: Int64Array  # start of what was measured, by the true clock
    sensor: Int64Array
    columns: Mapping[str, Float64Array]
    period_s: int
    delay_ms: Int64Array = field(default_factory=lambda: np.empty(0, np.int64))  # empty: not late

    def __len__(self) -> int:
        return len(self.time_ms)

    def take(self, rows: NDArray[np.bool_] | Int64Array) -> Rows:
        """Some of them."""
        delay_ms = self.delay_ms[rows] if len(self.delay_ms) else self.delay_ms
        columns = {name: values[rows] for name, values in self.columns.items()}
        return Rows(self.time_ms[rows], self.sensor[rows], columns, self.period_s, delay_ms)


def every(
    hour_ms: int, step_s: int, sensors: int, offset_ms: Float64Array | None = None
) -> tuple[Int64Array, Int64Array]:
    """Times and sensors of an hour in which each tells every so often: moment by moment. Shapes: (moments * sensors,).

    `offset_ms` of each sensor is added to its times; it must be shorter than the step.
    """
    moments = hour_ms + np.arange(0, HOUR_MS, step_s * 1000, dtype=np.int64)
    time_ms = np.repeat(moments, sensors)
    sensor = np.tile(np.arange(sensors, dtype=np.int64), len(moments))
    if offset_ms is not None:
        time_ms = time_ms + np.tile(offset_ms.astype(np.int64), len(moments))
    return time_ms, sensor


def at_random(hour_ms: int, mean: Float64Array, chance: np.random.Generator) -> tuple[Int64Array, Int64Array]:
    """Times and sensors of events of an hour, of which each sensor has so many on average (Poisson), by time."""
    times = chance.poisson(mean)
    sensor = np.repeat(np.arange(len(mean), dtype=np.int64), times)
    time_ms = hour_ms + chance.integers(0, HOUR_MS, len(sensor), dtype=np.int64)
    order = np.lexsort((sensor, time_ms))
    return time_ms[order], sensor[order]
