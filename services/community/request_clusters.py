"""Requests of the last days that are open and about the same thing: `python -m services.community.request_clusters`.

Prints one JSON object for each cluster of at least two, the greatest first. Each category has its own radius, and 0
switches it off: `--radius pothole=30 --radius noise=0`.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta

import numpy as np
import pyarrow as pa

from services.community.indices.clustering import DEFAULT_RADIUS_M, cluster
from services.runtime.clickhouse import ClickHouse
from services.runtime.settings import Settings

# What is older and still open is known by now. A proposal.
DEFAULT_DAYS = 30
LEAST_SIZE = 2
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

_OPEN_REQUESTS = """
SELECT splitByChar(':', entity_id)[1] AS category, toUnixTimestamp64Milli(minIf(time, opened > 0)) AS opened_ms,
    anyIf(latitude, NOT isNaN(latitude)) AS north, anyIf(longitude, NOT isNaN(latitude)) AS east
FROM community.service_request FINAL
WHERE city = {city:String} AND time >= fromUnixTimestamp64Milli({since:Int64}, 'UTC')
GROUP BY entity_id, request_a, request_b
HAVING countIf(opened > 0) > 0 AND countIf(NOT isNaN(resolved_after_s)) = 0 AND countIf(NOT isNaN(latitude)) > 0
ORDER BY opened_ms, request_a, request_b
"""


@dataclass(frozen=True)
class Cluster:
    """Open requests of one category that are near to each other."""

    category: str
    requests: int
    first_time: str
    last_time: str
    latitude: float  # degrees north and east of the first of them
    longitude: float


async def find_clusters(
    clickhouse: ClickHouse,
    city: str,
    since: datetime,
    radius_m: Mapping[str, float],
    default_m: float = DEFAULT_RADIUS_M,
) -> list[Cluster]:
    """Clusters of requests that were opened since then, the greatest first. ValueError: a radius that cannot be."""
    since_ms = (since - _EPOCH) // timedelta(milliseconds=1)
    found = await clickhouse.query_arrow(_OPEN_REQUESTS, {"city": city, "since": since_ms})
    return _clusters(found, radius_m, default_m)


def _clusters(requests: pa.Table, radius_m: Mapping[str, float], default_m: float) -> list[Cluster]:
    """Requests are in the order of time, so that the first of a cluster is the one that was opened first."""
    if not len(requests):
        return []
    categories, category = np.unique(requests["category"].to_numpy(), return_inverse=True)
    opened_ms, latitude, longitude = (requests[name].to_numpy() for name in ("opened_ms", "north", "east"))
    radii = {code: radius_m[name] for code, name in enumerate(categories.tolist()) if name in radius_m}
    labels = cluster(category, latitude, longitude, radii, default_m)
    first, size = np.unique(labels, return_counts=True)
    last_ms = np.zeros(len(labels), np.int64)
    np.maximum.at(last_ms, labels, opened_ms)
    several = first[size >= LEAST_SIZE]
    sizes = dict(zip(first.tolist(), size.tolist(), strict=True))
    clusters = [
        Cluster(
            str(categories[category[one]]),
            sizes[one],
            _time(opened_ms[one]),
            _time(last_ms[one]),
            float(latitude[one]),
            float(longitude[one]),
        )
        for one in several.tolist()
    ]
    return sorted(clusters, key=lambda found: -found.requests)


def _time(time_ms: int) -> str:
    return (_EPOCH + timedelta(milliseconds=int(time_ms))).isoformat()


def _radius(text: str) -> tuple[str, float]:
    category, _, metres = text.rpartition("=")
    if not category:
        raise ValueError(f"{text!r} is not like pothole=30")
    return category, float(metres)


async def _main(told: argparse.Namespace, now: datetime) -> None:
    clickhouse = await ClickHouse.of(Settings())  # type: ignore[call-arg]  # every field has a default
    try:
        since = now - timedelta(days=told.days)
        for found in await find_clusters(clickhouse, told.city, since, dict(told.radius), told.default_radius):
            print(json.dumps(asdict(found)))
    finally:
        await clickhouse.close()


def read_arguments(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m services.community.request_clusters", description=__doc__)
    parser.add_argument("--city", required=True)
    parser.add_argument("--days", type=float, default=DEFAULT_DAYS, help="opened within so many days (%(default)d)")
    parser.add_argument("--radius", type=_radius, action="append", default=[], help="of a category in m: pothole=30")
    parser.add_argument("--default-radius", type=float, default=DEFAULT_RADIUS_M, help="of others in m (%(default)g)")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    try:
        asyncio.run(_main(read_arguments(), datetime.now(UTC)))
    except ValueError as error:
        sys.exit(str(error))
