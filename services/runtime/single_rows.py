"""Many records that hold one plain JSON row each, read at once into columns.

Plain is what bridges write: names in snake_case, numbers as numbers, a time in UTC with whole seconds or milliseconds.
Whatever else protobuf's JSON allows, and whatever is wrong, is left to json_rows, one by one.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import orjson
from numpy.typing import NDArray

from services.core.kind import ColumnType
from services.runtime.contracts import FrameContract
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
        self._names = frozenset(("city", "entity_id", "time", "period_s", *(c.name for c in columns)))

    def read(self, values: Sequence[bytes], cities: Sequence[str]) -> Read:
        """Reads the plain ones. `cities`: what a row is of that names none. The clock of a header is 0: not told."""
        count = len(values)
        rows = [self._row_of(value) for value in values]
        time_ms, good = _read_times([row.get("time") for row in rows])
        good &= np.fromiter((row is not _ODD for row in rows), np.bool_, count)
        ids = [row.get("entity_id", "") for row in rows]
        good &= np.fromiter((type(i) is str for i in ids), np.bool_, count)
        columns: dict[str, NDArray[Any]] = {}
        for column in self._columns:
            numbers, fit = _read_numbers([row.get(column.name) for row in rows], column.type)
            columns[column.name], good = numbers, good & fit
        periods = [row.get("period_s", 0) for row in rows]
        good &= np.fromiter((type(p) is int and 0 <= p <= _UINT32_MAX for p in periods), np.bool_, count)
        own = [row.get("city") for row in rows]
        good &= np.fromiter((city is None or type(city) is str for city in own), np.bool_, count)
        headers = self._headers_of([told or city for told, city in zip(own, cities, strict=True)])
        good &= np.fromiter((header.city != "" for header in headers), np.bool_, count)
        return Read(
            done=good,
            headers=[*headers],
            entity_ids=ids,
            time_ms=time_ms,
            period_s=np.where(good, [p if type(p) is int else 0 for p in periods], 0).astype(np.int64),
            columns=columns,
        )

    def _headers_of(self, cities: Sequence[Any]) -> list[Header]:
        """A header for each city; rows of one city share it."""
        if len(set(map(id, cities))) == 1:
            return [Header(cities[0], "", 0, 0)] * len(cities)
        return [Header(city, "", 0, 0) for city in cities]

    def _row_of(self, value: bytes) -> Mapping[str, Any]:
        """The object that a record holds; _ODD where it is none, or has fields that are not plain."""
        if not self._readable:
            return _ODD
        try:
            row = orjson.loads(value)
        except orjson.JSONDecodeError:
            return _ODD
        return row if type(row) is dict and row.keys() <= self._names else _ODD


_ODD: Mapping[str, Any] = {}


def _read_numbers(values: list[Any], column_type: ColumnType) -> tuple[NDArray[Any], NDArray[np.bool_]]:
    """Numbers, and where they are plain: numbers of JSON, or none at all. Shapes: (n,)."""
    plain = np.fromiter((v is None or type(v) is float or type(v) is int for v in values), np.bool_, len(values))
    numbers = np.array(
        [v if ok and v is not None else np.nan for v, ok in zip(values, plain.tolist(), strict=True)], np.float64
    )
    if column_type is ColumnType.DOUBLE:
        return numbers, plain
    # Beyond single precision is a fault, which json_rows words.
    plain &= ~(np.abs(numbers) > _FLOAT_MAX)
    return np.where(plain, numbers, np.nan).astype(column_type.value), plain


def _read_times(texts: list[Any]) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """Times in ms since 1970, and where they are plain. Shapes: (n,)."""
    count = len(texts)
    whole = [_padded(text) for text in texts]
    table = np.frombuffer("".join(whole).encode("ascii"), np.uint8).reshape(count, len(_PATTERN))
    good = ((table[:, _DIGITS] - ord("0")) <= 9).all(axis=1) & (table[:, _SIGNS] == _PATTERN[_SIGNS]).all(axis=1)
    numbers = (table - ord("0")).astype(np.int64)

    def field(begin: int, end: int) -> NDArray[np.int64]:
        value = numbers[:, begin]
        for place in range(begin + 1, end):
            value = value * 10 + numbers[:, place]
        return np.asarray(value, np.int64)

    year, month, day = field(0, 4), field(5, 7), field(8, 10)
    hour, minute, second = field(11, 13), field(14, 16), field(17, 19)
    good &= (year >= 1) & (month >= 1) & (month <= 12) & (day >= 1) & (hour <= 23) & (minute <= 59) & (second <= 59)
    month_start = (np.where(good, year, 1970) - 1970).astype("datetime64[Y]").astype("datetime64[M]") + np.where(
        good, month - 1, 0
    ).astype("timedelta64[M]")
    days = (month_start + np.timedelta64(1, "M")).astype("datetime64[D]") - month_start.astype("datetime64[D]")
    good &= day <= days.astype(np.int64)
    since = month_start.astype("datetime64[D]").astype(np.int64) + day - 1
    time_ms = (((since * 24 + hour) * 60 + minute) * 60 + second) * 1000 + field(20, 23)
    return np.where(good, time_ms, 0), good


def _padded(text: Any) -> str:
    """A time with milliseconds, 24 characters long; something that is no time for what is not plain."""
    if type(text) is str and text.isascii():
        if len(text) == 24:
            return text
        if len(text) == 20 and text[-1] == _WITHOUT_MS:
            return text[:-1] + _WITH_MS
    return _NO_TIME


_NO_TIME = "?" * len(_PATTERN)
