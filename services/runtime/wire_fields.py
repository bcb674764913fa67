"""The fields of many protobuf messages at once: where each lies, message by message in the same step.

Who writes many messages writes the same fields in the same order; only lengths and numbers differ. So the first
message says what is looked for, and all are walked together, one field at a time. A message that differs from the first
is left out, and may be the first of another walk.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

VARINT, FIXED64, BYTES = 0, 1, 2
# A length or a small number has no more.
_MOST_VARINT_BYTES = 5

Int64Array = NDArray[np.int64]
Bytes = NDArray[np.uint8]


@dataclass(frozen=True)
class Field:
    """One field of each message. Shapes: (messages,). What it tells of messages that are left out has no meaning."""

    kind: int
    begin: Int64Array  # of its data
    length: Int64Array  # in bytes; of a varint its value


@dataclass(frozen=True)
class Walked:
    """Messages that have the fields of the first one, once each, in its order, and nothing else."""

    same: NDArray[np.bool_]  # (messages,)
    fields: dict[int, Field]  # by number


def walk(data: Bytes, begin: Int64Array, end: Int64Array) -> Walked:
    """Walks messages from `begin` to `end`, not empty, by the fields of the first. None is `same` where that is odd:
    a field told twice, another wire type, or bytes that are no message."""
    at, same = begin.copy(), np.ones(len(begin), np.bool_)
    fields: dict[int, Field] = {}
    while at[0] < end[0] and same[0]:
        tags, size = varints(data, at, end)
        same &= (tags == tags[0]) & (size > 0)
        number, kind = int(tags[0]) >> 3, int(tags[0]) & 7
        if number in fields or kind not in (VARINT, FIXED64, BYTES):
            return Walked(np.zeros_like(same), {})
        at += size
        if kind == FIXED64:
            length = np.full(len(at), 8)
        else:
            length, size = varints(data, at, end)
            same &= size > 0
            at += size
        fields[number] = Field(kind, at.copy(), length)
        if kind != VARINT:
            at += length
        same &= at <= end
        np.minimum(at, end, out=at)
    return Walked(same & (at == end), fields)


def varints(data: Bytes, at: Int64Array, end: Int64Array) -> tuple[Int64Array, Int64Array]:
    """The number that begins at each place, and its bytes: 0 where it does not end before `end`, or has more than
    five. Shapes: (n,)."""
    last = len(data) - 1
    byte = data[np.minimum(at, last)].astype(np.int64)
    value, size, more = byte & 0x7F, np.ones(len(at), np.int64), byte >= 0x80
    for place in range(1, _MOST_VARINT_BYTES):
        if not more.any():
            break
        byte = data[np.minimum(at + place, last)].astype(np.int64)
        value += np.where(more, (byte & 0x7F) << (7 * place), 0)
        size += more
        more &= byte >= 0x80
    return value, np.where(more | (at + size > end), 0, size)


def numbers(data: Bytes, begin: Int64Array, dtype: str) -> NDArray[Any]:
    """The number of eight bytes at each place; 0 where fewer are left. Shape: (n,)."""
    last = len(data) - 8
    if last < 0:
        return np.zeros(len(begin), dtype)
    everywhere: NDArray[Any] = np.ndarray((last + 1,), dtype, buffer=data.data, strides=(1,))
    return np.where(begin <= last, everywhere[np.minimum(begin, last)], 0)
