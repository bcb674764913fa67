"""The headers of Kafka's records: each different one is read once, whatever the number of records that have it."""

from __future__ import annotations

import numpy as np
from aiokafka.errors import CorruptRecordException

from services.runtime.record_columns import Int64Array, RecordHeaders, all_are

# Different ones that are told apart all at once.
_MOST_HEADERS = 16


def tell_apart(data: bytes, begin: Int64Array, end: Int64Array) -> tuple[list[RecordHeaders], Int64Array]:
    """All headers that there are, and which each record has. Most records of a topic have the same.

    CorruptRecordException where the bytes make no headers.
    """
    found: dict[bytes, int] = {}
    which = np.empty(len(begin), np.int64)
    left = np.arange(len(begin))
    for _ in range(_MOST_HEADERS):
        if not len(left):
            break
        first, width = int(begin[left[0]]), int(end[left[0]] - begin[left[0]])
        raw = data[first : first + width]
        alike = left if (end[left] - begin[left] == width).all() else left[end[left] - begin[left] == width]
        same = all_are(data, begin[alike], raw)
        those = alike[same]
        which[those] = found.setdefault(raw, len(found))
        rest = np.ones(len(begin), np.bool_)
        rest[those] = False
        few = len(those) * _MOST_HEADERS < len(left)
        left = left[rest[left]]
        if few:
            break  # each has its own, as where they carry the context of a trace
    for place in left.tolist():
        raw = data[int(begin[place]) : int(end[place])]
        which[place] = found.setdefault(raw, len(found))
    return [_read_headers(raw) for raw in found], which


def _read_headers(raw: bytes) -> RecordHeaders:
    """CorruptRecordException where they do not end with the bytes."""
    try:
        count, at = varint(raw, 0)
        found = []
        for _ in range(count):
            name, at = _part(raw, at)
            value, at = _part(raw, at)
            if name is None:
                raise CorruptRecordException("a header without a name")
            found.append((name.decode(), value))
    except IndexError:
        raise CorruptRecordException("headers end behind their record") from None
    if count < 0 or at != len(raw):
        raise CorruptRecordException(f"{count} headers end {at - len(raw)} bytes behind their record")
    return tuple(found)


def _part(raw: bytes, at: int) -> tuple[bytes | None, int]:
    length, at = varint(raw, at)
    return (raw[at : at + length], at + length) if length >= 0 else (None, at)


def varint(data: bytes, at: int) -> tuple[int, int]:
    """A number in zigzag form and where it ends. IndexError: behind the data."""
    value = shift = 0
    while True:
        byte = data[at]
        value |= (byte & 0x7F) << shift
        at, shift = at + 1, shift + 7
        if byte < 0x80:
            return value >> 1 ^ -(value & 1), at
        if shift > 63:
            raise CorruptRecordException("a number of more than 64 bits")
