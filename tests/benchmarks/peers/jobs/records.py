"""A record's bytes as readings, with the fastest libraries of the ecosystem: orjson, and protobuf on upb."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable
from datetime import datetime
from importlib import import_module
from pathlib import Path
from typing import Any, NamedTuple

import orjson

REPOSITORY = Path(__file__).resolve().parents[4]
PROTO = (REPOSITORY / "build" / "benchmarks" / "proto", REPOSITORY / "build" / "proto")

WINDOW_MS = 60_000
HOP_MS = 10_000
DISORDER_MS = 5_000


class Reading(NamedTuple):
    """One observation."""

    entity_id: str
    time_ms: int
    value: float


def milliseconds(text: str) -> int:
    """Of RFC 3339 text, since 1970."""
    return round(datetime.fromisoformat(text).timestamp() * 1000)


def of_json(record: bytes) -> Reading:
    row = orjson.loads(record)
    return Reading(row["entity_id"], milliseconds(row["time"]), row["value"])


def frame_type() -> Any:
    """The generated class of `ReadingFrame`."""
    sys.path.append(str(PROTO[1]))
    import_module("urban").__path__.append(str(PROTO[0] / "urban"))
    return import_module("urban.benchmark.v1.reading_pb2").ReadingFrame


def one_of_frame() -> Callable[[bytes], Reading]:
    """For records that are frames of one observation."""
    parse = frame_type().FromString

    def decode(record: bytes) -> Reading:
        frame = parse(record)
        return Reading(frame.entity_ids[0], frame.base_time_ms + frame.time_offset_ms[0], frame.value[0])

    return decode


def all_of_frame() -> Callable[[bytes], Iterable[tuple[str, int, float]]]:
    """For records that are frames of many."""
    parse = frame_type().FromString

    def decode(record: bytes) -> Iterable[tuple[str, int, float]]:
        frame = parse(record)
        ids, base_ms = list(frame.entity_ids), frame.base_time_ms
        return [
            (ids[entity], base_ms + offset_ms, value)
            for entity, offset_ms, value in zip(frame.entity, frame.time_offset_ms, frame.value, strict=True)
        ]

    return decode


def fold(total: list[float], value: float) -> list[float]:
    """Count, sum, min and max with one value more."""
    total[0] += 1
    total[1] += value
    if value < total[2]:
        total[2] = value
    if value > total[3]:
        total[3] = value
    return total


def first(value: float) -> list[float]:
    """Count, sum, min and max of one value."""
    return [1, value, value, value]


def result(entity_id: str, start_ms: int, total: list[float]) -> dict[str, Any]:
    """A final row."""
    count, added, least, greatest = total
    return {
        "entity_id": entity_id,
        "start_ms": start_ms,
        "count": count,
        "sum": added,
        "min": least,
        "max": greatest,
        "mean": added / count,
    }
