"""Requests of citizens as an Open311 GeoReport v2 server answers them, JSON: what others read who take them further.

Fields are those of the answer to GET Service Requests (wiki.open311.org/GeoReport_v2). Who asked, in which words, and
how satisfied somebody was are no part of it: the first two never come here, the third is nobody else's.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np

from services.community.indices.clustering import DEFAULT_RADIUS_M, cluster
from services.core.pseudonym import LEAST
from services.runtime.clickhouse import ClickHouse

# What a server of GeoReport v2 answers where nothing else is asked (the specification, GET Service Requests). Its other
# bound, 1,000 requests, is not one here: a file has no pages.
DEFAULT_DAYS = 90
# What a request is known by here is a hash of what it was known by where it came from. Who reads an id that begins so
# takes the bits behind it, and has the same request.
ID_PREFIX = "urban-"
_HEX_DIGITS = 13
_LEAST_CLUSTER = 2
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

_REQUESTS = """
SELECT splitByChar(':', entity_id)[1] AS category, request_a, request_b,
    toUnixTimestamp64Milli(minIf(time, opened > 0)) AS opened_ms,
    countIf(NOT isNaN(acknowledged_after_s)) > 0 AS is_taken_up,
    toUnixTimestamp64Milli(minIf(time, NOT isNaN(acknowledged_after_s))) AS taken_up_ms,
    countIf(NOT isNaN(resolved_after_s)) > 0 AS is_closed,
    toUnixTimestamp64Milli(maxIf(time, NOT isNaN(resolved_after_s))) AS closed_ms,
    anyIf(latitude, NOT isNaN(latitude)) AS north, anyIf(longitude, NOT isNaN(latitude)) AS east,
    countIf(NOT isNaN(latitude) AND NOT isNaN(longitude)) > 0 AS is_placed
FROM community.service_request FINAL
WHERE city = {city:String}
GROUP BY entity_id, request_a, request_b
HAVING countIf(opened > 0) > 0 AND opened_ms >= {since:Int64} AND opened_ms < {until:Int64}
ORDER BY opened_ms, category, request_a, request_b
"""


@dataclass(frozen=True)
class StoredRequest:
    """A request as the archive tells it. Times in ms since 1970-01-01T00:00Z."""

    category: str
    request_a: float
    request_b: float
    opened_ms: int
    taken_up_ms: int | None  # None: it is not known to be
    closed_ms: int | None  # None: it is open
    place: tuple[float, float] | None  # degrees north and east

    @property
    def id(self) -> str:
        """What others call it."""
        high, low = (int(number - LEAST) for number in (self.request_a, self.request_b))
        return f"{ID_PREFIX}{high:0{_HEX_DIGITS}x}{low:0{_HEX_DIGITS}x}"


async def read_requests(clickhouse: ClickHouse, city: str, since: datetime, until: datetime) -> list[StoredRequest]:
    """Requests that were opened from `since` on and before `until`, the oldest first."""
    since_ms, until_ms = ((time - _EPOCH) // timedelta(milliseconds=1) for time in (since, until))
    rows = await clickhouse.query(_REQUESTS, {"city": city, "since": since_ms, "until": until_ms})
    return [_stored(*row) for row in rows]


def _stored(
    category: str,
    request_a: float,
    request_b: float,
    opened_ms: int,
    is_taken_up: bool,
    taken_up_ms: int,
    is_closed: bool,
    closed_ms: int,
    north: float,
    east: float,
    is_placed: bool,
) -> StoredRequest:
    return StoredRequest(
        category,
        request_a,
        request_b,
        opened_ms,
        taken_up_ms if is_taken_up else None,
        closed_ms if is_closed else None,
        (north, east) if is_placed else None,
    )


def documents_of(
    requests: Sequence[StoredRequest], radius_m: Mapping[str, float], default_m: float = DEFAULT_RADIUS_M
) -> list[dict[str, Any]]:
    """The requests as GeoReport v2 has them, in their order. ValueError: a radius that cannot be.

    What is not known is null. Open requests that are about the same thing say so in `extended_attributes`, where
    servers put what the specification does not have: the id of the first of them, and how many they are.
    """
    together = _clusters(requests, radius_m, default_m)
    return [_document(request, together.get(place)) for place, request in enumerate(requests)]


def _document(request: StoredRequest, together: tuple[str, int] | None) -> dict[str, Any]:
    closed, taken_up = request.closed_ms, request.taken_up_ms
    updated_ms = closed if closed is not None else taken_up if taken_up is not None else request.opened_ms
    latitude, longitude = request.place or (None, None)
    document: dict[str, Any] = {
        "service_request_id": request.id,
        "status": "open" if closed is None else "closed",
        "status_notes": None if taken_up is None else f"taken up at {_time(taken_up)}",
        "service_name": request.category,
        "service_code": request.category,
        "description": None,
        "agency_responsible": None,
        "service_notice": None,
        "requested_datetime": _time(request.opened_ms),
        "updated_datetime": _time(updated_ms),
        "expected_datetime": None,
        "address": None,
        "address_id": None,
        "zipcode": None,
        "lat": latitude,
        "long": longitude,
        "media_url": None,
    }
    if together is not None:
        document["extended_attributes"] = {"cluster_id": together[0], "cluster_requests": together[1]}
    return document


def _clusters(
    requests: Sequence[StoredRequest], radius_m: Mapping[str, float], default_m: float
) -> dict[int, tuple[str, int]]:
    """By place among the requests: id of the first of its cluster, and how many they are. Of single ones nothing."""
    open_ones = [place for place, request in enumerate(requests) if request.closed_ms is None and request.place]
    if not open_ones:
        return {}
    mine = [requests[place] for place in open_ones]
    categories, category = np.unique([request.category for request in mine], return_inverse=True)
    places = np.array([request.place or (math.nan, math.nan) for request in mine])
    radii = {code: radius_m[name] for code, name in enumerate(categories.tolist()) if name in radius_m}
    labels = cluster(category, places[:, 0], places[:, 1], radii, default_m).tolist()
    size = {label: labels.count(label) for label in {*labels}}
    return {
        place: (mine[label].id, size[label])
        for place, label in zip(open_ones, labels, strict=True)
        if size[label] >= _LEAST_CLUSTER
    }


def _time(time_ms: int) -> str:
    return (_EPOCH + timedelta(milliseconds=time_ms)).isoformat().replace("+00:00", "Z")
