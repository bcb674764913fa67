"""The fields of many protobuf messages at once: where each lies, a step of numpy for each field of all messages.

What is legal and seldom, as a field that comes twice or one of another wire type, makes a message odd: whoever asks has
to read it by itself.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from services.core.frame import begins
from services.runtime.record_columns import Spans, at_every_byte

VARINT, FIXED64, BYTES = 0, 1, 2
# Every frame has these six fields (proto/urban/common/v1/frame.proto); columns follow from 16 on.
HEADER, IDS, ENTITY, BASE_TIME, OFFSET, PERIOD = 1, 2, 3, 4, 5, 6
HEADER_TAG, IDS_TAG = HEADER << 3 | BYTES, IDS << 3 | BYTES
# Dictionaries of no more ids are read id by id wherever they come.
MOST_IDS = 16
# A length or a small number has no more.
_MOST_VARINT_BYTES = 5

Int64Array = NDArray[np.int64]
Bytes = NDArray[np.uint8]


@dataclass(frozen=True)
class Field:
    """One field of each message. Shapes: (messages,)."""

    begin: Int64Array  # of its data; -1: the message has no such field
    length: Int64Array  # in bytes; of a varint its value; 0 where there is none


@dataclass(frozen=True)
class Walked:
    """The fields of some messages. What is told of odd ones has no meaning."""

    odd: NDArray[np.bool_]  # (messages,)
    fields: dict[int, Field]  # by number


def walk(data: Bytes, begin: Int64Array, end: Int64Array, kinds: Mapping[int, int]) -> Walked:
    """Walks messages from `begin` to `end`, which are not empty. `kinds`: the wire type of each field that may be
    there, once; whatever has others is odd."""
    count = len(begin)
    fields = {number: Field(np.full(count, -1), np.zeros(count, np.int64)) for number in kinds}
    odd, at, going = np.zeros(count, np.bool_), begin.copy(), np.arange(count)
    for _ in range(len(kinds)):
        tags, size = varints(data, at[going], end[going])
        at[going] += size
        odd[going[size == 0]] = True
        # Who writes many messages writes the same fields in the same order.
        for tag in np.unique(tags).tolist() if (tags != tags[0]).any() else (int(tags[0]),):
            some = going if len(tags) == count and tag == tags[0] and (tags == tag).all() else going[tags == tag]
            number, kind = tag >> 3, tag & 7
            if kinds.get(number) != kind:
                odd[some] = True
                continue
            if kind == FIXED64:
                length, size = np.full(len(some), 8), np.zeros(len(some), np.int64)
            else:
                length, size = varints(data, at[some], end[some])
                odd[some[size == 0]] = True
            field = fields[number]
            odd[some[field.begin[some] >= 0]] = True
            at[some] += size
            field.begin[some], field.length[some] = at[some], length
            if kind != VARINT:
                at[some] += length
        odd |= at > end
        going = np.flatnonzero((at < end) & ~odd)
        if not len(going):
            return Walked(odd, fields)
    odd[going] = True
    return Walked(odd, fields)


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
    return np.where(begin <= last, at_every_byte(data, dtype)[np.minimum(begin, last)], 0)


def numbers_from(data: bytes, begin: Int64Array, counts: Int64Array, width: int) -> Bytes:
    """The bytes of so many numbers of `width` bytes from each place on, one after the other. Shapes: (n,)."""
    before = np.cumsum(counts) - counts
    at = np.repeat(begin - width * before, counts) + width * np.arange(int(counts.sum()))
    return at_every_byte(data, f"V{width}")[at].view(np.uint8)


class Ids(NamedTuple):
    """The ids of some messages that hold few. An id is a field of its own."""

    end: Int64Array  # (messages,): where they end; -1: there is none, there are too many, or one is odd
    record: Int64Array  # (ids,): the message that each is of, ascending
    text: Spans  # (ids,)
    first: Int64Array  # (messages + 1,): where the ids of each message begin


def find_ids(data: Bytes, begin: Int64Array, end: Int64Array) -> Ids:
    """Finds the ids from `begin` on, as far as they follow each other. Shapes: (messages,)."""
    last = len(data) - 1
    at = begin.copy()
    going = np.arange(len(begin))
    found: list[tuple[Int64Array, Int64Array, Int64Array]] = []
    odd = np.zeros(len(begin), np.bool_)
    for _ in range(MOST_IDS + 1):
        of = at[going]
        going = going[(data[np.minimum(of, last)] == IDS_TAG) & (of + 1 < end[going])]
        if not len(going):
            break
        text = at[going] + 2
        length = data[text - 1].astype(np.int64)
        found.append((going, text, length))
        at[going] = text + length
        bad = (length >= 0x80) | (at[going] > end[going])
        odd[going[bad]] = True
        going = going[~bad]
    odd[going] = True
    odd |= at == begin
    none = np.empty(0, np.int64)
    record, text, length = (np.concatenate(part) for part in zip(*found, strict=True)) if found else (none,) * 3
    order = np.argsort(record, kind="stable")
    order = order[~odd[record[order]]]
    record = record[order]
    first = begins(np.bincount(record, minlength=len(begin)))
    return Ids(np.where(odd, -1, at), record, Spans(text[order], length[order]), first)
