"""What a permitted source emits: means that count, limits of its permit, signs of falsified monitoring, abatement off.

Arrays have the time first, in even steps: (steps, …). NaN is a step without a value.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

Float64Array = NDArray[np.float64]
BoolArray = NDArray[np.bool_]


class EmissionState(IntEnum):
    """What a source says of itself with each observation; equal in number to urban.environment.v1.EmissionState."""

    RUNNING = 1
    RUNNING_UNABATED = 2
    STOPPED = 3
    MAINTENANCE = 4
    CALIBRATION = 5
    FAULT = 6


# An hour's mean counts with 45 minutes of data, a day's with 75 % of the hours in which the plant ran
# (HJ 75-2017; from general knowledge, its text was not at hand).
LEAST_SHARE = 0.75

# Signs of falsified monitoring (jinhhb.com/news/2850-cn.html, 20 to 22 of its list): values that stay about the
# detection limit, that vary for long within 2 % of the range, and none for long without a reason.
FLAT_SHARE_OF_RANGE = 0.02
# What "about" and "long" are is a proposal, not a standard.
ABOUT_DETECTION_LIMIT = 2.0  # from 0 to so many times the limit
LONG_HOURS = 4

# Oxygen of dry air in % by volume, as the conversion to a reference writes it.
OXYGEN_OF_AIR = 21.0


def mean_that_counts(values: Float64Array, running: BoolArray, least_share: float = LEAST_SHARE) -> Float64Array:
    """Mean of the steps in which the plant ran, along the first axis; NaN where too few of them have a value, or none.

    Minutes into an hour (all of them running) or hours into a day. Shapes: (steps, …) to (…).
    """
    taken = running & ~np.isnan(values)
    ran, count = running.sum(0), taken.sum(0)
    total = np.where(taken, values, 0.0).sum(0)
    return np.where((count > 0) & (count >= least_share * ran), total / np.maximum(count, 1), np.nan)


def at_reference_oxygen(
    concentration: Float64Array, oxygen_percent: Float64Array, reference_percent: Float64Array | float
) -> Float64Array:
    """Concentration that dry flue gas would have at the reference share of oxygen (HJ 75-2017; GB 13223-2011).

    C (21 - O_ref) / (21 - O): so that air let in dilutes nothing. NaN where the flue gas is air. Shapes: any.
    """
    left = OXYGEN_OF_AIR - oxygen_percent
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(left > 0.0, concentration * (OXYGEN_OF_AIR - reference_percent) / left, np.nan)


def times_limit(mean: Float64Array, limit: Float64Array) -> Float64Array:
    """A mean against the limit of the permit: above 1 is exceedance. NaN: no mean, or no such limit. Shapes: any."""
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(limit > 0.0, mean / limit, np.nan)


@dataclass(frozen=True)
class Analyser:
    """What is known of an analyser, in the unit of its values."""

    detection_limit: float
    range: float  # full scale

    def __post_init__(self) -> None:
        if not 0.0 <= self.detection_limit < self.range:
            raise ValueError(f"detection limit {self.detection_limit} must lie from 0 to below the range {self.range}")


@dataclass(frozen=True)
class Signs:
    """Whether each sign has held for the whole time up to and with each step. Shapes: (steps, …)."""

    about_detection_limit: BoolArray
    flat: BoolArray
    gap: BoolArray


def falsification_signs(
    values: Float64Array, running: BoolArray, excused: BoolArray, analyser: Analyser, long_steps: int = LONG_HOURS
) -> Signs:
    """The three signs, each over the last `long_steps` steps, while the plant ran and nobody had said why.

    `excused` is maintenance, calibration or a fault that was reported: such a step, and one at which the plant stood,
    ends a run. Only the gap is a sign where values lack. Shapes: (steps, …).
    """
    if long_steps < 2:
        raise ValueError(f"{long_steps} steps: what does not change takes at least two")
    asked = running & ~excused
    present = ~np.isnan(values)
    near = present & (values >= 0.0) & (values <= ABOUT_DETECTION_LIMIT * analyser.detection_limit)
    windows = _last(np.where(asked & present, values, np.nan), long_steps, np.nan)
    # The greatest of numbers of which one is NaN is NaN, and no comparison holds for it.
    variation = windows.max(-1) - windows.min(-1)
    return Signs(
        about_detection_limit=_always(asked & near, long_steps),
        flat=np.asarray(variation <= FLAT_SHARE_OF_RANGE * analyser.range, np.bool_),
        gap=_always(asked & ~present, long_steps),
    )


def abatement_off(producing: BoolArray, abating: BoolArray, steps: int = 1) -> BoolArray:
    """The plant has produced for so many steps on end while the device that cleans its waste was off. (steps, …)."""
    return _always(producing & ~abating, steps)


def _always(holds: BoolArray, steps: int) -> BoolArray:
    return np.asarray(_last(holds.astype(np.float64), steps, 0.0).min(-1) == 1.0, np.bool_)


def _last(values: Float64Array, steps: int, before: float) -> Float64Array:
    """The last steps at each one, on a new last axis; `before` stands for those before the first."""
    lead = np.full((steps - 1, *values.shape[1:]), before)
    windows: Float64Array = sliding_window_view(np.concatenate([lead, values]), steps, axis=0)
    return windows
