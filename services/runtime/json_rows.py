"""Rows in their proto JSON form, read by a mapping of our own: fast, and every fault names field, value and reason.

What it takes is what protobuf's own parser takes (a contract test compares the two): names in snake_case or
lowerCamelCase, numbers also as text, null as absent, enums by name or number, times after RFC 3339. Beside the row's
fields it takes `city`.
"""

from __future__ import annotations

import datetime
import math
import re
from collections.abc import Callable, Iterator, Mapping
from functools import lru_cache
from typing import Any

import orjson

from services.core.kind import ColumnType
from services.core.validation import NOT_REPEATED, RAW_ID
from services.runtime.contracts import FrameContract
from services.runtime.rows import Row, RowFault, clip

_RFC_3339 = re.compile(r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(?:\.(\d{1,9}))?(Z|[+-]\d\d:\d\d)", re.ASCII)
_NUMBER = re.compile(r"-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?", re.ASCII)
_SPECIAL = {"NaN": math.nan, "Infinity": math.inf, "-Infinity": -math.inf}
_FLOAT_MAX = 3.4028234663852886e38
_UINT32_MAX = 2**32 - 1
_EPOCH = datetime.datetime(1970, 1, 1, tzinfo=datetime.UTC)

_Reader = Callable[[str, object], Any]


def read_json_record(contract: FrameContract, value: bytes, city: str) -> list[Row | RowFault]:
    """The rows of one JSON object or array, a fault in the place of each that cannot be read. Never raises."""
    try:
        document = orjson.loads(value)
    except orjson.JSONDecodeError as error:
        return [RowFault("value", f"{len(value)} bytes", f"no JSON: {error}")]
    if isinstance(document, list):
        if not document:
            return [RowFault("value", "[]", "must have at least one row")]
        return list(_read_rows(contract, document, city))
    return list(_read_rows(contract, [document], city))


def _read_rows(contract: FrameContract, rows: list[object], city: str) -> Iterator[Row | RowFault]:
    for row in rows:
        try:
            yield read_json_row(contract, row, city)
        except RowFault as fault:
            yield fault


def read_json_row(contract: FrameContract, document: object, city: str) -> Row:
    """The observation that a parsed JSON object holds; `city` where it names none. RowFault says what is wrong."""
    if not isinstance(document, dict):
        raise RowFault("value", value_text(document), "must be a JSON object")
    fields = _fields_of(contract)
    found: dict[str, Any] = {}
    for key, value in document.items():
        if key not in fields:
            raise RowFault(key, value_text(value), f"unknown field '{clip(key)}'")
        name, read = fields[key]
        if name in found:
            raise RowFault(key, value_text(value), "is told twice")
        if value is not None:
            found[name] = read(key, value)
    if not (found.get("city") or city):
        raise RowFault("city", "", "is missing: neither the row nor the header urban_city tells it")
    if "time" not in found:
        raise RowFault("time", "", "is missing")
    absent = {ColumnType.CODE: 0}
    values = tuple(found.get(c.name, absent.get(c.type, math.nan)) for c in contract.kind.columns)
    return Row(found.get("city") or city, found.get("entity_id", ""), found["time"], found.get("period_s", 0), values)


@lru_cache(maxsize=64)
def _fields_by_row(row: Any, columns: tuple[tuple[str, ColumnType, bool], ...]) -> Mapping[str, tuple[str, _Reader]]:
    readers: dict[str, _Reader] = {"entity_id": _read_text, "time": _read_time, "period_s": _read_uint32}
    for name, column_type, personal in columns:
        if column_type is ColumnType.CODE:
            readers[name] = _enum_reader(row.DESCRIPTOR.fields_by_name[name].enum_type)
        else:
            readers[name] = _read_float if column_type is ColumnType.FLOAT else _read_double
        if personal:
            readers[name] = _keep_to_itself(readers[name])
    fields: dict[str, tuple[str, _Reader]] = {"city": ("city", _read_text)}
    for name, reader in readers.items():
        fields[name] = fields[row.DESCRIPTOR.fields_by_name[name].json_name] = (name, reader)
    return fields


def _fields_of(contract: FrameContract) -> Mapping[str, tuple[str, _Reader]]:
    return _fields_by_row(contract.row, tuple((c.name, c.type, c.personal) for c in contract.kind.columns))


def _read_text(field: str, value: object) -> str:
    if not isinstance(value, str):
        raise RowFault(field, value_text(value), "must be a text")
    return value


def _read_time(field: str, value: object) -> int:
    match = _RFC_3339.fullmatch(value) if isinstance(value, str) else None
    if match is None:
        raise RowFault(field, value_text(value), "must be a time after RFC 3339, as 2024-06-03T10:00:00Z")
    try:
        moment = datetime.datetime.fromisoformat(match[1] + match[3])
        since = moment - _EPOCH
    except (ValueError, OverflowError) as error:
        raise RowFault(field, value_text(value), f"no time: {error}") from None
    return (since.days * 86_400 + since.seconds) * 1000 + int((match[2] or "0").ljust(3, "0")[:3])


def _read_double(field: str, value: object) -> float:
    if isinstance(value, str) and (value in _SPECIAL or _NUMBER.fullmatch(value)):
        value = _SPECIAL[value] if value in _SPECIAL else float(value)
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise RowFault(field, value_text(value), "must be a number")
    return float(value)


def _read_float(field: str, value: object) -> float:
    number = _read_double(field, value)
    if abs(number) > _FLOAT_MAX and not math.isinf(number):
        raise RowFault(field, value_text(value), "is beyond single precision")
    return number


def _keep_to_itself(read: _Reader) -> _Reader:
    """What cannot be read may be somebody's raw id."""

    def read_personal(field: str, value: object) -> Any:
        try:
            return read(field, value)
        except RowFault as fault:
            raise RowFault(field, NOT_REPEATED, f"{fault.reason}: {RAW_ID}") from None

    return read_personal


def _read_uint32(field: str, value: object) -> int:
    number = _read_double(field, value)
    if not (number.is_integer() and 0 <= number <= _UINT32_MAX):
        raise RowFault(field, value_text(value), f"must be a whole number from 0 to {_UINT32_MAX}")
    return int(number)


def _enum_reader(enum_type: Any) -> _Reader:
    names = {v.name: v.number for v in enum_type.values}

    def read(field: str, value: object) -> int:
        if isinstance(value, str) and value in names:
            return int(names[value])
        if isinstance(value, str) and not _NUMBER.fullmatch(value):
            raise RowFault(field, value, f"is no {enum_type.name}")
        # A number without a name is refused with the other values that are not allowed.
        return _read_uint32(field, value)

    return read


def value_text(value: object) -> str:
    """A JSON value as text for people, 128 characters at most."""
    if isinstance(value, str):
        return clip(value)
    try:
        return clip(orjson.dumps(value).decode())
    except (TypeError, orjson.JSONEncodeError):
        return clip(repr(value))
