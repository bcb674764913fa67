"""Urban spatial planning in SQL: exposure, crowding, incidents and gaps by cell, held against plain Python."""

from __future__ import annotations

import random
import uuid
from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from statistics import median
from typing import Any

import h3.api.basic_int as h3
import numpy as np
import pyarrow as pa
import pytest

from services.runtime.clickhouse import ClickHouse

START = datetime(2026, 5, 30, tzinfo=UTC)  # two days before the end of a month
MONTHS = [date(2026, 5, 1), date(2026, 6, 1)]
HOURS = 96
TIME = pa.timestamp("ms", "UTC")
CENTRE = h3.latlng_to_cell(39.9, 116.4, 8)
CELLS = sorted(h3.grid_disk(CENTRE, 1))
OFFSET_H = 8


async def insert(clickhouse: ClickHouse, table: str, rows: Sequence[Mapping[str, Any]]) -> None:
    """Rows of one city; numbers that are whole are revisions."""
    types = {datetime: TIME, float: pa.float64(), int: pa.uint32(), str: pa.string()}
    columns = {n: pa.array([row[n] for row in rows], types[type(value)]) for n, value in rows[0].items()}
    await clickhouse.insert(table, pa.table({"city": pa.array(["c"] * len(rows)), **columns}))


async def place(
    clickhouse: ClickHouse, domain: str, cells: Mapping[str, int], numbers: Mapping[str, float] | None = None
) -> None:
    """Tells of entities somewhere in these cells."""
    for name, cell in cells.items():
        await clickhouse.command(
            f"INSERT INTO {domain}.entities (city, entity_id, h3_cell, numbers) VALUES"
            f" ('c', '{name}', {h3.cell_to_center_child(cell, 9)}, {dict(numbers or {})})"
        )


def month_of(hour: int) -> date:
    return (START + timedelta(hours=hour)).date().replace(day=1)


async def test_urban_spatial_planning_works_with_hours_of_exposure_by_cell(clickhouse: ClickHouse):
    chance = random.Random(3)
    air = {f"air-{i}": CELLS[i % 3] for i in range(4)}
    meters = {f"noise-{i}": CELLS[1 + i % 3] for i in range(4)}
    await place(clickhouse, "environment", {**air, **meters})
    aqi = {(s, h): float(chance.randint(40, 160)) for s in air for h in range(HOURS) if chance.random() < 0.8}
    laeq = {(m, h): chance.uniform(35.0, 75.0) for m in meters for h in range(HOURS) if chance.random() < 0.8}
    await insert(
        clickhouse,
        "environment.air_quality_index",
        [
            {"entity_id": s, "start_time": START + timedelta(hours=h), "revision": revision, "aqi_1h": index}
            for (s, h), known in aqi.items()
            for revision, index in ((1, known + 500.0), (2, known))
        ],
    )
    await insert(
        clickhouse,
        "environment.noise_windows",
        [
            {"entity_id": m, "window": "1h", "start_time": START + timedelta(hours=h), "laeq_db_energy_mean": level}
            for (m, h), level in laeq.items()
        ],
    )
    # The last meter stands in no zone. Days of the local clock; the first one began before the first hour.
    limits = {m: (55.0, 45.0) if i < 3 else (np.nan, np.nan) for i, m in enumerate(meters)}
    midnight = START - timedelta(hours=OFFSET_H)
    await insert(
        clickhouse,
        "environment.noise_days",
        [
            {
                "entity_id": m,
                "start_time": midnight + timedelta(days=day),
                "end_time": midnight + timedelta(days=day + 1),
                "utc_offset_s": OFFSET_H * 3600.0,
                "zone_day_limit_db": limits[m][0],
                "zone_night_limit_db": limits[m][1],
            }
            for m in meters
            for day in range(5)
        ],
    )
    worst: dict[tuple[int, date, str], dict[int, float]] = defaultdict(dict)
    stations: dict[tuple[int, date], set[str]] = defaultdict(set)
    for (station, hour), index in aqi.items():
        of_hour = worst[air[station], month_of(hour), "air"]
        of_hour[hour] = max(of_hour.get(hour, -np.inf), index)
        stations[air[station], month_of(hour)].add(station)
    for (meter, hour), level in laeq.items():
        over = level - limits[meter][0 if 6 <= (hour + OFFSET_H) % 24 < 22 else 1]
        if not np.isnan(over):
            of_hour = worst[meters[meter], month_of(hour), "noise"]
            of_hour[hour] = max(of_hour.get(hour, -np.inf), over)
            stations[meters[meter], month_of(hour)].add(meter)
    rows = await clickhouse.query(
        "SELECT h3_cell, month, air_hours, polluted_hours, worst_aqi, noise_hours, loud_hours, worst_over_db, stations"
        " FROM urban.v_exposure_hours"
    )
    assert {(row[0], row[1]) for row in rows} == set(stations)
    for cell, month, *found in rows:
        indices, excesses = (list(worst[cell, month, what].values()) for what in ("air", "noise"))
        expected = [
            *(len(indices), sum(n > 100.0 for n in indices), max(indices, default=np.nan)),
            *(len(excesses), sum(n > 0.0 for n in excesses), max(excesses, default=np.nan)),
            len(stations[cell, month]),
        ]
        np.testing.assert_allclose(found, expected)
    assert {cell for cell, _ in stations} == set(CELLS[:4])


async def test_urban_spatial_planning_works_with_crowding_against_capacity(clickhouse: ClickHouse):
    chance = random.Random(5)
    capacities = {"square": 200.0, "hall": 12.0, "lift": 8.0}
    for name, capacity in capacities.items():
        await place(clickhouse, "community", {name: CENTRE}, {"capacity": capacity})
    await place(clickhouse, "community", {"street": CENTRE})
    most = {"square": 260, "hall": 14, "lift": 9, "street": 900}
    people = {(name, h): float(chance.randint(0, top)) for name, top in most.items() for h in range(HOURS)}
    await insert(
        clickhouse,
        "community.people_count_windows",
        [
            {
                **{"entity_id": name, "window": "1h", "start_time": START + timedelta(hours=h)},
                **{"revision": revision, "count_max": count * revision / 2},
                # That of fewer than ten people, however dense, is not shown.
                "density_p_m2_max": count / 100 if count >= 10.0 else 9.0,
            }
            for (name, h), count in people.items()
            for revision in (1, 2)
        ],
    )
    rows = await clickhouse.query(
        "SELECT entity_id, month, capacity, hours, peak_people, peak_share, usual_peak_share, crowded_hours,"
        " over_capacity_hours, peak_density_p_m2, h3_cell FROM urban.v_capacity_use ORDER BY entity_id, month"
    )
    assert [tuple(row[:2]) for row in rows] == [(name, month) for name in ("hall", "square") for month in MONTHS]
    for name, month, *found, cell in rows:
        counts = [count for (who, hour), count in people.items() if who == name and month_of(hour) == month]
        capacity, peak, usual = capacities[name], max(counts), median(counts)
        expected = [
            *(capacity, len(counts), peak, peak / capacity, usual / capacity if usual >= 10.0 else np.nan),
            sum(n > 0.8 * capacity and n >= 10.0 for n in counts),
            sum(n > capacity for n in counts),
            peak / 100,
        ]
        np.testing.assert_allclose(found, expected)
        assert h3.cell_to_parent(cell, 8) == CENTRE
    assert np.isnan(rows[0][6])  # fewer than ten in the usual hour of the hall


async def test_urban_spatial_planning_works_with_the_density_of_incidents(clickhouse: ClickHouse):
    chance = random.Random(7)
    incidents: list[dict[str, Any]] = [
        {
            "id": str(uuid.UUID(int=n)),
            "rule": chance.choice(["jam", "crowd"]),
            "state": chance.choice(["open", "acknowledged", "resolved", "superseded", "retracted"]),
            "severity": chance.choice(["minor", "moderate", "severe", "extreme"]),
            "start_time": START + timedelta(hours=chance.randrange(HOURS)),
            "latitude": 39.9 + chance.uniform(-0.01, 0.01),
            "longitude": 116.4 + chance.uniform(-0.01, 0.01),
        }
        for n in range(200)
    ]
    values = [
        f"('{i['id']}', 'c', '{i['rule']}', '{i['state']}', '{i['severity']}',"
        f" toDateTime64('{i['start_time']:%Y-%m-%d %H:%M:%S}', 3, 'UTC'), {i['latitude'] + north}, {i['longitude']},"
        f" {revision})"
        for i in incidents
        for revision, north in ((2, 0.0), (1, 5.0))  # its first version lay elsewhere
    ]
    await clickhouse.command(
        "INSERT INTO correlation.incidents (id, city, rule, state, severity, start_time, latitude, longitude, revision)"
        f" VALUES {', '.join(values)}"
    )
    expected: dict[tuple[int, date, str], list[int]] = defaultdict(lambda: [0, 0])
    for incident in incidents:
        if incident["state"] in ("superseded", "retracted"):
            continue
        cell = h3.latlng_to_cell(incident["latitude"], incident["longitude"], 8)
        found = expected[cell, incident["start_time"].date().replace(day=1), incident["rule"]]
        found[0] += 1
        found[1] += incident["severity"] in ("severe", "extreme")
    rows = await clickhouse.query(
        "SELECT h3_cell, month, rule, incidents, severe, area_km2, incidents_per_km2 FROM urban.v_incident_density"
    )
    assert {tuple(row[:3]): list(row[3:5]) for row in rows} == expected
    for row in rows:
        assert row[5] == pytest.approx(h3.cell_area(row[0], "km^2"), rel=1e-4)
        assert row[6] == pytest.approx(row[3] / row[5])


async def test_urban_spatial_planning_works_with_gaps_in_what_is_looked_at(clickhouse: ClickHouse):
    line = [CENTRE]
    for _ in range(5):  # cells in a row
        line.append(max(h3.grid_ring(line[-1], 1), key=lambda cell: (h3.grid_distance(cell, CENTRE), cell)))
    where = {"traffic": line, "community": line[:2], "environment": [line[0], line[5]], "security": []}
    for domain, cells in where.items():
        await place(clickhouse, domain, {f"{domain}-{i}": cell for i, cell in enumerate(cells)})
    await place(clickhouse, "traffic", {"traffic-more": line[3]})
    rows = await clickhouse.query("SELECT domain, h3_cell, looked_at, entities FROM urban.v_coverage_gaps")
    expected = {}
    for domain, own in where.items():
        for cell in line if own else []:
            if min(h3.grid_distance(cell, other) for other in own) > 1:
                there = [other for other in sorted(where) if cell in where[other]]
                expected[domain, cell] = there, len(there) + (cell == line[3])
    assert {(row[0], row[1]): (row[2], row[3]) for row in rows} == expected
    assert {domain for domain, _ in expected} == {"community", "environment"}
