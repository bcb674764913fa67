"""How many different numbers many entities had: a sparse, mergeable HyperLogLog that does not depend on order.

HyperLogLog (Flajolet, Fusy, Gandouet, Meunier, AofA 2007) with 4,096 registers and a hash of 64 bits: the relative
standard error is 1.04 / sqrt(4096) = 1.63 %. Its bias is taken out by the improved raw estimator of Ertl (New
cardinality estimation algorithms for HyperLogLog sketches, arXiv:1702.01284, 2017, algorithm 6). That needs no tables
of measured corrections and no threshold; where few registers were met it is linear counting, which is wrong by one
where two numbers share a register (of 20 numbers once in twenty windows).

Only registers that were met are held, 9 bytes each: for each pane and entity as many as there are different numbers,
and at most 36 KiB.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from services.core.sketch import Form, Weighted

_INDEX_BITS = 12
REGISTERS = 1 << _INDEX_BITS
RELATIVE_STANDARD_ERROR = 1.04 / math.sqrt(REGISTERS)
_REST_BITS = 64 - _INDEX_BITS
GREATEST_RANK = _REST_BITS + 1
_RANK_BITS = 6

_ALPHA = 0.5 / math.log(2)
# After so many squarings of a number of at most 1 - 1/4096 what is added is 0; of one that is greater there is no need.
_MOST_TERMS = 24

Int64Array = NDArray[np.int64]
Float64Array = NDArray[np.float64]


def hash_numbers(values: NDArray[Any]) -> NDArray[np.uint64]:
    """64 well mixed bits of each number, the finalizer of SplitMix64 on its bits as a float64. Shapes: (n,)."""
    # -0.0 + 0 is 0.0: equal numbers are equal bits.
    bits = np.add(values, 0, dtype=np.float64).view(np.uint64) + np.uint64(0x9E3779B97F4A7C15)
    bits = (bits ^ (bits >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    bits = (bits ^ (bits >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return np.asarray(bits ^ (bits >> np.uint64(31)), np.uint64)


def _marks_of(values: NDArray[Any]) -> Int64Array:
    """Register of each number, and below it the rank: zeros before the first one in the rest of its hash, plus 1."""
    hashed = hash_numbers(values)
    register = (hashed >> np.uint64(_REST_BITS)).astype(np.int64)
    # 52 bits are a float64 as they are; its exponent is the place of the first one.
    _, length = np.frexp((hashed & np.uint64((1 << _REST_BITS) - 1)).astype(np.float64))
    return (register << _RANK_BITS) | (GREATEST_RANK - length.astype(np.int64))


DISTINCT = Form(
    name="registers",
    layout=f"in {REGISTERS} registers, by SplitMix64",
    bits=_INDEX_BITS,
    marks_of=_marks_of,
    join=np.maximum,
    weight="|u1",
    stored_weight="|u1",
    rank_bits=_RANK_BITS,
)


def estimate_distinct(parts: Sequence[Weighted], rows: int) -> Float64Array:
    """How many different numbers each row had, as a whole number. Shape: (rows,).

    `parts` are what `collect` told of the panes of the rows' windows.
    """
    codes, ranks = DISTINCT.merge(parts)
    row, full = codes >> _INDEX_BITS, ranks == GREATEST_RANK
    empty = REGISTERS - np.bincount(row, minlength=rows)
    # In the order of the registers, whatever came first.
    met = np.bincount(row, np.where(full, 0.0, np.ldexp(1.0, -ranks.astype(np.int64))), rows).astype(np.float64)
    greatest = REGISTERS * _tau(1 - np.bincount(row[full], minlength=rows) / REGISTERS) * 2.0**-_REST_BITS
    z = met + greatest + REGISTERS * _sigma(np.minimum(empty, REGISTERS - 1) / REGISTERS)
    return np.where(empty == REGISTERS, 0.0, np.rint(_ALPHA * REGISTERS * REGISTERS / z))


def _sigma(x: Float64Array) -> Float64Array:
    """x + the sum of x**(2**k) * 2**(k - 1) over k >= 1, for x < 1: registers of rank 0."""
    total, factor = x.copy(), 1.0
    for _ in range(_MOST_TERMS):
        x = x * x
        total += x * factor
        factor += factor
    return total


def _tau(x: Float64Array) -> Float64Array:
    """(1 - x - the sum of (1 - x**(2**-k))**2 * 2**-k over k >= 1) / 3: registers of the greatest rank."""
    total, factor = 1 - x, 1.0
    for _ in range(_MOST_TERMS):
        x = np.sqrt(x)
        factor *= 0.5
        total = total - (1 - x) ** 2 * factor
    return total / 3
