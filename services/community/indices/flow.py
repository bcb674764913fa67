"""Whether the gates of a place agree, and whether it will be full before it closes."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Float64Array = NDArray[np.float64]
Int64Array = NDArray[np.int64]

# A day may bring so many times fewer or more people than usual; the first visitors say no more. A proposal.
GREATEST_FACTOR = 4.0


@dataclass(frozen=True)
class Balance:
    """What the gates of a place counted from opening to a moment at which all have gone. Shapes: (…)."""

    entered: Float64Array
    left: Float64Array
    surplus: Float64Array  # entered - left: people who are left over on paper
    drift: Float64Array  # the surplus as a share of all who came or went / 2; NaN where nobody did


def flow_balance(entered: Float64Array, left: Float64Array) -> Balance:
    """Sums over the gates of a place, (gates, …), each NaN where a gate did not count."""
    came, went = np.nansum(entered, axis=0), np.nansum(left, axis=0)
    surplus, passed = came - went, (came + went) / 2.0
    return Balance(came, went, surplus, np.divide(surplus, passed, out=np.full_like(passed, np.nan), where=passed > 0))


@dataclass(frozen=True)
class Forecast:
    """People in a place at the end of each step that is left of the day."""

    present: Float64Array  # (steps,)
    peak: float  # the greatest of them and of now
    full_step: int  # the first step at whose end there are more than the capacity; -1: none


def forecast_to_closing(
    present: float, entered: float, usual_entered: float, usual_net: Float64Array, capacity: float
) -> Forecast:
    """The rest of the day as it usually goes, as many times as lively as the day has been.

    `entered` so far today and `usual_entered` so far on such a day scale `usual_net`, in - out of each step until
    closing, (steps,). Where nobody usually has come yet, the day counts as usual. ValueError: a number below 0.
    """
    if not all(number >= 0.0 for number in (present, entered, usual_entered, capacity)):
        raise ValueError("people and capacity must be numbers from 0 up")
    factor = entered / usual_entered if usual_entered > 0.0 else 1.0
    factor = min(max(factor, 1.0 / GREATEST_FACTOR), GREATEST_FACTOR)
    path = np.maximum(present + factor * np.cumsum(usual_net), 0.0)
    full = np.flatnonzero(path > capacity)
    return Forecast(path, float(max([present, *path.tolist()])), int(full[0]) if len(full) else -1)
