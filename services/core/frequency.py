"""The most frequent codes of many entities at once, and how many different ones: exact, as codes are few.

Each code that was met is counted: 16 bytes for each window, entity and code in it. Sketches for unbounded values
(Space-Saving, Misra-Gries) depend on the order of arrival, and have no place here.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from services.core.sketch import Form, Weighted

_CODE_BITS = 16

CODES = Form(
    name="codes",
    layout="counted by code",
    bits=_CODE_BITS,
    marks_of=lambda values: values.astype(np.int64),
    join=np.add,
    weight="<i8",
    stored_weight="<u4",
)

Float64Array = NDArray[np.float64]


def most_frequent(parts: Sequence[Weighted], rows: int, places: int) -> list[tuple[Float64Array, Float64Array]]:
    """For each place, from the first, the code there and how often it was met; of equally frequent ones the smaller
    code comes first. NaN, and 0 times, where a row has fewer codes. Shapes: (rows,).

    `parts` are what `collect` told of the panes of the rows' windows.
    """
    codes, counts = CODES.merge(parts)
    row = codes >> _CODE_BITS
    order = np.lexsort((codes, -counts, row))
    place = np.arange(len(codes)) - np.searchsorted(row, row)
    told = []
    for wanted in range(places):
        here = order[place == wanted]
        code, times = np.full(rows, np.nan), np.zeros(rows)
        code[row[here]] = codes[here] & ((1 << _CODE_BITS) - 1)
        times[row[here]] = counts[here]
        told.append((code, times))
    return told


def count_codes(parts: Sequence[Weighted], rows: int) -> Float64Array:
    """How many different codes each row has. Shape: (rows,)."""
    codes, _ = CODES.merge(parts)
    return np.bincount(codes >> _CODE_BITS, minlength=rows).astype(np.float64)
