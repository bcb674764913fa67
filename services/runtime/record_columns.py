"""Consecutive records of one partition in columns: where each lies in one run of bytes, and no object for it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise
from typing import Any, overload

import numpy as np
from aiokafka.structs import ConsumerRecord
from numpy.typing import NDArray

Int64Array = NDArray[np.int64]
# Names and values; a value may be None, which the rest of the runtime reads as empty.
RecordHeaders = tuple[tuple[str, Any], ...]


@dataclass(frozen=True)
class Spans:
    """Where some parts lie in a run of bytes. Shapes: (n,)."""

    begin: Int64Array
    length: Int64Array  # -1: there is none, as of a tombstone's value

    def __getitem__(self, some: slice | Int64Array) -> Spans:
        return Spans(self.begin[some], self.length[some])

    def __len__(self) -> int:
        return len(self.begin)


@dataclass(frozen=True)
class Records(Sequence["ConsumerRecord[bytes, bytes]"]):
    """Records in the order of the log; each is made into an object when it is asked for. Arrays: (records,)."""

    topic: str
    partition: int
    data: bytes
    offset: Int64Array
    timestamp_ms: Int64Array
    timestamp_type: NDArray[np.int8]
    key: Spans
    value: Spans
    headers: Sequence[RecordHeaders]  # all that there are, each once
    headers_of: Int64Array  # index into them

    @classmethod
    def of(cls, records: Sequence[ConsumerRecord[Any, Any]]) -> Records:
        """Columns of records that are objects. Not empty."""
        if isinstance(records, Records):
            return records
        known: dict[RecordHeaders, int] = {}
        parts = [part for r in records for part in (r.key, r.value)]
        length = np.array([-1 if part is None else len(part) for part in parts], np.int64)
        begin = np.cumsum(np.maximum(length, 0)) - np.maximum(length, 0)
        return cls(
            topic=records[0].topic,
            partition=records[0].partition,
            data=b"".join(part or b"" for part in parts),
            offset=np.array([r.offset for r in records], np.int64),
            timestamp_ms=np.array([r.timestamp for r in records], np.int64),
            timestamp_type=np.array([r.timestamp_type for r in records], np.int8),
            key=Spans(begin[::2], length[::2]),
            value=Spans(begin[1::2], length[1::2]),
            headers_of=np.array([known.setdefault(tuple(r.headers), len(known)) for r in records], np.int64),
            headers=tuple(known),
        )

    def __len__(self) -> int:
        return len(self.offset)

    @overload
    def __getitem__(self, place: int) -> ConsumerRecord[bytes, bytes]: ...
    @overload
    def __getitem__(self, place: slice) -> Records: ...
    def __getitem__(self, place: int | slice) -> ConsumerRecord[bytes, bytes] | Records:
        if not isinstance(place, slice):
            at = range(len(self))[place]
            return next(iter(self[at : at + 1]))
        return Records(
            self.topic,
            self.partition,
            self.data,
            self.offset[place],
            self.timestamp_ms[place],
            self.timestamp_type[place],
            self.key[place],
            self.value[place],
            self.headers,
            self.headers_of[place],
        )

    def __iter__(self) -> Iterator[ConsumerRecord[bytes, bytes]]:
        columns = (self.offset, self.timestamp_ms, self.timestamp_type, self.headers_of)
        parts = zip(texts(self.data, self.key), texts(self.data, self.value), strict=True)
        for (key, value), offset, time_ms, time_type, headers in zip(
            parts, *(column.tolist() for column in columns), strict=True
        ):
            sizes = (-1 if key is None else len(key), -1 if value is None else len(value))
            yield ConsumerRecord(
                self.topic, self.partition, offset, time_ms, time_type, key, value, None, *sizes, self.headers[headers]
            )

    def since(self, offset: int) -> Records:
        """Those that do not lie before `offset`."""
        first = int(np.searchsorted(self.offset, offset))
        return self[first:] if first else self


def texts(data: bytes, spans: Spans) -> list[bytes | None]:
    """The parts themselves."""
    begins, ends = spans.begin.tolist(), (spans.begin + spans.length).tolist()
    return [data[begin:end] if end >= begin else None for begin, end in zip(begins, ends, strict=True)]


def widths(length: Int64Array) -> Iterator[tuple[int, Int64Array]]:
    """Each length, ascending, and where it is found. None is negative, and none very long."""
    if len(length) and (length == length[0]).all():
        yield int(length[0]), np.arange(len(length))
        return
    for width in np.flatnonzero(np.bincount(length)).tolist():
        yield width, np.flatnonzero(length == width)


def rows(data: bytes, begin: Int64Array, width: int) -> NDArray[np.uint8]:
    """The bytes from each place on. Shape: (n, width). All must lie within the data."""
    if not width:
        return np.empty((len(begin), 0), np.uint8)
    return at_every_byte(data, f"V{width}")[begin].view(np.uint8).reshape(len(begin), width)


def all_are(data: bytes, begin: Int64Array, text: bytes) -> NDArray[np.bool_]:
    """Whether the text stands at each place. Shape: (n,). False where the data end before."""
    if not text or len(data) < len(text):
        return np.full(len(begin), not text)
    last = len(data) - len(text)
    found = at_every_byte(data, f"V{len(text)}")[np.minimum(begin, last)]
    same = begin <= last
    words, wanted = _words(text)
    parts = found.view(words)
    for name, word in wanted.items():
        same &= parts[name] == word
    return same


@lru_cache(maxsize=1024)
def _words(text: bytes) -> tuple[np.dtype[np.void], Mapping[str, np.unsignedinteger[Any]]]:
    """The text as numbers that cover it, the last of which may overlap the one before: compared three times as fast as
    opaque values."""
    size = next(size for size in (8, 4, 2, 1) if size <= len(text))
    offsets = [*range(0, len(text) - size, size), len(text) - size]
    names = [f"at {offset}" for offset in offsets]
    words = np.dtype({"names": names, "formats": [f"<u{size}"] * len(names), "offsets": offsets, "itemsize": len(text)})
    whole = np.frombuffer(text, words)[0]
    return words, {name: whole[name] for name in names}


def at_every_byte(data: bytes | NDArray[np.uint8], dtype: str) -> NDArray[Any]:
    """The value of that type at every byte of the data, as far as there is a whole one: a view. Opaque values ("V5")
    are taken whole, many times as fast as byte by byte."""
    size = np.dtype(dtype).itemsize
    everywhere: NDArray[Any] = np.ndarray((max(0, len(data) - size + 1),), dtype, buffer=data, strides=(1,))
    return everywhere


def runs(*columns: NDArray[Any]) -> Iterator[tuple[int, int]]:
    """Begin and end of neighbours that are equal in all of these columns, of the same length."""
    count = len(columns[0])
    if not count:
        return
    other = np.zeros(count - 1, np.bool_)
    for column in columns:
        other |= column[1:] != column[:-1]
    borders = [0, *(np.flatnonzero(other) + 1).tolist(), count]
    yield from pairwise(borders)
