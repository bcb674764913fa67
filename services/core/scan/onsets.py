"""What counts as a case: that something begins, not that it goes on."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Int64Array = NDArray[np.int64]


def find_onsets(key: Int64Array, start_ms: Int64Array, gap_ms: int) -> Int64Array:
    """Places of the signals that follow no signal of the same key within `gap_ms`, ascending.

    A jam of three hours is 36 signals and one event: counted 36 times, they would look like a cluster by themselves, as
    the test takes cases for independent. `key`: a number for each entity and detector. Shapes: (n,) to (onsets,).
    """
    order = np.lexsort((start_ms, key))
    new = np.ones(len(order), np.bool_)
    new[1:] = (np.diff(key[order]) != 0) | (np.diff(start_ms[order]) > gap_ms)
    return np.sort(order[new])
