"""Many records that hold one plain JSON row each, read at once into columns.

Plain is what bridges write: names in snake_case, numbers as numbers, a time in UTC with whole seconds or milliseconds.
Whatever else protobuf's JSON allows, and whatever is wrong, is left to json_rows, one by one.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from types import NoneType
from typing import Any

import numpy as np
import orjson
from numpy.typing import NDArray

from services.core.kind import ColumnType
from services.runtime.contracts import FrameContract
from services.runtime.id_codes import UNREADABLE, IdCodes
from services.runtime.json_layouts import CITY, ID, ODD_IN_TEXT, PERIOD, TIME, Found, Layouts, read_numbers
from services.runtime.record_columns import Int64Array, Spans, rows, texts, widths
from services.runtime.single_frames import Header, Read

_UINT32_MAX = 2**32 - 1
_FLOAT_MAX = 3.4028234663852886e38
# 2024-06-03T10:00:00 and what may follow: Z, or milliseconds and Z.
_PATTERN = np.frombuffer(b"0000-00-00T00:00:00.000Z", np.uint8)
_DIGITS = np.flatnonzero(ord("0") == _PATTERN)
_SIGNS = np.flatnonzero(ord("0") != _PATTERN)
_WITHOUT_MS = "Z"
_WITH_MS = ".000Z"


class SingleRows:
    """Reads the records of one topic."""

    def __init__(self, contract: FrameContract) -> None:
        columns = contract.kind.columns
        self._columns = columns
        self._readable = not any(c.type is ColumnType.CODE for c in columns)
        self._ids = IdCodes(ODD_IN_TEXT)
        self._layouts = Layouts(frozenset(c.name for c in columns))
        self._names = frozenset((CITY, ID, TIME, PERIOD, *(c.name for c in columns)))

    def read(self, data: bytes, values: Spans, cities: Sequence[str], city_of: NDArray[np.int64]) -> Read:
        """Reads the plain ones. `city_of`, (records,): which of the cities a row is of that names none itself.

        The clock of a header is 0: not told.
        """
        count = len(values)
        self._ids.make_room()
        headers = _Headers(cities, city_of)
        read = Read(
            done=np.zeros(count, np.bool_),
            headers=headers.found,
            headers_of=headers.which,
            entity_ids=self._ids.ids,
            entity=np.zeros(count, np.int64),
            time_ms=np.zeros(count, np.int64),
            period_s=np.zeros(count, np.int64),
            columns={c.name: np.full(count, np.nan, c.type.value) for c in self._columns},
        )
        if self._readable:
            for found in self._layouts.find(data, values):
                self._read_found(data, found, read, headers)
            left = np.flatnonzero(~read.done)
            if len(left):
                self._read_parsed(data, values[left], left, read, headers)
            read.done &= headers.known()
        return read

    def _read_found(self, data: bytes, found: Found, read: Read, headers: _Headers) -> None:
        """Rows whose parts are known."""
        places, parts = found.places, found.parts
        time_ms, good = _read_times(data, parts[TIME])
        entity = np.full(len(places), UNREADABLE)
        for width, some in widths(parts[ID].length):
            entity[some] = self._ids.read(rows(data, parts[ID].begin[some], width))
        good &= entity != UNREADABLE
        for column in self._columns:
            if column.name in parts:
                numbers, plain = read_numbers(data, parts[column.name])
                read.columns[column.name][places], fit = _fit(numbers, plain, column.type)
                good &= fit
        if found.layout.city:
            headers.put(places, found.layout.city)
        read.time_ms[places], read.entity[places], read.period_s[places] = time_ms, entity, found.layout.period_s
        read.done[places] = good

    def _read_parsed(self, data: bytes, values: Spans, places: Int64Array, read: Read, headers: _Headers) -> None:
        """All others, each parsed by itself."""
        parsed = [self._row_of(value) for value in texts(data, values)]
        time_ms, good = _parse_times([row.get(TIME) for row in parsed])
        good &= _mark(row is not _ODD for row in parsed)
        ids = [i if type(i := row.get(ID, "")) is str else None for row in parsed]
        good &= _mark(i is not None for i in ids)
        for column in self._columns:
            told = [row.get(column.name) for row in parsed]
            plain = _mark(v is None or type(v) is float or type(v) is int for v in told)
            numbers = np.array(
                [v if ok and v is not None else np.nan for v, ok in zip(told, plain.tolist(), strict=True)], np.float64
            )
            read.columns[column.name][places], fit = _fit(numbers, plain, column.type)
            good &= fit
        periods = [row.get(PERIOD, 0) for row in parsed]
        good &= _mark(type(p) is int and 0 <= p <= _UINT32_MAX for p in periods)
        read.period_s[places] = [p if ok else 0 for p, ok in zip(periods, good.tolist(), strict=True)]
        for place, row in zip(places.tolist(), parsed, strict=True):
            headers.put(place, row.get(CITY) or "")
        good &= _mark(type(row.get(CITY)) in (str, NoneType) for row in parsed)
        read.time_ms[places], read.entity[places] = time_ms, self._ids.read_texts(ids)
        read.done[places] = good

    def _row_of(self, value: bytes | None) -> Mapping[str, Any]:
        """The object that a record holds; _ODD where it is none, or has fields that are not plain."""
        try:
            row = orjson.loads(value or b"")
        except orjson.JSONDecodeError:
            return _ODD
        return row if type(row) is dict and row.keys() <= self._names else _ODD


_ODD: Mapping[str, Any] = {}


class _Headers:
    """The cities of some rows, each once, and which of them each row is of."""

    def __init__(self, cities: Sequence[str], city_of: Int64Array) -> None:
        """Those that are told beside the rows, each once, and which of them each row is of."""
        self.found: list[Header] = []
        self._places: dict[str, int] = {}
        for city in cities:
            self._place(city)
        self.which = city_of.astype(np.int64)

    def _place(self, city: str) -> int:
        if city not in self._places:
            self._places[city] = len(self.found)
            self.found.append(Header(city, "", 0, 0))
        return self._places[city]

    def put(self, rows_at: int | Int64Array, city: object) -> None:
        """These rows say of what city they are; "": they do not."""
        if isinstance(city, str) and city:
            self.which[rows_at] = self._place(city)

    def known(self) -> NDArray[np.bool_]:
        """Of which rows the city is known. Shape: (rows,)."""
        return np.array([header.city != "" for header in self.found], np.bool_)[self.which]


def _mark(told: Iterable[bool]) -> NDArray[np.bool_]:
    return np.fromiter(told, np.bool_)


def _fit(
    numbers: NDArray[np.float64], plain: NDArray[np.bool_], column_type: ColumnType
) -> tuple[NDArray[Any], NDArray[np.bool_]]:
    """Numbers as the column has them, and which are plain and fit into it. Shapes: (n,)."""
    if column_type is ColumnType.DOUBLE:
        return numbers, plain
    # Beyond single precision is a fault, which json_rows words.
    plain = plain & ~(np.abs(numbers) > _FLOAT_MAX)
    return np.where(plain, numbers, np.nan).astype(column_type.value), plain


def _parse_times(texts: list[Any]) -> tuple[Int64Array, NDArray[np.bool_]]:
    """Times in ms since 1970, and where they are plain. Shapes: (n,)."""
    whole = "".join([_padded(text) for text in texts]).encode("ascii")
    return _times_of(np.frombuffer(whole, np.uint8).reshape(len(texts), len(_PATTERN)))


def _read_times(data: bytes, spans: Spans) -> tuple[Int64Array, NDArray[np.bool_]]:
    """The same of parts of the data."""
    if (spans.length == len(_PATTERN)).all():
        return _times_of(rows(data, spans.begin, len(_PATTERN)))
    table = np.empty((len(spans), len(_PATTERN)), np.uint8)
    table[:] = _PATTERN
    known = np.zeros(len(spans), np.bool_)
    for width, shown in ((len(_PATTERN), len(_PATTERN)), (len(_PATTERN) - 4, len(_PATTERN) - 5)):
        some = np.flatnonzero(spans.length == width)
        if len(some):
            read = rows(data, spans.begin[some], width)
            known[some] = read[:, -1] == _PATTERN[-1]
            table[some, :shown] = read[:, :shown]
    time_ms, good = _times_of(table)
    return time_ms, good & known


def _times_of(table: NDArray[np.uint8]) -> tuple[Int64Array, NDArray[np.bool_]]:
    """Times as text, 24 characters of each. Shapes: (n, 24) to (n,)."""
    characters = np.ascontiguousarray(table.T)
    digits = characters - np.uint8(ord("0"))
    good = (digits[_DIGITS] <= 9).all(axis=0) & (characters[_SIGNS] == _PATTERN[_SIGNS, None]).all(axis=0)

    def field(begin: int, end: int) -> NDArray[np.int32]:
        value = digits[begin].astype(np.int32)
        for place in range(begin + 1, end):
            value = value * 10 + digits[place]
        return np.asarray(value)

    date = field(0, 4) * 10_000 + field(5, 7) * 100 + field(8, 10)
    hour, minute, second = field(11, 13), field(14, 16), field(17, 19)
    days, is_date = _days_of(date)
    good &= is_date & (hour <= 23) & (minute <= 59) & (second <= 59)
    time_ms = days * 86_400_000 + (((hour * 60 + minute) * 60 + second) * 1000 + field(20, 23))
    return np.where(good, time_ms, 0), good


def _days_of(date: NDArray[np.int32]) -> tuple[Int64Array, NDArray[np.bool_]]:
    """Days since 1970 of dates as numbers, 20240603, and which there are. Shapes: (n,)."""
    dates, which = np.unique(date, return_inverse=True)
    year, month, day = dates // 10_000, dates // 100 % 100, dates % 100
    good = (year >= 1) & (year <= 9999) & (month >= 1) & (month <= 12) & (day >= 1)
    start = (np.where(good, year, 1970) - 1970).astype("datetime64[Y]").astype("datetime64[M]")
    start += np.where(good, month - 1, 0).astype("timedelta64[M]")
    first = start.astype("datetime64[D]")
    good &= day <= ((start + np.timedelta64(1, "M")).astype("datetime64[D]") - first).astype(np.int64)
    return (first.astype(np.int64) + day - 1)[which], good[which]


def _padded(text: Any) -> str:
    """A time with milliseconds, 24 characters long; something that is no time for what is not plain."""
    if type(text) is str and text.isascii():
        if len(text) == 24:
            return text
        if len(text) == 20 and text[-1] == _WITHOUT_MS:
            return text[:-1] + _WITH_MS
    return _NO_TIME


_NO_TIME = "?" * len(_PATTERN)
