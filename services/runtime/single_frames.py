"""Many records that hold a frame of one observation each, read at once.

Whoever writes single observations writes records of the same shape: the same fields in the same order, of the same
lengths. So the shape is read from one record, and the others of its length are compared with it byte by byte, all at
once; where nothing but numbers, the id and the header differ, they are read as columns. All others, and whatever is
odd, are left to the codec, one by one.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
from google.protobuf.message import DecodeError
from numpy.typing import NDArray

from services.core.kind import ColumnType
from services.runtime.codec import MAX_SOURCE_ID
from services.runtime.contracts import FrameContract
from services.runtime.id_codes import UNREADABLE, IdCodes
from services.runtime.record_columns import Spans, rows
from services.runtime.wire_fields import (
    BASE_TIME,
    BYTES,
    ENTITY,
    FIXED64,
    HEADER,
    IDS,
    OFFSET,
    PERIOD,
    VARINT,
)

# Longer ones hold more than one observation.
LONGEST_BYTES = 512
# Shapes of one length that are tried before what is left is read one by one.
MOST_SHAPES = 16
# Different headers of one fetch. Where every record has its own they are read field by field (frame_blocks).
MOST_HEADERS = 256

_ODD = -1  # in the place of a header: the codec has to look at it
Bytes = NDArray[np.uint8]
Int64Array = NDArray[np.int64]


class Header(NamedTuple):
    """What a frame's header says."""

    city: str
    source_id: str
    sequence: int
    clock_ms: int


@dataclass
class Read:
    """What was read of some records, by their place. Arrays: (records,)."""

    done: NDArray[np.bool_]
    headers: list[Header]  # each once
    headers_of: Int64Array  # index into them
    entity_ids: Sequence[str]  # dictionary
    entity: Int64Array  # index into it
    time_ms: Int64Array
    period_s: Int64Array
    columns: dict[str, NDArray[Any]]


@dataclass(frozen=True)
class Shape:
    """Where the parts of a record lie. Spans are begin and end in bytes."""

    structure: NDArray[np.int64]  # bytes that must be those of the record that it was read from
    bytes: Bytes
    period_s: int
    spans: dict[int, tuple[int, int]] = field(default_factory=dict)  # of the data of a field, by its number


class SingleFrames:
    """Reads the records of one topic; remembers shapes and headers between calls."""

    def __init__(self, contract: FrameContract) -> None:
        self._contract = contract
        numbers = {f.name: f.number for f in contract.frame.DESCRIPTOR.fields}
        self._columns = {numbers[c.name]: c for c in contract.kind.columns}
        self._header_class = type(contract.view().header)
        self._shapes: dict[int, list[Shape]] = {}
        self._ids = IdCodes()

    def read(self, data: bytes, values: Spans) -> Read:
        """Reads those of the values that are frames of one observation and have nothing odd in them."""
        count = len(values)
        self._ids.make_room()
        read = Read(
            done=np.zeros(count, np.bool_),
            headers=[],
            headers_of=np.zeros(count, np.int64),
            entity_ids=self._ids.ids,
            entity=np.zeros(count, np.int64),
            time_ms=np.zeros(count, np.int64),
            period_s=np.zeros(count, np.int64),
            columns={c.name: np.full(count, _absent(c.type), c.type.value) for c in self._contract.kind.columns},
        )
        headers: dict[bytes, int] = {}
        for length in np.unique(values.length).tolist():
            if 0 < length <= LONGEST_BYTES:
                places = np.flatnonzero(values.length == length)
                self._read_length(rows(data, values.begin[places], length), places, read, headers)
        return read

    def _read_length(self, table: Bytes, places: Int64Array, read: Read, headers: dict[bytes, int]) -> None:
        known = self._shapes.setdefault(table.shape[1], [])
        for tried in range(MOST_SHAPES):
            if tried == len(known):
                shape = self._shape_of(table[0].tobytes())
                if shape is None:
                    return
                known.append(shape)
            shape = known[tried]
            fits = (table[:, shape.structure] == shape.bytes).all(axis=1)
            if fits.all():
                self._read_shape(table, shape, places, read, headers)
                return
            self._read_shape(table[fits], shape, places[fits], read, headers)
            table, places = table[~fits], places[~fits]
        known.pop(0)  # none of them fits: the next call may learn another one

    def _read_shape(
        self, table: Bytes, shape: Shape, places: Int64Array, read: Read, headers: dict[bytes, int]
    ) -> None:
        if not len(table):
            return
        good = _number(table, shape.spans[ENTITY], "<u4") == 0
        begin, end = shape.spans[IDS]
        entity = self._ids.read(table[:, begin:end])
        begin, end = shape.spans[HEADER]
        headers_of = self._read_headers(table[:, begin:end], read.headers, headers)
        good &= (entity != UNREADABLE) & (headers_of != _ODD)
        base_ms = _number(table, shape.spans[BASE_TIME], "<i8") if BASE_TIME in shape.spans else 0
        time_ms = base_ms + _number(table, shape.spans[OFFSET], "<u4").astype(np.int64)
        # The codec knows what to say of a time that cannot be.
        good &= np.abs(time_ms) < 2**47
        read.entity[places], read.headers_of[places], read.time_ms[places] = entity, headers_of, time_ms
        read.period_s[places] = shape.period_s
        for number, column in self._columns.items():
            if number in shape.spans:
                read.columns[column.name][places] = _number(table, shape.spans[number], column.type.value)
        read.done[places] = good

    def _read_headers(self, raw: Bytes, found: list[Header], known: dict[bytes, int]) -> Int64Array:
        """Which of the headers found each row has, or _ODD; neighbours often have the same one. Shape: (n,)."""
        new = np.concatenate(([True], (raw[1:] != raw[:-1]).any(axis=1)))
        first = np.flatnonzero(new)
        which = np.empty(len(first), np.int64)
        for place, row in enumerate(first.tolist()):
            text = raw[row].tobytes()
            if text not in known and len(known) == MOST_HEADERS:
                which[place] = _ODD
                continue
            if text not in known:
                header = self._read_header(text)
                known[text] = _ODD if header is None else len(found)
                if header is not None:
                    found.append(header)
            which[place] = known[text]
        return np.asarray(which[np.cumsum(new) - 1])

    def _read_header(self, raw: bytes) -> Header | None:
        """None where there is something about it that the codec has to look at."""
        try:
            header = self._header_class.FromString(raw)
        except DecodeError:
            return None
        if (
            header.heartbeat
            or header.announces_entities
            or len(header.source_id) > MAX_SOURCE_ID
            or not 0 <= header.clock_ms < 2**47
        ):
            return None
        return Header(header.city, header.source_id, header.sequence, header.clock_ms)

    def _shape_of(self, value: bytes) -> Shape | None:
        """The shape of a frame of one observation; None where it is none, or an odd one."""
        spans: dict[int, tuple[int, int]] = {}
        period_s = 0
        try:
            for number, kind, begin, end in _walk(value):
                if number in spans:
                    return None
                spans[number] = (begin, end)
                if number == PERIOD and kind == VARINT:
                    period_s = _varint(value, begin)[0]
                elif not self._is_usual(number, kind, end - begin):
                    return None
        except IndexError:
            return None
        spans.pop(PERIOD, None)
        needed = {HEADER, IDS, ENTITY, OFFSET}
        needed |= {n for n, c in self._columns.items() if c.required or c.type is ColumnType.CODE}
        if not needed <= spans.keys() or period_s >= 2**32:
            return None
        free = np.zeros(len(value), np.bool_)
        for begin, end in spans.values():
            free[begin:end] = True
        structure = np.flatnonzero(~free)
        return Shape(structure, np.frombuffer(value, np.uint8)[structure], period_s, spans)

    def _is_usual(self, number: int, kind: int, length: int) -> bool:
        if number in (HEADER, IDS):
            return kind == BYTES
        if number in (ENTITY, OFFSET):
            return kind == BYTES and length == 4
        if number == BASE_TIME:
            return kind == FIXED64
        column = self._columns.get(number)
        return column is not None and kind == BYTES and length == int(column.type.value[-1])


def _absent(column_type: ColumnType) -> float:
    return 0 if column_type is ColumnType.CODE else float("nan")


def _number(table: Bytes, span: tuple[int, int], dtype: str) -> NDArray[Any]:
    begin, end = span
    return np.ascontiguousarray(table[:, begin:end]).view(dtype)[:, 0]


def _walk(value: bytes) -> Iterator[tuple[int, int, int, int]]:
    """Number, wire type, begin and end of the data of each field. IndexError where the bytes end too early."""
    at = 0
    while at < len(value):
        tag, at = _varint(value, at)
        kind = tag & 7
        if kind == BYTES:
            length, at = _varint(value, at)
            end = at + length
        elif kind == VARINT:
            end = _varint(value, at)[1]
        elif kind == FIXED64:
            end = at + 8
        else:
            raise IndexError(at)  # fixed32 and groups: no frame of ours has them
        if end > len(value):
            raise IndexError(end)
        yield tag >> 3, kind, at, end
        at = end


def _varint(value: bytes, at: int) -> tuple[int, int]:
    """A number and where it ends."""
    result = shift = 0
    while True:
        byte = value[at]
        result |= (byte & 0x7F) << shift
        at, shift = at + 1, shift + 7
        if byte < 0x80:
            return result, at
        if shift > 63:
            raise IndexError(at)
