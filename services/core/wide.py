"""Exact arithmetic with integers that are wider than 64 bits, in two int64 halves: high * 2**35 + low.

A grid number (see aggregates) is at most 2**35, its square 2**70, and the sum of 2**28 of them 2**98. Both halves add
as they are, so that sums of squares are exact, do not depend on order, and a small variance beside a great mean is not
what is left of two great numbers that were rounded.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Int64Array = NDArray[np.int64]

LOW_BITS = 35
_LOW = np.int64((1 << LOW_BITS) - 1)
_HALF_BITS = 18  # a factor is first * 2**18 + second, so that no product of two of these leaves 64 bits
_HALF = np.int64((1 << _HALF_BITS) - 1)


def multiply(a: Int64Array, b: Int64Array) -> tuple[Int64Array, Int64Array]:
    """The product of integers of at most 2**35, low half in [0, 2**35). Shapes: (n,)."""
    a_first, a_second = a >> _HALF_BITS, a & _HALF
    b_first, b_second = b >> _HALF_BITS, b & _HALF
    rest = ((a_first * b_second + a_second * b_first) << _HALF_BITS) + a_second * b_second
    high = (a_first * b_first << (2 * _HALF_BITS - LOW_BITS)) + (rest >> LOW_BITS)
    return high, rest & _LOW


def split(numbers: NDArray[np.float64], exponent: int) -> tuple[Int64Array, Int64Array]:
    """Numbers times 2**exponent, at least 0 and below 2**70, rounded to integers in two halves. Shapes: (n,)."""
    scaled = numbers * 2.0 ** (exponent - LOW_BITS)
    high = np.floor(scaled)
    # The remainder and its product with a power of two are exact.
    return high.astype(np.int64), np.rint((scaled - high) * 2.0**LOW_BITS).astype(np.int64)


def sample_variance(numbers: Int64Array, total: Int64Array, high: Int64Array, low: Int64Array) -> NDArray[np.float64]:
    """Sample variance (n - 1) of n integers from their sum and the sum of their squares; NaN for fewer than two.

    Deviations are taken from the whole number next to the mean, where their sum of squares D is an integer that is
    known exactly; what is then taken away, r**2 / n, is at most half of it. So only the last bits are rounded.
    n below 2**28, every integer at most 2**35. Shapes: (n,).
    """
    n = np.maximum(numbers, 1)
    center = (total + (n >> 1)) // n
    rest = total - center * n  # at most n / 2
    # D = squares - center * (total + rest), the second factor in two halves again.
    factor = total + rest
    product_high, product_low = multiply(center, factor & _LOW)
    d_low = low - product_low
    d_high = high - center * (factor >> LOW_BITS) - product_high + (d_low >> LOW_BITS)
    squares = d_high.astype(np.float64) * float(1 << LOW_BITS) + (d_low & _LOW).astype(np.float64)
    squares -= (rest * rest).astype(np.float64) / n
    return np.where(numbers > 1, squares / np.maximum(n - 1, 1), np.nan)
