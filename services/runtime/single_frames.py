"""Many records that hold a frame of one observation each, read at once.

Whoever writes single observations writes records of the same shape: the same fields in the same order, of the same
lengths. So the shape is read from one record, and the others of its length are compared with it byte by byte, all at
once; where nothing but numbers, the id and the header differ, they are read as columns. All others, and whatever is
odd, are left to the codec, one by one.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
from google.protobuf.message import DecodeError
from numpy.typing import NDArray

from services.core.kind import ColumnType
from services.runtime.contracts import FrameContract

# Longer ones hold more than one observation.
LONGEST_BYTES = 512
# Shapes of one length that are tried before what is left is read one by one.
MOST_SHAPES = 16
MAX_SOURCE_ID = 128

_VARINT, _FIXED64, _BYTES = 0, 1, 2
_HEADER, _IDS, _ENTITY, _BASE_TIME, _OFFSET, _PERIOD = 1, 2, 3, 4, 5, 6
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
    headers: list[Header | None]
    entity_ids: list[str]
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

    def read(self, values: Sequence[bytes]) -> Read:
        """Reads those of the records that are frames of one observation and have nothing odd in them."""
        count = len(values)
        read = Read(
            done=np.zeros(count, np.bool_),
            headers=[None] * count,
            entity_ids=[""] * count,
            time_ms=np.zeros(count, np.int64),
            period_s=np.zeros(count, np.int64),
            columns={c.name: np.full(count, _absent(c.type), c.type.value) for c in self._contract.kind.columns},
        )
        by_length: dict[int, list[int]] = defaultdict(list)
        for place, value in enumerate(values):
            by_length[len(value)].append(place)
        headers: dict[bytes, Header | None] = {}
        for length, places in by_length.items():
            if length <= LONGEST_BYTES:
                self._read_length(values, np.array(places), length, read, headers)
        return read

    def _read_length(
        self, values: Sequence[bytes], places: Int64Array, length: int, read: Read, headers: dict[bytes, Header | None]
    ) -> None:
        table = np.frombuffer(b"".join([values[place] for place in places.tolist()]), np.uint8).reshape(-1, length)
        known = self._shapes.setdefault(length, [])
        left = np.arange(len(places))
        for tried in range(MOST_SHAPES):
            if tried == len(known):
                shape = self._shape_of(table[left[0]].tobytes())
                if shape is None:
                    return
                known.append(shape)
            shape = known[tried]
            fits = (table[left][:, shape.structure] == shape.bytes).all(axis=1)
            self._read_shape(table[left[fits]], shape, places[left[fits]], read, headers)
            left = left[~fits]
            if not len(left):
                return
        known.pop(0)  # none of them fits: the next call may learn another one

    def _read_shape(
        self, table: Bytes, shape: Shape, places: Int64Array, read: Read, headers: dict[bytes, Header | None]
    ) -> None:
        if not len(table):
            return
        ids = _texts(table, shape.spans[_IDS])
        if ids is None:
            return
        begin, end = shape.spans[_HEADER]
        raw = np.ascontiguousarray(table[:, begin:end]).tobytes()
        width = end - begin
        good = _number(table, shape.spans[_ENTITY], "<u4") == 0
        for row, place in enumerate(places.tolist()):
            key = raw[row * width : (row + 1) * width]
            header = headers[key] if key in headers else headers.setdefault(key, self._read_header(key))
            if header is None:
                good[row] = False
            read.headers[place] = header
            read.entity_ids[place] = ids[row]
        base_ms = _number(table, shape.spans[_BASE_TIME], "<i8") if _BASE_TIME in shape.spans else 0
        read.time_ms[places] = base_ms + _number(table, shape.spans[_OFFSET], "<u4").astype(np.int64)
        read.period_s[places] = shape.period_s
        for number, column in self._columns.items():
            if number in shape.spans:
                read.columns[column.name][places] = _number(table, shape.spans[number], column.type.value)
        # The codec knows what to say of a time that cannot be.
        good &= np.abs(read.time_ms[places]) < 2**47
        read.done[places] = good

    def _read_header(self, raw: bytes) -> Header | None:
        """None where there is something about it that the codec has to look at."""
        try:
            header = self._header_class.FromString(raw)
        except DecodeError:
            return None
        if header.heartbeat or len(header.source_id) > MAX_SOURCE_ID or not 0 <= header.clock_ms < 2**47:
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
                if number == _PERIOD and kind == _VARINT:
                    period_s = _varint(value, begin)[0]
                elif not self._is_usual(number, kind, end - begin):
                    return None
        except IndexError:
            return None
        spans.pop(_PERIOD, None)
        needed = {_HEADER, _IDS, _ENTITY, _OFFSET}
        needed |= {n for n, c in self._columns.items() if c.required or c.type is ColumnType.CODE}
        if not needed <= spans.keys() or period_s >= 2**32:
            return None
        free = np.zeros(len(value), np.bool_)
        for begin, end in spans.values():
            free[begin:end] = True
        structure = np.flatnonzero(~free)
        return Shape(structure, np.frombuffer(value, np.uint8)[structure], period_s, spans)

    def _is_usual(self, number: int, kind: int, length: int) -> bool:
        if number in (_HEADER, _IDS):
            return kind == _BYTES
        if number in (_ENTITY, _OFFSET):
            return kind == _BYTES and length == 4
        if number == _BASE_TIME:
            return kind == _FIXED64
        column = self._columns.get(number)
        return column is not None and kind == _BYTES and length == int(column.type.value[-1])


def _absent(column_type: ColumnType) -> float:
    return 0 if column_type is ColumnType.CODE else float("nan")


def _number(table: Bytes, span: tuple[int, int], dtype: str) -> NDArray[Any]:
    begin, end = span
    return np.ascontiguousarray(table[:, begin:end]).view(dtype)[:, 0]


def _texts(table: Bytes, span: tuple[int, int]) -> list[str] | None:
    """The texts in these bytes of each row; None where some are not ASCII."""
    begin, end = span
    width = end - begin
    try:
        whole = np.ascontiguousarray(table[:, begin:end]).tobytes().decode("ascii")
    except UnicodeDecodeError:
        return None
    return [whole[at : at + width] for at in range(0, len(whole), width)] if width else [""] * len(table)


def _walk(value: bytes) -> Iterator[tuple[int, int, int, int]]:
    """Number, wire type, begin and end of the data of each field. IndexError where the bytes end too early."""
    at = 0
    while at < len(value):
        tag, at = _varint(value, at)
        kind = tag & 7
        if kind == _BYTES:
            length, at = _varint(value, at)
            end = at + length
        elif kind == _VARINT:
            end = _varint(value, at)[1]
        elif kind == _FIXED64:
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
