"""The view of sources upwind of a rise says what the index says, and what was found of those sources."""

from __future__ import annotations

import uuid
from datetime import UTC, datetime, timedelta

import numpy as np
import pyarrow as pa
import pytest

from services.core.geometry import great_circle_m
from services.environment.indices.attribution import upwind_sources
from services.runtime.clickhouse import ClickHouse

START = datetime(2026, 6, 1, tzinfo=UTC)
TIME = pa.timestamp("ms", "UTC")
STATIONS, SOURCES, WEATHER, HOURS = 3, 60, 2, 12
VIEW = "environment.pollution_sources"


async def put_entities(
    clickhouse: ClickHouse, ids: list[str], north: list[float], east: list[float], limit: list[bool]
) -> None:
    numbers = pa.array([[("dust_limit_mg_m3", 10.0)] if x else [] for x in limit], pa.map_(pa.string(), pa.float64()))
    table = {
        "city": pa.array(["c"] * len(ids)),
        "entity_id": pa.array(ids),
        "latitude": pa.array(north),
        "longitude": pa.array(east),
        "numbers": numbers,
    }
    await clickhouse.insert("environment.entities", pa.table(table))


async def put_winds(clickhouse: ClickHouse, winds: dict[tuple[str, int], tuple[float, float]]) -> None:
    table = {
        "city": pa.array(["c"] * len(winds)),
        "window": pa.array(["1h"] * len(winds)),
        "entity_id": pa.array([station for station, _ in winds]),
        "start_time": pa.array([START + timedelta(hours=hour) for _, hour in winds], TIME),
        "revision": pa.array([1] * len(winds), pa.uint32()),
        "wind_from_deg_mean_direction": pa.array([direction for direction, _ in winds.values()]),
        "wind_m_s_mean": pa.array([speed for _, speed in winds.values()]),
    }
    await clickhouse.insert("environment.weather_windows", pa.table(table))


async def put_signals(clickhouse: ClickHouse, signals: list[tuple[str, str, str, int, float, float, str]]) -> None:
    """Kind, type, entity, hour, degrees north and east, state."""
    kinds, types, entities, hours, north, east, states = (list(column) for column in zip(*signals, strict=True))
    table = {
        "id": pa.array([str(uuid.uuid5(uuid.NAMESPACE_OID, repr(s[1:4]))) for s in signals]),
        "city": pa.array(["c"] * len(signals)),
        "kind": pa.array(kinds),
        "type": pa.array(types),
        "entity_id": pa.array(entities),
        "start_time": pa.array([START + timedelta(hours=h) for h in hours], TIME),
        "end_time": pa.array([START + timedelta(hours=h + 1) for h in hours], TIME),
        "state": pa.array(states),
        "latitude": pa.array(north),
        "longitude": pa.array(east),
        "revision": pa.array([2 if s == "retracted" else 1 for s in states], pa.uint32()),
    }
    await clickhouse.insert("environment.signals", pa.table(table))


async def test_it_is_the_index_for_random_places_and_winds(clickhouse: ClickHouse):
    chance = np.random.default_rng(7)
    count = STATIONS + SOURCES + WEATHER
    north, east = 39.9 + chance.uniform(-0.12, 0.12, count), 116.4 + chance.uniform(-0.15, 0.15, count)
    north[STATIONS], east[STATIONS] = north[0], east[0]  # a source at a station itself
    ids = [f"station-{i}" for i in range(STATIONS)] + [f"outlet-{i}" for i in range(SOURCES)]
    ids += [f"weather-{i}" for i in range(WEATHER)]
    await put_entities(clickhouse, ids, north.tolist(), east.tolist(), [i.startswith("outlet") for i in ids])
    winds = {
        (f"weather-{i}", hour): (float(chance.uniform(0, 360)), float(chance.choice([0.4, 0.5, 3.0])))
        for i in range(WEATHER)
        for hour in range(HOURS)
        if i == 0 or hour % 3  # where the nearest does not know, the other one is asked
    }
    await put_winds(clickhouse, winds)
    rises = [(s, hour) for s in range(STATIONS) for hour in range(HOURS)]
    await put_signals(
        clickhouse,
        [("air_quality", "pollution_rise", ids[s], h, float(north[s]), float(east[s]), "raised") for s, h in rises],
    )
    found = await clickhouse.query(
        f"SELECT station, intDiv(toUnixTimestamp64Milli(start_time) - {int(START.timestamp())}000, 3600000), source,"
        f" distance_m, bearing_deg, off_axis_deg, weather_station FROM {VIEW}"
    )
    told = {tuple(row[:3]): row[3:] for row in found}
    assert len(told) == len(found)
    outlets = slice(STATIONS, STATIONS + SOURCES)
    expected = {}
    for station, hour in rises:
        here = north[station], east[station]
        away = great_circle_m(*here, north[-WEATHER:], east[-WEATHER:])
        nearest = min((i for i in range(WEATHER) if (f"weather-{i}", hour) in winds), key=lambda i: away[i])
        direction, speed = winds[f"weather-{nearest}", hour]
        upwind = upwind_sources(here, north[outlets], east[outlets], np.array([direction]), np.array([speed]))
        for i in np.flatnonzero(upwind.candidate[0]).tolist():
            figures = upwind.distance_m[i], upwind.bearing_deg[i], upwind.off_axis_deg[0, i]
            expected[ids[station], hour, f"outlet-{i}"] = (*figures, f"weather-{nearest}")
    assert len(expected) > 100
    assert told.keys() == expected.keys()
    for key, row in expected.items():
        assert told[key][:3] == pytest.approx(row[:3], rel=1e-6, abs=1e-3), key
        assert told[key][3] == row[3]


async def test_what_was_found_of_a_source_stands_beside_it_and_what_was_withdrawn_does_not(clickhouse: ClickHouse):
    await put_entities(
        clickhouse, ["station", "stack", "w"], [39.9, 39.92, 39.9], [116.4, 116.4, 116.4], [False, True, False]
    )
    await put_winds(clickhouse, {("w", 30): (350.0, 2.0), ("w", 31): (180.0, 2.0), ("w", 33): (0.0, 2.0)})
    nowhere = float("nan")
    await put_signals(
        clickhouse,
        [
            *(("air_quality", "pollution_rise", "station", hour, 39.9, 116.4, "raised") for hour in (30, 31, 32, 33)),
            ("air_quality", "pollution_rise", "station", 33, 39.9, 116.4, "retracted"),
            ("emission", "monitoring_flat", "stack", 29, nowhere, nowhere, "raised"),
            ("emission", "emission_exceeded", "stack", 30, nowhere, nowhere, "raised"),
            # A day before, an hour later, and one that was withdrawn.
            ("emission", "abatement_off", "stack", 6, nowhere, nowhere, "raised"),
            ("emission", "monitoring_gap", "stack", 31, nowhere, nowhere, "raised"),
            ("emission", "monitoring_at_detection_limit", "stack", 30, nowhere, nowhere, "raised"),
            ("emission", "monitoring_at_detection_limit", "stack", 30, nowhere, nowhere, "retracted"),
        ],
    )
    # At 31 the wind comes from the other side, at 32 it is not known, and the rise at 33 was withdrawn.
    found = await clickhouse.query(f"SELECT source, round(off_axis_deg), source_signals FROM {VIEW}")
    assert [tuple(row) for row in found] == [("stack", 10.0, ["emission_exceeded", "monitoring_flat"])]
