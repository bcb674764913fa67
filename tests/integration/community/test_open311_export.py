"""Requests out of real tables as GeoReport v2, and read again: the same requests, and nothing of people."""

from __future__ import annotations

import json
import math
from datetime import UTC, datetime, timedelta
from typing import Any

import pyarrow as pa

from services.community.open311_export import ID_PREFIX, documents_of, read_requests
from services.core.geometry import EARTH_RADIUS_M
from services.feeds.open311 import Request, read_answer, rows_of
from services.runtime.clickhouse import ClickHouse

START = datetime(2026, 6, 1, tzinfo=UTC)
METRE = math.degrees(1 / EARTH_RADIUS_M)
CITY = "testville"
# Fields of an answer to GET Service Requests (GeoReport v2).
FIELDS = {
    *("service_request_id", "status", "status_notes", "service_name", "service_code", "description"),
    *("agency_responsible", "service_notice", "requested_datetime", "updated_datetime", "expected_datetime"),
    *("address", "address_id", "zipcode", "lat", "long", "media_url"),
}


def answer() -> list[dict[str, Any]]:
    """What another server told of some requests: near each other and not, open and closed, with a place and without."""
    told = []
    for number in range(40):
        opened, closed = START + timedelta(minutes=37.31 * number), number % 3 == 0
        updated = opened + timedelta(hours=5, seconds=number) if closed else opened
        place = {} if number % 5 == 4 else {"lat": 29.7 + 12.3 * number * METRE, "long": 116.0}
        about = {"service_request_id": f"SR {number}", "service_code": ("pothole", "lamp")[number % 2]}
        times = {"requested_datetime": opened.isoformat(), "updated_datetime": updated.isoformat()}
        told.append({**about, **times, "status": "closed" if closed else "open", **place})
    return told


def rows_from(document: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The observations that the feed makes of an answer, in order."""
    found = [*read_answer(json.dumps(document).encode())]
    rows = [row for request in found if isinstance(request, Request) for row in rows_of(request, CITY)]
    assert len(found) == len(document)
    return sorted(rows, key=lambda row: (row["time"], row["entity_id"], row["request_a"]))


async def store(clickhouse: ClickHouse, rows: list[dict[str, Any]], city: str = CITY) -> None:
    numbers = ("opened", "acknowledged_after_s", "resolved_after_s", "satisfaction")
    table = {
        "city": pa.array([city] * len(rows)),
        "entity_id": pa.array([row["entity_id"] for row in rows]),
        "time": pa.array([datetime.fromisoformat(row["time"]) for row in rows], pa.timestamp("ms", "UTC")),
        **{name: pa.array([row.get(name, math.nan) for row in rows], pa.float32()) for name in numbers},
        **{name: pa.array([float(row.get(name, math.nan)) for row in rows]) for name in ("latitude", "longitude")},
        **{name: pa.array([float(row[name]) for row in rows]) for name in ("request_a", "request_b")},
        "kafka_offset": pa.array(range(len(rows)), pa.int64()),
    }
    await clickhouse.insert("community.service_request", pa.table(table))


async def test_what_is_exported_and_read_again_are_the_same_requests(clickhouse: ClickHouse):
    rows = rows_from(answer())
    await store(clickhouse, rows)
    await store(clickhouse, rows[:7], "elsewhere")
    found = await read_requests(clickhouse, CITY, START, START + timedelta(days=2))
    exported = documents_of(found, {})
    assert rows_from(exported) == rows
    assert all({*document} - {"extended_attributes"} == FIELDS for document in exported)
    # And once more: what was exported from here is known by what it was known by here.
    assert {document["service_request_id"] for document in exported} == {request.id for request in found}
    assert all(document["service_request_id"].startswith(ID_PREFIX) for document in exported)
    first, second = START + timedelta(minutes=37.31), START + timedelta(minutes=2 * 37.31)
    assert len(await read_requests(clickhouse, CITY, first, second)) == 1


async def test_what_is_told_of_a_request_and_what_is_not(clickhouse: ClickHouse):
    about = {"entity_id": "lamp:8", "request_a": 2.0**52 + 5, "request_b": 2.0**53 - 1}
    await store(
        clickhouse,
        [
            {**about, "time": "2026-06-01T10:00:00.500+00:00", "opened": 1.0, "latitude": 29.7, "longitude": 116.0},
            {**about, "time": "2026-06-01T11:00:00+00:00", "acknowledged_after_s": 3599.5},
            {**about, "time": "2026-06-02T10:00:00+00:00", "satisfaction": 2.0},
        ],
    )
    (told,) = documents_of(await read_requests(clickhouse, CITY, START, START + timedelta(days=2)), {})
    assert {name: value for name, value in told.items() if value is not None} == {
        "service_request_id": "urban-0000000000005fffffffffffff",
        "status": "open",
        "status_notes": "taken up at 2026-06-01T11:00:00Z",
        "service_name": "lamp",
        "service_code": "lamp",
        "requested_datetime": "2026-06-01T10:00:00.500000Z",
        "updated_datetime": "2026-06-01T11:00:00Z",
        "lat": 29.7,
        "long": 116.0,
    }


async def test_open_requests_about_the_same_thing_name_the_first_of_them(clickhouse: ClickHouse):
    rows = [
        {
            "entity_id": f"{category}:8",
            "time": (START + timedelta(minutes=minute)).isoformat(),
            "opened": 1.0,
            "latitude": 29.7 + north_m * METRE,
            "longitude": 116.0,
            "request_a": 2.0**52 + minute,
            "request_b": 2.0**52,
        }
        for minute, (category, north_m) in enumerate(
            [("lamp", 0.0), ("lamp", 40.0), ("pothole", 0.0), ("pothole", 25.0), ("lamp", 80.0), ("lamp", 500.0)]
        )
    ]
    await store(clickhouse, rows)
    found = await read_requests(clickhouse, CITY, START, START + timedelta(days=1))
    told = [document.get("extended_attributes") for document in documents_of(found, {"pothole": 0.0})]
    three = {"cluster_id": found[0].id, "cluster_requests": 3}
    assert told == [three, three, None, None, three, None]
