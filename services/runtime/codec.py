"""Between the bytes of a record and the engine's frames: whatever the bytes are, a frame or a reason comes out."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from google.protobuf.message import DecodeError
from google.protobuf.unknown_fields import UnknownFieldSet
from numpy.typing import NDArray

from services.core.frame import Frame, Malformed, NumberArray
from services.runtime.contracts import FrameContract, WireColumn
from services.runtime.dictionaries import RawDictionaries
from services.runtime.json_rows import read_json_record
from services.runtime.log import Headers
from services.runtime.rows import Row, RowFault, clip, frame_from_rows, frames_from_rows

__all__ = [
    "MAX_OBSERVATIONS",
    "FrameTooLargeError",
    "decode_frame",
    "decode_record",
    "encode_announcement",
    "encode_frame",
    "encode_heartbeat",
    "frame_from_rows",
    "frames_from_rows",
    "read_frame",
    "select_rows",
]

MAX_OBSERVATIONS = 65_536
MAX_DICTIONARY = 65_535
MAX_SOURCE_ID = 128
# 9999-12-31T23:59:59.999Z: no time that protobuf's Timestamp can say is greater.
MAX_TIME_MS = 253_402_300_799_999
# Offsets are unsigned and of 32 bits: 49.7 days.
MAX_SPAN_MS = 2**32 - 1

PROTOBUF_TYPES = frozenset(("", "application/protobuf", "application/x-protobuf", "application/octet-stream"))
JSON_TYPE = "application/json"

_U4 = np.dtype("<u4")
# What an absent column of optional numbers reads as; frames slice it, so it costs nothing.
MISSING = {t: np.full(MAX_OBSERVATIONS, np.nan, t) for t in (np.dtype("<f4"), np.dtype("<f8"))}
for _nans in MISSING.values():
    _nans.flags.writeable = False


class FrameTooLargeError(RowFault):
    """A frame that holds more than one may."""


def decode_record(
    contract: FrameContract,
    value: bytes | None,
    headers: Headers,
    timestamp_ms: int,
    offset: int,
    dictionaries: RawDictionaries | None = None,
) -> Sequence[Frame | Malformed]:
    """What one record of an observation topic holds: one frame, or the frames of its JSON rows, in their order.

    A JSON array gives one Malformed for each row that cannot be read, beside the frames of the others; the header
    `urban_city` or a field `city` in each row tells the city. `timestamp_ms`, the record's own time, is the city's
    clock where the writer told none. `dictionaries`: those of the topic, to read faster. Values are checked elsewhere
    (services/core/validation.py). Never raises.
    """
    if not value:
        return (Malformed(offset, "the record is empty"),)
    told = content_type(headers)
    if told in PROTOBUF_TYPES:
        frame = decode_frame(contract, value, offset, dictionaries)
        if isinstance(frame, Frame) and not frame.clock_ms:
            frame = replace(frame, clock_ms=timestamp_ms)
        return (frame,)
    if told != JSON_TYPE:
        reason = f"{clip(told)} is neither application/protobuf nor {JSON_TYPE}"
        return (Malformed(offset, reason, "content-type"),)
    return _frames_of_json(contract, read_json_record(contract, value, city_of(headers)), timestamp_ms, offset)


def city_of(headers: Headers) -> str:
    """The city that a record's rows are of where they name none; "" where its headers do not tell it."""
    return next((_text(value).decode("utf-8", "replace") for name, value in headers if name == "urban_city"), "")


def content_type(headers: Headers) -> str:
    """The media type that a record's headers tell, in lower case and without parameters; "": none."""
    told = next((value for name, value in headers if name.lower() == "content-type"), b"")
    return _text(told).decode("latin-1").partition(";")[0].strip().lower()


def _text(value: bytes | None) -> bytes:
    """Kafka's headers may have no value."""
    return value or b""


def _frames_of_json(
    contract: FrameContract, rows: Sequence[Row | RowFault], clock_ms: int, offset: int
) -> Sequence[Frame | Malformed]:
    found: list[Frame | Malformed] = []
    good: list[Row] = []

    def take_good(end: int) -> None:
        index = end - len(good)
        for frame in frames_from_rows(contract, good):
            found.append(replace(frame, clock_ms=clock_ms, offset=offset, index=index))
            index += len(frame)
        good.clear()

    for index, row in enumerate(rows):
        if isinstance(row, Row):
            good.append(row)
        else:
            take_good(index)
            found.append(Malformed(offset, row.text, row.field, index))
    take_good(len(rows))
    return found


def decode_frame(
    contract: FrameContract, value: bytes, offset: int = -1, dictionaries: RawDictionaries | None = None
) -> Frame | Malformed:
    """The frame that these bytes hold, with columns as they came, or why they hold none. Never raises."""
    try:
        return read_frame(contract, value, offset, dictionaries)
    except RowFault as fault:
        return Malformed(offset, fault.text, fault.field)


def read_frame(
    contract: FrameContract, value: bytes, offset: int = -1, dictionaries: RawDictionaries | None = None
) -> Frame:
    """The frame that these bytes hold. RowFault: they hold none; FrameTooLargeError: more than a frame may hold.

    Columns may differ in length and hold any value; an absent column of optional numbers is all NaN.
    """
    rest, ids = dictionaries.split(value) if dictionaries is not None else (value, ())
    try:
        message = contract.view.FromString(rest)
        if ids and len(message.entity_ids):
            # More ids stand elsewhere in the record.
            ids, message = (), contract.view.FromString(value)
        unknown = UnknownFieldSet(message)
        if len(unknown) and any(field.field_number in contract.view_numbers for field in _fields(unknown)):
            # Unpacked elements are legal too; they come as another wire type, which only the public message reads.
            message = contract.frame.FromString(value)
            columns = {name: _of_elements(message, name) for name in _array_names(contract)}
        else:
            columns = {name: b"".join(getattr(message, name)) for name in _array_names(contract)}
    except DecodeError as error:
        raise RowFault("value", f"{len(value)} bytes", f"no {contract.frame_name}: {error}") from None
    if not ids:
        ids = tuple(message.entity_ids)
        if dictionaries is not None:
            dictionaries.learn(value, ids)
    return _frame_of(contract, message, ids, columns, offset)


def _fields(unknown: Any) -> Iterator[Any]:
    return iter(unknown)  # its type stub forgot that it can be iterated over


def _array_names(contract: FrameContract) -> tuple[str, ...]:
    return ("entity", "time_offset_ms", *contract.column_index)


def _of_elements(message: Any, name: str) -> bytes:
    field = message.DESCRIPTOR.fields_by_name[name]
    width = {field.TYPE_FLOAT: "<f4", field.TYPE_DOUBLE: "<f8"}.get(field.type, "<u4")
    return np.asarray(getattr(message, name), width).tobytes()


def _frame_of(
    contract: FrameContract, message: Any, entity_ids: tuple[str, ...], columns: dict[str, bytes], offset: int
) -> Frame:
    if not message.HasField("header"):
        raise RowFault("header", "", "is missing")
    header = message.header
    entity = _array(columns["entity"], _U4, "entity")
    _check_sizes(header, message, len(entity_ids), len(entity))
    if header.heartbeat and header.clock_ms <= 0:
        raise RowFault("header.clock_ms", str(header.clock_ms), "a heartbeat tells a clock")
    offsets = _array(columns["time_offset_ms"], _U4, "time_offset_ms")
    return Frame(
        city=header.city,
        entity_ids=entity_ids,
        entity=entity,
        time_ms=message.base_time_ms + offsets.astype(np.int64),
        period_s=message.period_s,
        columns={c.name: _column(c, columns[c.name], len(entity)) for c in contract.wire_columns},
        source_id=header.source_id,
        sequence=header.sequence,
        clock_ms=header.clock_ms,
        heartbeat=header.heartbeat,
        announces=header.announces_entities,
        offset=offset,
    )


def _check_sizes(header: Any, message: Any, ids: int, observations: int) -> None:
    silent = "a heartbeat" if header.heartbeat else "an announcement" if header.announces_entities else ""
    if bool(silent) == bool(observations):
        reason = f"{silent} has no observations" if silent else "a frame has observations"
        raise RowFault("entity", f"{observations} observations", reason)
    if observations > MAX_OBSERVATIONS:
        raise FrameTooLargeError("entity", f"{observations} observations", f"must be at most {MAX_OBSERVATIONS}")
    if ids > MAX_DICTIONARY:
        raise FrameTooLargeError("entity_ids", f"{ids} ids", f"must be at most {MAX_DICTIONARY}")
    if len(header.source_id) > MAX_SOURCE_ID:
        raise RowFault("header.source_id", header.source_id, f"must have at most {MAX_SOURCE_ID} characters")
    for field, time_ms in (("base_time_ms", message.base_time_ms), ("header.clock_ms", header.clock_ms)):
        if abs(time_ms) > MAX_TIME_MS:
            raise RowFault(field, str(time_ms), "must be a time before the year 10000")


def _array(data: bytes, dtype: np.dtype[Any], name: str) -> NDArray[Any]:
    if len(data) % dtype.itemsize:
        raise RowFault(name, f"{len(data)} bytes", f"must be a multiple of {dtype.itemsize} bytes")
    return np.frombuffer(data, dtype)


def _column(column: WireColumn, data: bytes, observations: int) -> NumberArray:
    if not data and column.optional:
        return MISSING[column.dtype][:observations]
    values: NumberArray = _array(data, column.dtype, column.name)
    return values


def encode_frame(contract: FrameContract, frame: Frame) -> bytes:
    """The bytes of a frame, columns packed. ValueError where its times lie more than 49.7 days apart.

    Columns that are all NaN are left out where they are optional; reading gives them back.
    """
    base_ms = int(frame.time_ms.min()) if len(frame) else 0
    offsets = frame.time_ms - base_ms
    if len(frame) and int(offsets.max()) > MAX_SPAN_MS:
        raise ValueError(f"the times of a frame span {int(offsets.max())} ms; at most {MAX_SPAN_MS} fit")
    message = contract.view(entity_ids=frame.entity_ids, base_time_ms=base_ms, period_s=frame.period_s)
    header = message.header
    header.city, header.source_id, header.sequence = frame.city, frame.source_id, frame.sequence
    header.clock_ms, header.heartbeat, header.announces_entities = frame.clock_ms, frame.heartbeat, frame.announces
    if len(frame):
        message.entity.append(frame.entity.astype("<u4", copy=False).tobytes())
        message.time_offset_ms.append(offsets.astype("<u4").tobytes())
        for column in contract.wire_columns:
            values = frame.columns[column.name]
            if not (column.optional and np.isnan(values).all()):
                getattr(message, column.name).append(values.astype(column.dtype, copy=False).tobytes())
    return bytes(message.SerializeToString())


def encode_heartbeat(contract: FrameContract, city: str, clock_ms: int) -> bytes:
    """A frame without observations: the city's clock (of all cities, where `city` is empty) has come so far."""
    message = contract.view()
    message.header.city, message.header.clock_ms, message.header.heartbeat = city, clock_ms, True
    return bytes(message.SerializeToString())


def encode_announcement(contract: FrameContract, city: str, entity_ids: Sequence[str]) -> bytes:
    """A frame without observations: these entities of the city are known from here on; none: they are all."""
    message = contract.view(entity_ids=entity_ids)
    message.header.city, message.header.announces_entities = city, True
    return bytes(message.SerializeToString())


def select_rows(frame: Frame, rows: NDArray[np.int64]) -> Frame:
    """The frame of these rows only, in the order given, with a dictionary of only the entities that they need."""
    if len(rows) == len(frame) and (rows == np.arange(len(frame))).all():
        return frame
    entity = frame.entity[rows]
    used = np.zeros(len(frame.entity_ids), np.bool_)
    used[entity] = True
    place = np.cumsum(used, dtype=np.uint32) - np.uint32(1)
    return replace(
        frame,
        entity_ids=tuple(frame.entity_ids[i] for i in np.flatnonzero(used).tolist()),
        entity=place[entity],
        time_ms=frame.time_ms[rows],
        columns={name: values[rows] for name, values in frame.columns.items()},
    )
