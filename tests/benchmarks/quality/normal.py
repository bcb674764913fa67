"""What is normal in a scenario's city, from its own eight weeks before a run: as a running city computes it in SQL."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from services.core.kind import HOUR_MS, Kind
from services.core.local_time import HOURS_OF_WEEK, UTC
from services.core.windows import BaselineColumns, WindowBatch
from services.feeds.scenario.city import City
from services.feeds.scenario.ordinary.table import ordinary_hour

Float64Array = NDArray[np.float64]

# By kind: the column that is summed, and over how many hours.
_SUMMED = {"people_count": ("count", 1), "emergency_call": ("calls", 1), "service_request": ("opened", 24)}


@dataclass(frozen=True)
class Normal:
    """Of the entities of one kind and the hours of the week. Shapes: (entities, 168)."""

    model: str
    median: Float64Array
    mad: Float64Array
    samples: int

    def of(self, batch: WindowBatch, entity: NDArray[np.int64]) -> BaselineColumns:
        """Of each row of a batch, whose entities these are. Shape: (rows,)."""
        hour = UTC.hour_of_week(batch.start_ms)
        samples = np.full(len(batch), self.samples, np.uint32)
        return BaselineColumns(self.model, self.median[entity, hour], self.mad[entity, hour], samples)


def normal_of(city: City, kind: Kind, groups: Mapping[str, int], before_ms: int) -> Normal | None:
    """Medians and MADs of ordinary weeks that end at a Monday at or before `before_ms`; None: nobody asks.

    `groups`: of each group of the kind, the number of its first entity. A case is taken for a call: hardly any two
    calls of an ordinary hour are about one event.
    """
    if kind.baseline is None:
        return None
    column, hours = _SUMMED[kind.name]
    weeks = kind.baseline.weeks
    count = sum(len(city.groups[name]) for name in groups)
    sums = np.zeros((count, weeks * HOURS_OF_WEEK + hours - 1))
    end_ms = before_ms - int(UTC.hour_of_week(np.array([before_ms]))[0]) * HOUR_MS
    first_ms = end_ms - weeks * HOURS_OF_WEEK * HOUR_MS
    for place in range(sums.shape[1]):
        for name, first in groups.items():
            rows = ordinary_hour(city, name, first_ms + place * HOUR_MS)
            weights = rows.columns[column]
            sums[first : first + len(city.groups[name]), place] = np.bincount(
                rows.sensor, weights, len(city.groups[name])
            )
    total = np.lib.stride_tricks.sliding_window_view(sums, hours, axis=1).sum(-1)
    by_week = total.reshape(count, weeks, HOURS_OF_WEEK)
    median = np.median(by_week, axis=1)
    mad = np.median(np.abs(by_week - median[:, None, :]), axis=1)
    return Normal(f"{kind.name}/{kind.baseline.window} of the scenario", median, mad, weeks)
