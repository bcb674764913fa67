"""Powers of ten, and directions as vectors, made of products and sums alone.

IEEE 754 rounds products and sums in one way only; powers, sines and cosines of a mathematics library differ in the last
bit from processor to processor. What is folded must be the same bits wherever a partition is read.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Float64Array = NDArray[np.float64]

_LOG2_OF_10 = 3.321928094887362
_LN_2 = 0.6931471805599453
_RADIANS = 0.017453292519943295
# Taylor terms of 2**x within 1/2, and of sine and cosine within 45 degrees: what is left out is below 2**-53.
_POWER_TERMS = 14
_ANGLE_TERMS = 9


def power_of_ten(exponent: Float64Array) -> Float64Array:
    """10**exponent, relative error at most 2**-46 for exponents from -30 to 30. Shapes: any."""
    doublings = exponent * _LOG2_OF_10
    whole = np.rint(doublings)
    rest = (doublings - whole) * _LN_2
    total = np.ones_like(rest)
    for term in range(_POWER_TERMS, 0, -1):
        total = 1.0 + total * rest / term
    return np.ldexp(total, whole.astype(np.int32))


def north_and_east(angle_deg: Float64Array) -> tuple[Float64Array, Float64Array]:
    """Cosine and sine of directions clockwise from north, each within 2**-50. Shapes: any."""
    quarters = np.rint(angle_deg / 90.0)
    rest = (angle_deg - quarters * 90.0) * _RADIANS
    square = rest * rest
    cosine, sine = np.ones_like(rest), np.ones_like(rest)
    for term in range(_ANGLE_TERMS, 0, -1):
        cosine = 1.0 - cosine * square / ((2 * term - 1) * (2 * term))
        sine = 1.0 - sine * square / ((2 * term) * (2 * term + 1))
    sine = sine * rest
    turn = np.mod(quarters, 4.0)
    north = np.choose(turn.astype(np.int64), (cosine, -sine, -cosine, sine))
    east = np.choose(turn.astype(np.int64), (sine, cosine, -sine, -cosine))
    return north, east
