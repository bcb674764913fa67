"""People as keyed hashes, and nothing else: HMAC-SHA-256 under a key of city and epoch, which is kept elsewhere.

Who controls access computes the hash and sends its first 104 bits as two numbers, 2⁵² plus 52 bits each. So a column of
numbers carries it, exactly, and a raw id in its place (a number of a badge, a phone or an identity card, of up to 15 or
from 17 digits on) lies outside the bounds and is refused like any other value that cannot be.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Float64Array = NDArray[np.float64]

# Bounds of both columns: between them every double is a whole number.
LEAST = float(2**52)
MOST = float(2**53)

_HEX_DIGITS = 13  # 52 bits
_DIGEST = re.compile(r"[0-9a-f]{64}")


def numbers_of(digests: Sequence[str]) -> tuple[Float64Array, Float64Array]:
    """The two numbers of each HMAC-SHA-256, given as 64 lower-case hexadecimal digits. Shapes: (n,).

    ValueError names the places of those that are no such hash, and never what stands there: it may be a raw id.
    """
    wrong = [place for place, digest in enumerate(digests) if not is_digest(digest)]
    if wrong:
        raise ValueError(f"no HMAC-SHA-256 in 64 hexadecimal digits at {wrong[:10]}: a raw id is not taken")
    high = [int(digest[:_HEX_DIGITS], 16) for digest in digests]
    low = [int(digest[_HEX_DIGITS : 2 * _HEX_DIGITS], 16) for digest in digests]
    return LEAST + np.array(high, np.float64), LEAST + np.array(low, np.float64)


def is_digest(text: str) -> bool:
    """Whether a text may be such a hash. Of 64 digits without a letter it is not: there is one in 10¹³."""
    return _DIGEST.fullmatch(text) is not None and not text.isdigit()


def columns_of(digest: str) -> dict[str, int]:
    """The columns `person_a` and `person_b` of one HMAC-SHA-256, as whole numbers; none where it is empty.

    ValueError where it is no such hash, and never what stands there.
    """
    if not digest:
        return {}
    if not is_digest(digest):
        raise ValueError("person is no HMAC-SHA-256 in 64 hexadecimal digits: a raw id is not taken")
    high, low = numbers_of([digest])
    return {"person_a": int(high[0]), "person_b": int(low[0])}
