"""Fields of protobuf messages written as bytes, where a Python number for each value would cost too much."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray


def packed_field(number: int, values: NDArray[np.generic]) -> bytes:
    """A packed field of fixed-width numbers: its little-endian bytes as they are."""
    return field(number, values.tobytes())


def text_field(number: int, text: str) -> bytes:
    """A field of text."""
    return field(number, text.encode())


def field(number: int, data: bytes) -> bytes:
    """One length-delimited field on the wire."""
    return field_head(number, len(data)) + data


@lru_cache(maxsize=4096)
def field_head(number: int, length: int) -> bytes:
    """What stands on the wire before the data of a length-delimited field."""
    return _varint(number << 3 | 2) + _varint(length)


def _varint(value: int) -> bytes:
    parts = bytearray()
    while value > 0x7F:
        parts.append(value & 0x7F | 0x80)
        value >>= 7
    parts.append(value)
    return bytes(parts)
