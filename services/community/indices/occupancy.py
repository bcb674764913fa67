"""How many people are inside: what was counted last, and who came and went since; never fewer than none."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Float64Array = NDArray[np.float64]
Int64Array = NDArray[np.int64]


@dataclass(frozen=True)
class Occupancy:
    """People inside an area after each event, in the order of area and time. Shapes: (events,)."""

    order: Int64Array  # place of each event among those given
    inside: Int64Array
    # People of whom it is known since the last count that they left and not that they came: what the log lost.
    unseen: Int64Array


def occupancy(
    area: Int64Array, time_ms: Int64Array, entered: Int64Array, left: Int64Array, counted: Float64Array
) -> Occupancy:
    """Anchor + in - out for every area, at every event, whatever the order they are given in. Shapes: (events,).

    An event is a passage of some people in or out, or a count of all who are inside (`counted`, else NaN), which
    anchors the sum anew; nobody is inside before the first event. At one moment events that bring people come before
    those that take some away, and counts last, of several the greatest. Who leaves and was never seen to come does not
    count. ValueError: a negative number.
    """
    is_count = ~np.isnan(counted)
    if len(area) and (min(entered.min(), left.min()) < 0 or (counted[is_count] < 0).any()):
        raise ValueError("people that come, go or are counted cannot be fewer than none")
    # Events that are alike in all of these do the same, so that the order they were given in does not show.
    order = np.lexsort((np.nan_to_num(counted), left - entered, is_count, time_ms, area))
    anchors = is_count[order]
    change = np.where(anchors, np.nan_to_num(counted[order]), entered[order] - left[order]).astype(np.int64)
    begins = anchors.copy()
    begins[1:] |= np.diff(area[order]) != 0
    begins[:1] = True
    total = _sum_within(change, begins)
    unseen = -np.minimum(_least_within(total, begins), 0)
    return Occupancy(order, total + unseen, unseen)


def _sum_within(values: Int64Array, begins: NDArray[np.bool_]) -> Int64Array:
    """Running sum that starts anew where a section begins."""
    running = np.cumsum(values)
    first = np.maximum.accumulate(np.where(begins, np.arange(len(values)), 0))
    return np.asarray(running - running[first] + values[first], np.int64)


def _least_within(values: Int64Array, begins: NDArray[np.bool_]) -> Int64Array:
    """Running minimum that starts anew where a section begins: each section is moved below all before it."""
    if not len(values):
        return values
    down = (np.cumsum(begins) - 1) * (int(values.max()) - int(values.min()) + 1)
    return np.asarray(np.minimum.accumulate(values - down) + down, np.int64)
