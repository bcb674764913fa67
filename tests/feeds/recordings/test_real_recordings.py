"""Real data sets, where they are at hand, are read whole: as many observations as a plain look at the files finds."""

from __future__ import annotations

import csv
import gzip
import io
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from tests.feeds.recordings.reading import Read, read
from tests.integration.processor.real_data import need


def table(path: Path) -> list[dict[str, str]]:
    data = path.read_bytes()
    text = gzip.decompress(data) if path.suffix == ".gz" else data
    return list(csv.DictReader(io.StringIO(text.decode())))


def numbers(found: Read, column: str) -> np.ndarray:
    """All numbers of a column, sorted."""
    told = np.concatenate([numbered.frame.columns[column] for numbered in found.frames])
    return np.sort(told[~np.isnan(told)])


def of(rows: list[dict[str, str]], column: str, factor: float = 1.0, offset: float = 0.0) -> np.ndarray:
    told = np.array([float(row[column]) for row in rows if row[column]])
    return np.sort((told * factor + offset).astype(np.float32))


@pytest.mark.parametrize(
    ("form", "path", "column", "told", "factor"),
    [
        ("aarhus_traffic", "aarhus_citypulse/trafficData158324.csv.gz", "speed_kmh", "avgSpeed", 1.0),
        ("aarhus_traffic", "aarhus_citypulse/trafficData158324.csv.gz", "flow_veh_h", "vehicleCount", 12.0),
        ("nab_speed", "nab/speed_6005.csv", "speed_kmh", "value", 1.609344),
        ("nab_occupancy", "nab/occupancy_6005.csv", "occupancy", "value", 0.01),
    ],
)
def test_roads_of_aarhus_and_minnesota(form, path, column, told, factor):
    found = read("traffic.road_flow", need(path), form=form)
    assert found.refused == []
    np.testing.assert_array_equal(numbers(found, column), of(table(need(path)), told, factor))


def test_weather_of_aarhus_lies_in_four_files_and_in_no_order():
    paths = [need(f"aarhus_citypulse/weather_{name}.csv.gz") for name in ("hum", "tempm", "wdird", "wspdm")]
    found = read("environment.weather", *paths, form="aarhus_weather")
    assert found.refused == []
    for path, column, factor in zip(
        paths, ("humidity", "temperature_c", "wind_from_deg", "wind_m_s"), (0.01, 1.0, 1.0, 1 / 3.6), strict=True
    ):
        name = path.name.removeprefix("weather_").removesuffix(".csv.gz")
        np.testing.assert_allclose(numbers(found, column), of(table(path), name, factor), rtol=1e-6)


def test_a_week_of_los_angeles_is_a_matrix_of_sensors():
    path = need("la_metr_week/los_speed.csv.gz")
    with gzip.open(path, "rt") as lines:
        sensors = lines.readline().strip().split(",")
        mph = np.loadtxt(lines, delimiter=",")
    found = read("traffic.road_flow", path, form="la_metr")
    assert len(found.frames) == len(mph) == 2016
    assert found.frames[0].frame.entity_ids == tuple(f"loop-{sensor}" for sensor in sensors)
    expected = (mph * 1.609344).astype(np.float32)
    for step, numbered in enumerate(found.frames):
        np.testing.assert_array_equal(numbered.frame.columns["speed_kmh"], expected[step])
        assert set(numbered.frame.time_ms.tolist()) == {1_330_588_800_000 + step * 300_000}  # from 2012-03-01T08:00Z


def test_lanes_of_the_netherlands_tell_flow_and_speed_in_lines_of_their_own():
    found = read("traffic.road_flow", need("ndw_ospbench/time1.txt.gz"), form="ndw_ospbench")
    assert found.refused == []
    rows = found.rows
    assert Counter(tuple(told) for *_, told in rows) == {("flow_veh_h",): 570, ("speed_kmh",): 570}
    assert "RWS01_MONIBAS_0021hrr1558ra_1:lane1" in {entity for entity, *_ in rows}
    assert len({entity for entity, *_ in rows}) == 19


def test_the_hour_that_no_clock_of_minnesota_showed_is_told_by_its_line():
    path = need("twin_cities/autots_traffic_hourly_2016_2018.csv.gz")
    rows = [row for row in table(path) if row["datetime"] not in ("2017-03-12 02:00:00", "2018-03-11 02:00:00")]
    for kind, column, told, offset in (
        ("traffic.road_flow", "flow_veh_h", "traffic_volume", 0.0),
        ("environment.weather", "temperature_c", "temp", -273.15),
    ):
        found = read(kind, path, form="twin_cities")
        np.testing.assert_array_equal(numbers(found, column), of(rows, told, offset=offset))
        assert found.lines() == [(3892, "time", "2017-03-12 02:00:00"), (12628, "time", "2018-03-11 02:00:00")]


def test_streetcars_of_toronto_with_a_time_or_a_gap_that_cannot_be_are_told():
    path = need("toronto_ttc/ttc_streetcar_delay.csv.gz")
    found = read("traffic.rail_call", path, form="toronto_streetcar")
    assert sorted((line, field) for line, field, _ in found.lines()) == [
        (16967, "headway_s"),
        (25938, "time"),
        (31673, "headway_s"),
        (42944, "time"),
    ]
    assert sum(len(numbered.frame) for numbered in found.frames) == len(table(path)) - 4
