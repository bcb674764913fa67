"""Citizens' requests from the answer of an Open311 server to clusters, and to how they were answered by grid."""

from __future__ import annotations

import json
import math
import random
from collections import defaultdict
from datetime import UTC, datetime, timedelta
from statistics import median
from typing import Any, NamedTuple

import numpy as np
import pytest

from services.community.domain import COMMUNITY
from services.community.request_clusters import find_clusters
from services.core.geometry import EARTH_RADIUS_M, cell_of
from services.feeds.open311 import Request, read_answer, rows_of
from services.runtime.catalogue import observations
from services.runtime.partitioner import partition_of
from services.runtime.roles import ArchiverRole
from tests.integration.processor.city import NAME, PARTITIONS, START_MS, City

START = datetime.fromtimestamp(START_MS / 1000, UTC)
METRE = math.degrees(1 / EARTH_RADIUS_M)
NORTH, EAST = 39.9, 116.4
RADII_M = {"pothole": 30.0, "noise": 0.0}  # lamps have the usual 50 m


class Case(NamedTuple):
    """What became of a request; times in minutes after START or after it was opened."""

    number: int
    category: str
    metres_north: int
    opened: int
    acknowledged: int | None
    resolved: int | None
    mark: int | None

    @property
    def latitude(self) -> float:
        return NORTH + self.metres_north * METRE

    @property
    def area(self) -> str:
        return f"{cell_of(self.latitude, EAST, 8):x}"

    def xml(self) -> str:
        def told(minutes: int) -> str:
            return (START + timedelta(minutes=minutes)).isoformat()

        updated = self.opened + (self.resolved or 0)
        return (
            f"<request><service_request_id>{self.number}</service_request_id>"
            f"<status>{'open' if self.resolved is None else 'closed'}</status>"
            f"<service_code>{self.category}</service_code>"
            f"<requested_datetime>{told(self.opened)}</requested_datetime>"
            f"<updated_datetime>{told(updated)}</updated_datetime>"
            f"<lat>{self.latitude}</lat><long>{EAST}</long></request>"
        )

    def answers(self) -> list[dict[str, Any]]:
        """What GeoReport does not tell: the office took it up, and the citizen said how it was."""
        (opened, *_) = rows_of(Request(str(self.number), self.category, START, None, (self.latitude, EAST)), NAME)
        about = {name: opened[name] for name in ("entity_id", "request_a", "request_b")}
        found = []
        for minutes, column, value in (
            (self.acknowledged, "acknowledged_after_s", 60.0 * (self.acknowledged or 0)),
            (None if self.mark is None else 5_000, "satisfaction", float(self.mark or 0)),
        ):
            if minutes is not None:
                time = START + timedelta(minutes=self.opened + minutes)
                found.append({**about, "time": time.isoformat(), column: value})
        return found


def cases(seed: int) -> list[Case]:
    """Requests every 11 m along two streets."""
    chance, found = random.Random(seed), []
    for number in range(300):
        street, place = divmod(number, 150)
        resolved = chance.randint(500, 4_000) if chance.random() < 0.5 else None
        found.append(
            Case(
                number,
                chance.choice(["pothole", "pothole", "lamp", "noise"]),
                2_500 * street + 11 * place,
                chance.randrange(20_000),
                chance.randint(1, 400) if chance.random() < 0.6 else None,
                resolved,
                chance.randint(1, 5) if resolved and chance.random() < 0.9 else None,
            )
        )
    return found


def rates(told: list[Case]) -> dict[tuple[str, str], list[float]]:
    """By category and area: requests, share acknowledged and median time, the same of resolved, ratings, satisfied."""
    groups: dict[tuple[str, str], list[Case]] = defaultdict(list)
    for case in told:
        groups[case.category, case.area].append(case)
    found = {}
    for key, mine in groups.items():
        taken = [60.0 * c.acknowledged for c in mine if c.acknowledged is not None]
        done = [60.0 * c.resolved for c in mine if c.resolved is not None]
        marks = [c.mark for c in mine if c.mark is not None]
        known = len(marks) >= 10
        found[key] = [
            *(len(mine), sum(c.acknowledged is not None or c.resolved is not None for c in mine) / len(mine)),
            *(median(taken) if taken else np.nan, len(done) / len(mine), median(done) if done else np.nan),
            *(len(marks) if known else np.nan, sum(m >= 4 for m in marks) / len(marks) if known else np.nan),
        ]
    return found


def clusters(told: list[Case]) -> set[tuple[str, int, float]]:
    """Open requests of one category along the street, parted where the next one is further than the radius."""
    found = set()
    for category in {case.category for case in told}:
        radius = RADII_M.get(category, 50.0)
        near: list[list[Case]] = []
        mine = [case for case in told if case.category == category and case.resolved is None]
        for case in sorted(mine, key=lambda c: c.metres_north):
            if near and 0 < case.metres_north - near[-1][-1].metres_north <= radius:
                near[-1].append(case)
            else:
                near.append([case])
        for group in near:
            first = min(group, key=lambda c: c.opened)
            if len(group) > 1:
                found.add((category, len(group), round(first.latitude, 9)))
    return found


@pytest.mark.timeout(300)
async def test_citizen_requests_work_from_open311_to_clusters_and_rates_by_grid(city: City):
    told = cases(3)
    answer = f"<service_requests>{''.join(case.xml() for case in told)}</service_requests>"
    requests = [request for request in read_answer(answer.encode()) if isinstance(request, Request)]
    rows = [row for request in requests for row in rows_of(request, NAME)]
    rows += [row for case in told for row in case.answers()]
    await city.prepare(COMMUNITY)
    await city.migrate()
    values = [
        (partition, json.dumps([r for r in rows if partition_of(r["entity_id"], PARTITIONS) == partition]).encode())
        for partition in range(PARTITIONS)
    ]
    headers = [("content-type", b"application/json"), ("urban_city", NAME.encode())]
    await city.send_raw(values, observations("community", "service_request"), headers)
    archiver = ArchiverRole(COMMUNITY, city.settings())
    await archiver.start()
    try:

        async def all_there() -> bool:
            return await city.query("SELECT count() FROM community.service_request FINAL") == [(len(rows),)]

        await city.until(all_there, f"{len(rows)} observations of requests")
    finally:
        await archiver.stop()
    shown = await city.query(
        "SELECT category, area, sum(requests), any(acknowledged_share), any(acknowledged_after_median),"
        " any(resolved_share), any(resolved_after_median), any(ratings), any(satisfied_share)"
        " FROM urban.v_request_rates GROUP BY category, area"
    )
    expected = rates(told)
    assert {(row[0], row[1]) for row in shown} == set(expected)
    for category, area, *found in shown:
        np.testing.assert_allclose(np.array(found, float), np.array(expected[category, area], float), rtol=1e-6)
    assert len({area for _, area in expected}) > 1
    assert {True, False} == {math.isnan(found[5]) for found in expected.values()}

    near = await find_clusters(city.clickhouse, NAME, START, RADII_M)
    assert {(c.category, c.requests, round(c.latitude, 9)) for c in near} == clusters(told)
    assert {c.category for c in near} == {"pothole", "lamp"}
    assert len(near) > 4
