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

from services.core.frame import Block, begins
from services.core.kind import ColumnType
from services.runtime.codec import MAX_OBSERVATIONS, MAX_SOURCE_ID, MAX_TIME_MS, MISSING
from services.runtime.contracts import FrameContract
from services.runtime.dictionaries import RawDictionaries
from services.runtime.id_codes import UNREADABLE, IdCodes
from services.runtime.record_columns import Records, rows, runs, widths
from services.runtime.wire_fields import (
    BASE_TIME,
    BYTES,
    ENTITY,
    FIXED64,
    HEADER_TAG,
    OFFSET,
    PERIOD,
    VARINT,
    Bytes,
    Field,
    find_ids,
    numbers,
    numbers_from,
    varints,
    walk,
)

# Records of fewer observations are put together number by number, longer ones piece by piece.
FEW_ROWS = 24
# What a block holds at most: the processor's cache holds it too.
MOST_ROWS = 65_536

_CITY, _SOURCE_ID, _SEQUENCE, _SOURCE_TIME, _CLOCK, _HEARTBEAT = 1, 2, 3, 4, 5, 6
_HEADER_KINDS = {
    **dict.fromkeys((_CITY, _SOURCE_ID), BYTES),
    **dict.fromkeys((_SEQUENCE, _SOURCE_TIME, _CLOCK), FIXED64),
}

Int64Array = NDArray[np.int64]
BoolArray = NDArray[np.bool_]


@dataclass
class _Names:
    """The dictionaries of some records, as codes of ids."""

    end: Int64Array  # (records,): where each ends; -1: the codec is to read it
    few: Int64Array  # those of records that hold few, one after the other
    few_begin: Int64Array  # (records + 1,)
    known: dict[int, Int64Array]  # by record: those that were recognised

    def of(self, some: slice) -> tuple[Int64Array, Int64Array]:
        """Those of some records one after the other, and where each begins and the last one ends."""
        begin, end = some.start, some.stop
        if not any(place in self.known for place in range(begin, end)):
            own = self.few_begin[begin : end + 1]
            return self.few[own[0] : own[-1]], own - own[0]
        parts = [self.known.get(i, self.few[self.few_begin[i] : self.few_begin[i + 1]]) for i in range(begin, end)]
        return np.concatenate(parts), begins(np.array([len(p) for p in parts], np.int64))


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
        self._widths = {n: int(c.type.value[-1]) for n, c in self._columns.items()} | {ENTITY: 4, OFFSET: 4}
        self._required = {n for n, c in self._columns.items() if c.required or c.type is ColumnType.CODE}
        self._kinds = {**dict.fromkeys(self._widths, BYTES), BASE_TIME: FIXED64, PERIOD: VARINT}
        self._absent = {
            n: MISSING[np.dtype(c.type.value)].view(np.uint8).data
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
        names = self._read_names(records.data, data, headers_end, end)
        found = _Found.nothing(len(records), self._widths)
        places = np.flatnonzero(names.end >= 0)
        if len(places):
            header = walk(data, header_begin[places], headers_end[places], _HEADER_KINDS)
            body = walk(data, names.end[places], end[places], self._kinds)
            self._take(records, data, places, ~(header.odd | body.odd), header.fields, body.fields, found)
        yield from self._blocks(records, found, names)

    def _find_headers(self, data: Bytes, begin: Int64Array, end: Int64Array) -> tuple[Int64Array, ...]:
        """Where each header ends, -1 where the record does not begin with one, and where it begins."""
        last = len(data) - 1
        length, size = varints(data, begin + 1, end)
        headers_end = begin + 1 + size + length
        good = (end - begin > 2) & (data[np.minimum(begin, last)] == HEADER_TAG) & (size > 0) & (headers_end < end)
        return np.where(good, headers_end, -1), begin + 1 + size

    def _read_names(self, text: bytes, data: Bytes, begin: Int64Array, end: Int64Array) -> _Names:
        """The ids of each record, which begin where its header ends: those that are few, and those that are known."""
        few = find_ids(data, np.where(begin < 0, end, begin), end)
        codes = np.empty(len(few.text), np.int64)
        for width, some in widths(few.text.length):
            codes[some] = self._ids.read(rows(text, few.text.begin[some], width))
        unreadable = np.zeros(len(begin), np.bool_)
        unreadable[few.record[codes < 0]] = True
        names = _Names(np.where((begin < 0) | unreadable, -1, few.end), codes, few.first, {})
        for place in np.flatnonzero((few.end < 0) & (begin >= 0)).tolist():
            known = self._dictionaries.find(text, int(begin[place]), int(end[place]))
            if known is not None:
                ids, names.end[place] = known
                names.known[place] = self._codes_of(ids)
        return names

    def _codes_of(self, ids: tuple[str, ...]) -> Int64Array:
        held = self._codes.get(id(ids))
        if held is None or held[0] is not ids:
            held = self._codes[id(ids)] = (ids, self._ids.add(ids))
        return held[1]

    def _take(
        self,
        records: Records,
        data: Bytes,
        places: Int64Array,
        good: BoolArray,
        header: dict[int, Field],
        body: dict[int, Field],
        found: _Found,
    ) -> None:
        """Notes what was walked, of those that have nothing odd."""
        rows = body[ENTITY].length // 4
        good &= (rows > 0) & (rows <= MAX_OBSERVATIONS)
        for number, width in self._widths.items():
            fits = body[number].length == rows * width
            good &= fits | (body[number].begin < 0) if number in self._absent else fits
        base_ms, clock_ms = (_number(data, field, "<i8") for field in (body[BASE_TIME], header[_CLOCK]))
        period_s = body[PERIOD].length
        good &= (np.abs(base_ms) <= MAX_TIME_MS) & (clock_ms >= 0) & (clock_ms <= MAX_TIME_MS) & (period_s < 2**32)
        good &= header[_SOURCE_ID].length <= MAX_SOURCE_ID
        city, source = (self._read_text(records.data, header[n], good) for n in (_CITY, _SOURCE_ID))
        good &= (city >= 0) & (source >= 0)
        of = places[good]
        found.done[of] = True
        found.rows[of], found.base_ms[of], found.period_s[of] = rows[good], base_ms[good], period_s[good]
        found.clock_ms[of] = np.where(clock_ms[good] == 0, records.timestamp_ms[of], clock_ms[good])
        found.sequence[of] = _number(data, header[_SEQUENCE], "<u8")[good]
        found.city[of], found.source[of] = city[good], source[good]
        for number in self._widths:
            found.columns[number][of] = body[number].begin[good]

    def _read_text(self, data: bytes, field: Field, good: BoolArray) -> Int64Array:
        """The place of each record's text among the texts; -1: it is none. Shape: (n,)."""
        codes = np.full(len(good), UNREADABLE)
        for width in np.unique(field.length[good]).tolist():
            some = np.flatnonzero(good & (field.length == width))
            raw = rows(data, field.begin[some], width)
            # Most records are of one city: then one look tells all.
            codes[some] = self._texts.read(raw[:1] if (raw == raw[0]).all() else raw)
        return codes

    def _blocks(self, records: Records, found: _Found, names: _Names) -> Iterator[tuple[int, int, Block | None]]:
        done = found.done
        chunk = np.cumsum(found.rows * done) // MOST_ROWS
        for begin, end in runs(done, found.city * done, found.period_s * done, chunk * done):
            if done[begin]:
                yield begin, end, self._block(records, found, names, slice(begin, end))
            else:
                yield begin, end, None

    def _block(self, records: Records, found: _Found, names: _Names, some: slice) -> Block:
        rows = found.rows[some]
        named, named_begin = names.of(some)
        offset = self._join(records.data, found, OFFSET, some).view("<u4")
        sources = found.source[some].tolist()
        texts = self._texts.ids
        numbered = any(texts[s] for s in sources)
        return Block(
            city=texts[int(found.city[some.start])],
            period_s=int(found.period_s[some.start]),
            entity_ids=self._ids.ids,
            begin=begins(rows),
            named=named,
            named_begin=named_begin,
            entity=self._join(records.data, found, ENTITY, some).view("<u4"),
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
        begins, rows, width = found.columns[number][some], found.rows[some], self._widths[number]
        there = begins >= 0
        if int(rows.sum()) < FEW_ROWS * len(rows) and there.all():
            return numbers_from(data, begins, rows, width)
        pairs = zip(begins.tolist(), (rows * width).tolist(), strict=True)
        if there.all():
            joined = b"".join([data[b : b + length] for b, length in pairs])
        else:
            absent = self._absent[number]
            joined = b"".join([data[b : b + length] if b >= 0 else absent[:length] for b, length in pairs])
        return np.frombuffer(joined, np.uint8)


def _number(data: Bytes, field: Field, dtype: str) -> NDArray[Any]:
    """The number of eight bytes of each record; 0 where there is none."""
    return np.where(field.begin < 0, 0, numbers(data, np.maximum(field.begin, 0), dtype))
