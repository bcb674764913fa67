"""Frames of several observations, many of them read at once: as columns over all of them, and no object for each.

What is odd about a frame is left to the codec, which knows what to say of it. So is a frame with a long dictionary
that was not met twice yet: gateways send the same ones again and again, and those are recognised by their bytes.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from services.core.frame import Block
from services.core.kind import ColumnType
from services.runtime.codec import MAX_OBSERVATIONS, MAX_SOURCE_ID, MAX_TIME_MS
from services.runtime.contracts import FrameContract
from services.runtime.dictionaries import RawDictionaries
from services.runtime.id_codes import IdCodes
from services.runtime.record_columns import Records, runs
from services.runtime.wire_fields import BYTES, FIXED64, VARINT, Field, numbers, varints, walk

# Dictionaries that are read id by id wherever they come.
LONGEST_READ = 16
# What a block holds at most: the processor's cache holds it too.
MOST_ROWS = 65_536
# Different frames of one fetch that are told apart before what is left is read one by one.
_MOST_SHAPES = 16

_HEADER, _IDS, _ENTITY, _BASE_TIME, _OFFSET, _PERIOD = 1, 2, 3, 4, 5, 6
_CITY, _SOURCE_ID, _SEQUENCE, _SOURCE_TIME, _CLOCK, _HEARTBEAT = 1, 2, 3, 4, 5, 6
_HEADER_KINDS = {
    **dict.fromkeys((_CITY, _SOURCE_ID), BYTES),
    **dict.fromkeys((_SEQUENCE, _SOURCE_TIME, _CLOCK), FIXED64),
}
_HEADER_TAG, _IDS_TAG = 0x0A, 0x12

Int64Array = NDArray[np.int64]
BoolArray = NDArray[np.bool_]


@dataclass
class _Found:
    """What was found of some records. Shapes: (records,), columns: begin of their bytes by field, -1 where absent."""

    done: BoolArray
    rows: Int64Array
    base_ms: Int64Array
    period_s: Int64Array
    clock_ms: Int64Array
    sequence: NDArray[np.uint64]
    city: Int64Array  # index into the texts
    source: Int64Array
    columns: dict[int, Int64Array]

    @classmethod
    def nothing(cls, count: int, columns: Iterable[int]) -> _Found:
        rows, base_ms, period_s, clock_ms, city, source = (np.zeros(count, np.int64) for _ in range(6))
        done, sequence = np.zeros(count, np.bool_), np.zeros(count, np.uint64)
        absent = {number: np.full(count, -1) for number in columns}
        return cls(done, rows, base_ms, period_s, clock_ms, sequence, city, source, absent)


class FrameBlocks:
    """Reads the frames of one topic; remembers dictionaries and the texts of headers between calls."""

    def __init__(self, contract: FrameContract, dictionaries: RawDictionaries) -> None:
        self._dictionaries = dictionaries
        fields = {f.name: f.number for f in contract.frame.DESCRIPTOR.fields}
        self._columns = {fields[c.name]: c for c in contract.kind.columns}
        self._widths = {n: int(c.type.value[-1]) for n, c in self._columns.items()} | {_ENTITY: 4, _OFFSET: 4}
        self._required = {n for n, c in self._columns.items() if c.required or c.type is ColumnType.CODE}
        self._kinds = {**dict.fromkeys(self._widths, BYTES), _BASE_TIME: FIXED64, _PERIOD: VARINT}
        self._absent = {
            n: np.full(MAX_OBSERVATIONS, np.nan, c.type.value).tobytes()
            for n, c in self._columns.items()
            if n not in self._required
        }
        self._ids = IdCodes()
        self._codes: dict[int, tuple[tuple[str, ...], Int64Array]] = {}  # by the object that a dictionary is
        self._codes_are_of: list[str] = self._ids.ids
        self._texts = IdCodes()  # of cities and sources

    def read(self, records: Records) -> Iterator[tuple[int, int, Block | None]]:
        """The records in stretches, from and to before which, ascending: a block, or what the codec is to read."""
        self._ids.make_room()
        self._texts.make_room()
        if self._codes_are_of is not self._ids.ids:
            self._codes, self._codes_are_of = {}, self._ids.ids
        data = np.frombuffer(records.data, np.uint8)
        begin, end = records.value.begin, records.value.begin + np.maximum(records.value.length, 0)
        headers_end, header_begin = self._find_headers(data, begin, end)
        dictionaries, rest = self._read_dictionaries(records.data, headers_end.tolist(), end.tolist())
        found = _Found.nothing(len(records), self._widths)
        left = np.flatnonzero(rest >= 0)
        for _ in range(_MOST_SHAPES):
            if not len(left):
                break
            header = walk(data, header_begin[left], headers_end[left])
            body = walk(data, rest[left], end[left])
            same = header.same & body.same
            if same[0]:
                self._take(records, data, left, same, header.fields, body.fields, found)
                left = left[~same]
            else:
                left = left[1:]
        yield from self._blocks(records, found, dictionaries)

    def _find_headers(self, data: NDArray[np.uint8], begin: Int64Array, end: Int64Array) -> tuple[Int64Array, ...]:
        """Where each header ends, -1 where the record does not begin with one, and where it begins."""
        last = len(data) - 1
        length, size = varints(data, begin + 1, end)
        headers_end = begin + 1 + size + length
        good = (end - begin > 2) & (data[np.minimum(begin, last)] == _HEADER_TAG) & (size > 0) & (headers_end < end)
        return np.where(good, headers_end, -1), begin + 1 + size

    def _read_dictionaries(
        self, data: bytes, begins: list[int], ends: list[int]
    ) -> tuple[list[Int64Array], Int64Array]:
        """The codes of each record's ids, and where they end; -1: the codec is to read it."""
        nothing = np.empty(0, np.int64)
        found, rest = [nothing] * len(begins), np.full(len(begins), -1)
        for place, (begin, end) in enumerate(zip(begins, ends, strict=True)):
            if begin < 0:
                continue
            known = self._dictionaries.find(data, begin, end)
            if known is not None:
                ids, rest[place] = known
                found[place] = self._codes_of(ids)
            elif (texts := _read_ids(data, begin, end)) is not None:
                codes = self._ids.read_texts(texts[0])
                if (codes >= 0).all():
                    found[place], rest[place] = codes, texts[1]
        return found, rest

    def _codes_of(self, ids: tuple[str, ...]) -> Int64Array:
        held = self._codes.get(id(ids))
        if held is None or held[0] is not ids:
            held = self._codes[id(ids)] = (ids, self._ids.add(ids))
        return held[1]

    def _take(
        self,
        records: Records,
        data: NDArray[np.uint8],
        places: Int64Array,
        same: BoolArray,
        header: dict[int, Field],
        body: dict[int, Field],
        found: _Found,
    ) -> None:
        """Notes what was walked, of those that have nothing odd."""
        kinds_of_header = {n: f.kind for n, f in header.items()}
        kinds_of_body = {n: f.kind for n, f in body.items()}
        if not kinds_of_header.items() <= _HEADER_KINDS.items() or not kinds_of_body.items() <= self._kinds.items():
            return
        if not {_ENTITY, _OFFSET, *self._required} <= body.keys():
            return
        rows = body[_ENTITY].length // 4
        good = same & (rows > 0) & (rows <= MAX_OBSERVATIONS)
        for number in self._widths.keys() & body.keys():
            good &= body[number].length == rows * self._widths[number]
        zero = np.zeros(len(places), np.int64)
        base_ms = numbers(data, body[_BASE_TIME].begin, "<i8") if _BASE_TIME in body else zero
        clock_ms = numbers(data, header[_CLOCK].begin, "<i8") if _CLOCK in header else zero
        sequence = numbers(data, header[_SEQUENCE].begin, "<u8") if _SEQUENCE in header else zero.astype(np.uint64)
        period_s = body[_PERIOD].length if _PERIOD in body else zero
        good &= (np.abs(base_ms) <= MAX_TIME_MS) & (clock_ms >= 0) & (clock_ms <= MAX_TIME_MS) & (period_s < 2**32)
        if _SOURCE_ID in header:
            good &= header[_SOURCE_ID].length <= MAX_SOURCE_ID
        city, source = (self._read_text(records.data, header.get(n), good) for n in (_CITY, _SOURCE_ID))
        good &= (city >= 0) & (source >= 0)
        of = places[good]
        found.done[of], found.rows[of], found.base_ms[of], found.period_s[of] = (
            True,
            *(values[good] for values in (rows, base_ms, period_s)),
        )
        found.clock_ms[of] = np.where(clock_ms[good] == 0, records.timestamp_ms[of], clock_ms[good])
        found.sequence[of], found.city[of], found.source[of] = sequence[good], city[good], source[good]
        for number in self._widths.keys() & body.keys():
            found.columns[number][of] = body[number].begin[good]

    def _read_text(self, data: bytes, field: Field | None, good: BoolArray) -> Int64Array:
        """The place of each record's text among the texts; -1: it is none. Shape: (n,)."""
        if field is None:
            return np.full(len(good), self._texts.read_texts([""])[0])
        begins = np.where(good, field.begin, 0)
        ends = begins + np.where(good, field.length, 0)
        return self._texts.read_texts([data[b:e] for b, e in zip(begins.tolist(), ends.tolist(), strict=True)])

    def _blocks(
        self, records: Records, found: _Found, dictionaries: list[Int64Array]
    ) -> Iterator[tuple[int, int, Block | None]]:
        done = found.done
        chunk = np.cumsum(found.rows * done) // MOST_ROWS
        for begin, end in runs(done, found.city * done, found.period_s * done, chunk * done):
            if done[begin]:
                yield begin, end, self._block(records, found, dictionaries, slice(begin, end))
            else:
                yield begin, end, None

    def _block(self, records: Records, found: _Found, dictionaries: list[Int64Array], some: slice) -> Block:
        rows = found.rows[some]
        names = dictionaries[some]
        offset = self._join(records.data, found, _OFFSET, some).view("<u4")
        sources = found.source[some].tolist()
        texts = self._texts.ids
        numbered = any(texts[s] for s in sources)
        return Block(
            city=texts[int(found.city[some.start])],
            period_s=int(found.period_s[some.start]),
            entity_ids=self._ids.ids,
            begin=np.concatenate((np.zeros(1, np.int64), np.cumsum(rows))),
            named=np.concatenate(names),
            named_begin=np.concatenate((np.zeros(1, np.int64), np.cumsum([len(n) for n in names]))),
            entity=self._join(records.data, found, _ENTITY, some).view("<u4"),
            time_ms=np.repeat(found.base_ms[some], rows) + offset,
            columns={
                c.name: self._join(records.data, found, n, some).view(c.type.value) for n, c in self._columns.items()
            },
            clock_ms=found.clock_ms[some],
            offsets=records.offset[some],
            sources=[(texts[s], n) for s, n in zip(sources, found.sequence[some].tolist(), strict=True)]
            if numbered
            else (),
        )

    def _join(self, data: bytes, found: _Found, number: int, some: slice) -> NDArray[Any]:
        """The bytes of a field of these records, one after the other."""
        begins = found.columns[number][some]
        lengths = found.rows[some] * self._widths[number]
        pairs = zip(begins.tolist(), lengths.tolist(), strict=True)
        if (begins >= 0).all():
            joined = b"".join([data[b : b + length] for b, length in pairs])
        else:
            absent = self._absent[number]
            joined = b"".join([data[b : b + length] if b >= 0 else absent[:length] for b, length in pairs])
        return np.frombuffer(joined, np.uint8)


def _read_ids(data: bytes, at: int, end: int) -> tuple[list[bytes], int] | None:
    """The ids from here on, and where they end; None where they are too many, or long."""
    found: list[bytes] = []
    while at + 1 < end and data[at] == _IDS_TAG:
        length = data[at + 1]
        if length >= 0x80 or len(found) == LONGEST_READ:
            return None
        found.append(data[at + 2 : at + 2 + length])
        at += 2 + length
    return (found, at) if found and at <= end else None
