"""Urban traffic information in SQL: lanes, segments and paths as analysts read them, equal to the pure indices."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

import numpy as np
import pyarrow as pa

from services.runtime.clickhouse import ClickHouse
from services.traffic.indices.congestion import (
    buffer_index,
    performance_index,
    planning_time_index,
    travel_time_index,
)
from services.traffic.indices.level_of_service import (
    Level,
    freeway_density_pc_mi_ln,
    level_by_density,
    level_of_urban_street,
)
from services.traffic.indices.path import instantaneous_travel_time_s
from services.traffic.indices.speed import (
    RoadState,
    over_lanes,
    space_mean_of_time_mean_kmh,
    time_mean_speed_kmh,
)

START = datetime(2026, 6, 1, tzinfo=UTC)
WINDOWS = 40
NUMBERS = (
    "flow_veh_h",
    "time_mean_speed_kmh",
    "space_mean_speed_kmh",
    "occupancy",
    "heavy_share",
    "travel_time_index",
    "performance_index",
    "density_pc_mi_ln",
)


class Lanes(NamedTuple):
    """What was observed in each window. (windows, lanes); NaN: nothing."""

    told: np.ndarray  # observations of speed
    speed: np.ndarray  # their mean
    squares: np.ndarray  # their sum of squares
    flow: np.ndarray
    occupancy: np.ndarray
    heavy: np.ndarray

    def space_mean(self) -> np.ndarray:
        variance = np.maximum(self.squares / self.told - self.speed**2, 0.0)
        return space_mean_of_time_mean_kmh(self.speed, variance)


def draw(seed: int, lanes: int, *, stands: bool = True) -> Lanes:
    """Windows of some observations each, a tenth of the numbers unknown, and some in which all stand."""
    chance = np.random.default_rng(seed)
    shape = (WINDOWS, lanes)
    speeds = (
        chance.uniform(2.0, 120.0, (*shape, 4))
        * chance.choice([0.0, 1.0, 1.0, 1.0] if stands else [1.0], shape)[..., None]
    )
    unknown = [chance.random(shape) < 0.1 for _ in range(4)]
    numbers = (chance.uniform(0.0, 2_000.0, shape), chance.random(shape), chance.random(shape))
    flow, occupancy, heavy = (np.where(u, np.nan, n) for u, n in zip(unknown, numbers, strict=False))
    blank = np.where(unknown[3], np.nan, 1.0)
    return Lanes(4.0 * blank, speeds.mean(-1) * blank, (speeds**2).sum(-1) * blank, flow, occupancy, heavy)


async def store(clickhouse: ClickHouse, names: Sequence[str], told: Lanes, window: str = "1m") -> None:
    for lane, name in enumerate(names):
        minutes = {"1m": 1, "5m": 5}[window]
        starts = [START + timedelta(minutes=minutes * n) for n in range(len(told.flow))]
        table = {
            "city": pa.array(["c"] * len(starts)),
            "window": pa.array([window] * len(starts)),
            "entity_id": pa.array([name] * len(starts)),
            "start_time": pa.array(starts, pa.timestamp("ms", "UTC")),
            "end_time": pa.array([s + timedelta(minutes=minutes) for s in starts], pa.timestamp("ms", "UTC")),
            "flow_veh_h_mean": told.flow[:, lane],
            "speed_kmh_count": told.told[:, lane],
            "speed_kmh_mean": told.speed[:, lane],
            "speed_kmh_sum_of_squares": told.squares[:, lane],
            "occupancy_mean": told.occupancy[:, lane],
            "heavy_share_mean": told.heavy[:, lane],
        }
        # A late observation made the second revision; the first one has other numbers.
        for revision in (2, 1):
            flow = table["flow_veh_h_mean"] * (revision / 2)
            more = {"revision": pa.array([revision] * len(starts), pa.uint32()), "flow_veh_h_mean": flow}
            await clickhouse.insert("traffic.road_flow_windows", pa.table({**table, **more}))


async def entity(clickhouse: ClickHouse, name: str, numbers: dict[str, float], labels: dict[str, str]) -> None:
    await clickhouse.command(
        f"INSERT INTO traffic.entities (city, entity_id, numbers, labels) VALUES ('c', '{name}', {numbers}, {labels})"
    )


async def shown(clickhouse: ClickHouse, segment: str) -> tuple[np.ndarray, list[str], list[tuple[int, int]]]:
    rows = await clickhouse.query(
        f"SELECT {', '.join(NUMBERS)}, level_of_service, lanes, known_lanes FROM traffic.road_state FINAL"
        f" WHERE segment = '{segment}' ORDER BY start_time"
    )
    return np.array([row[:8] for row in rows], float), [row[8] for row in rows], [tuple(row[9:]) for row in rows]


def letters(levels: np.ndarray) -> list[str]:
    return ["" if level == Level.UNKNOWN else Level(level).name for level in levels.tolist()]


def compare(found: np.ndarray, state: RoadState, time_mean: np.ndarray, free: float, density: np.ndarray) -> None:
    index = travel_time_index(state.speed_kmh, np.array(free))
    columns = [
        *(state.flow_veh_h, time_mean, state.speed_kmh, state.occupancy, state.heavy_share),
        *(index, performance_index(index), density),
    ]
    for place, (name, wanted) in enumerate(zip(NUMBERS, columns, strict=True)):
        np.testing.assert_allclose(found[:, place], wanted, rtol=1e-9, atol=1e-9, err_msg=name)


async def test_urban_traffic_information_works_in_sql_by_segment_with_both_means_of_speed(clickhouse: ClickHouse):
    lanes = draw(1, 3)
    await store(clickhouse, ["m1~1-a", "m1~1-b", "m1~1-c"], lanes)
    for lane in "abc":
        await entity(clickhouse, f"m1~1-{lane}", {"free_flow_speed_kmh": 90.0}, {"segment": "m1~1"})
    await entity(clickhouse, "m1~1", {"free_flow_speed_kmh": 100.0}, {"road_class": "freeway"})
    found, levels, counts = await shown(clickhouse, "m1~1")
    state = over_lanes(RoadState(lanes.flow, lanes.space_mean(), lanes.occupancy, lanes.heavy))
    density = freeway_density_pc_mi_ln(state.flow_veh_h, state.speed_kmh, 3.0, np.nan_to_num(state.heavy_share))
    compare(found, state, time_mean_speed_kmh(lanes.speed, lanes.flow), 100.0, density)
    assert levels == letters(level_by_density(density))
    assert set(counts) == {(3, 3)}
    assert {"", "F"} < set(levels)
    both = found[:, 1:3][~np.isnan(found[:, 1:3]).any(1)]
    assert (both[:, 1] <= both[:, 0] + 1e-9).all()
    assert (both[:, 1] < both[:, 0] - 1.0).any()


async def test_urban_traffic_information_works_in_sql_where_a_segment_is_one_entity(clickhouse: ClickHouse):
    alone = draw(2, 1)
    await store(clickhouse, ["queen-street"], alone)
    await entity(clickhouse, "queen-street", {"free_flow_speed_kmh": 40.0, "lanes": 2.0}, {})
    await store(clickhouse, ["nobody-told-of-it"], alone)
    state = RoadState(*(column[:, 0] for column in (alone.flow, alone.space_mean(), alone.occupancy, alone.heavy)))
    for name, free, lanes in (("queen-street", 40.0, 2.0), ("nobody-told-of-it", 50.0, np.nan)):
        found, levels, counts = await shown(clickhouse, name)
        density = freeway_density_pc_mi_ln(state.flow_veh_h, state.speed_kmh, lanes, np.nan_to_num(state.heavy_share))
        compare(found, state, alone.speed[:, 0], free, density)
        assert levels == letters(level_of_urban_street(state.speed_kmh, free))
        assert set(counts) == {(1, 1)}
        assert {"", "A", "F"} <= set(levels)


async def test_the_flow_of_a_direction_is_not_known_while_a_lane_is_silent(clickhouse: ClickHouse):
    lanes = draw(3, 1, stands=False)
    await store(clickhouse, ["a1~x-left"], lanes)
    for lane in ("left", "right"):
        await entity(clickhouse, f"a1~x-{lane}", {}, {"segment": "a1~x"})
    found, _, counts = await shown(clickhouse, "a1~x")
    assert np.isnan(found[:, 0]).all()
    np.testing.assert_allclose(found[:, 1], lanes.speed[:, 0])
    assert set(counts) == {(1, 2)}


async def test_urban_traffic_information_works_in_sql_with_the_travel_time_over_a_path(clickhouse: ClickHouse):
    lengths, free = [800.0, 1_500.0, 300.0], [50.0, 80.0, 50.0]
    segments = [draw(seed, 1) for seed in (4, 5, 6)]
    for place, told in enumerate(segments):
        await store(clickhouse, [f"s{place}"], told, "5m")
        await entity(clickhouse, f"s{place}", {"length_m": lengths[place], "free_flow_speed_kmh": free[place]}, {})
    await entity(clickhouse, "to-town", {}, {"segments": "s0 s1 s2"})
    await entity(clickhouse, "to-nowhere", {}, {"segments": "s0 s1 s9"})
    rows = await clickhouse.query(
        "SELECT travel_time_s, free_flow_time_s, length_m, segments, known_segments, travel_time_index"
        " FROM traffic.path_times FINAL WHERE path = 'to-town' AND window = '5m' ORDER BY start_time"
    )
    speed = np.concatenate([told.space_mean() for told in segments], axis=1)
    wanted = instantaneous_travel_time_s(np.array(lengths), speed)
    free_s = float((np.array(lengths) / (np.array(free) / 3.6)).sum())
    found = np.array([tuple(row) for row in rows], float)
    np.testing.assert_allclose(found[:, 0], wanted, rtol=1e-9)
    np.testing.assert_allclose(found[:, 1:4], np.tile([free_s, 2_600.0, 3.0], (WINDOWS, 1)))
    assert found[:, 4].tolist() == (~np.isnan(speed)).sum(1).tolist()
    np.testing.assert_allclose(found[:, 5], np.maximum(wanted / free_s, 1.0), rtol=1e-9)
    assert np.isnan(wanted).any()
    assert np.isinf(wanted).any()
    nowhere = await clickhouse.query(
        "SELECT uniqExact(known_segments), countIf(NOT isNaN(travel_time_s)), countIf(NOT isNaN(length_m))"
        " FROM traffic.path_times FINAL WHERE path = 'to-nowhere'"
    )
    assert tuple(nowhere[0])[1:] == (0, 0)

    reliable = await clickhouse.query(
        "SELECT hour_of_week, journeys, mean_s, reliable_s, buffer_index, planning_time_index"
        " FROM traffic.path_reliability FINAL WHERE path = 'to-town' ORDER BY hour_of_week"
    )
    hours = {hour: wanted[12 * hour : 12 * (hour + 1)] for hour in range(4)}  # from Monday 00:00 on, by five minutes
    assert [row[0] for row in reliable] == [hour for hour, times in hours.items() if np.isfinite(times).any()]
    assert len(reliable) >= 3
    for hour, journeys, mean, p95, buffer, planning in reliable:
        times = hours[hour][np.isfinite(hours[hour])]
        assert journeys == len(times)
        np.testing.assert_allclose(
            [mean, p95, buffer, planning],
            [times.mean(), np.percentile(times, 95), buffer_index(times), planning_time_index(times, free_s)],
            rtol=1e-9,
        )
