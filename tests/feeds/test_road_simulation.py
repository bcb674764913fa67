"""The road simulation: its physics, its repeatability, and that real crowds (and little else) bring congestion."""

from __future__ import annotations

from datetime import date, timedelta
from functools import lru_cache
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.feeds import auckland
from services.feeds.local_time import local_midnight_ms
from services.feeds.road_demand import crowd_capacity_share
from services.feeds.road_segments import distances_m, segments
from services.feeds.road_simulation import MINUTE_MS, RoadColumns, RoadSimulation
from services.feeds.unusual import UNUSUAL_DAY
from tests.examples import examples

SEED = 7
COLUMNS = ("segment", "time_ms", "flow_veh_h", "speed_kmh", "occupancy", "heavy_share")
ORDINARY_DAYS = (date(2024, 11, 6), date(2024, 11, 17), date(2024, 11, 19), date(2024, 11, 22), date(2024, 11, 23))


@lru_cache(maxsize=1)
def simulation() -> RoadSimulation:
    return RoadSimulation(SEED)


@lru_cache(maxsize=16)
def whole_day(day: date) -> RoadColumns:
    return simulation().minutes(local_midnight_ms(day), local_midnight_ms(day + timedelta(days=1)))


def table(column: np.ndarray) -> np.ndarray:
    return column.reshape(-1, len(simulation().segments)).astype(np.float64)


def slow_five_minutes(day: date) -> tuple[np.ndarray, np.ndarray]:
    """[five minutes, segment]: travel-time index above 2, and whether a simulated incident or its queue is there."""
    speed = table(whole_day(day).speed_kmh)
    hit = np.zeros(speed.shape, dtype=bool)
    for incident in simulation().incidents(day):
        start = (incident.start_ms - local_midnight_ms(day)) // MINUTE_MS
        hit[start : start + (incident.end_ms - incident.start_ms) // MINUTE_MS + 15, incident.segment] = True
    free = np.array([segment.free_flow_kmh for segment in simulation().segments])
    fives = (len(speed) // 5, 5, speed.shape[1])
    return np.asarray(free / speed.reshape(fives).mean(axis=1) > 2), np.asarray(hit.reshape(fives).any(axis=1))


def test_segments_say_that_they_are_simulated_and_lie_near_their_sensor() -> None:
    made = segments(SEED)
    assert len(made) == 126
    assert len({segment.id for segment in made}) == 126
    places = {sensor.id: sensor for sensor in auckland.sensors()}
    for segment in made:
        assert segment.name.endswith("(simulated)")
        assert segment.attributes["simulated"] == "true"
        sensor = places[segment.near_sensor]
        ends = np.array([
            (segment.from_latitude, segment.from_longitude),
            (segment.to_latitude, segment.to_longitude),
        ])  # fmt: skip
        here = np.array([sensor.latitude]), np.array([sensor.longitude])
        assert distances_m(*here, ends[:, 0], ends[:, 1]).max() <= 400
        between = distances_m(*(ends[:1].T), *(ends[1:].T)).item()
        assert between == pytest.approx(segment.length_m, abs=0.1)
        assert 85 < segment.length_m < 205


def test_a_great_circle_of_one_degree_is_111_195_metres() -> None:
    degree = distances_m(np.array([0.0, -36.85]), np.array([174.0, 174.0]), np.array([1.0]), np.array([174.0]))
    assert degree[0, 0] == pytest.approx(111_195, abs=1)
    assert degree[1, 0] == pytest.approx(37.85 * 111_195, rel=1e-4)


def test_seeds_decide_everything() -> None:
    start = local_midnight_ms(date(2024, 11, 20)) + 480 * MINUTE_MS
    same, other = RoadSimulation(SEED), RoadSimulation(SEED + 1)
    assert same.segments == simulation().segments
    assert other.segments != simulation().segments
    here, again = (made.minutes(start, start + 60 * MINUTE_MS) for made in (simulation(), same))
    for column in COLUMNS:
        assert np.array_equal(getattr(here, column), getattr(again, column)), column
    assert not np.array_equal(other.minutes(start, start + 60 * MINUTE_MS).flow_veh_h, here.flow_veh_h)
    with pytest.raises(ValueError, match="seed"):
        RoadSimulation(-1)


@given(cuts=st.lists(st.integers(-90 * 60_000, 90 * 60_000), min_size=2, max_size=6))
@examples(25)
def test_any_cutting_of_a_span_gives_the_same_rows(cuts: list[int]) -> None:
    midnight = local_midnight_ms(date(2024, 11, 20))
    edges = sorted(midnight + cut for cut in cuts)
    whole = simulation().minutes(edges[0], edges[-1])
    assert len(np.unique(whole.time_ms)) * 126 == len(whole)
    parts = [simulation().minutes(start, end) for start, end in pairwise(edges)]
    for column in COLUMNS:
        joined = np.concatenate([getattr(part, column) for part in parts])
        assert np.array_equal(joined, getattr(whole, column)), column


def test_a_fresh_simulation_that_starts_at_noon_agrees_with_one_that_ran_since_midnight() -> None:
    midnight = local_midnight_ms(UNUSUAL_DAY)
    noon = midnight + 720 * MINUTE_MS
    late = RoadSimulation(SEED).minutes(noon, noon + 30 * MINUTE_MS)
    rows = slice(720 * 126, 750 * 126)
    assert np.array_equal(late.speed_kmh, whole_day(UNUSUAL_DAY).speed_kmh[rows])
    assert np.array_equal(late.time_ms, whole_day(UNUSUAL_DAY).time_ms[rows])


@pytest.mark.parametrize(("day", "minutes"), [
    (date(2024, 9, 29), 1380), (date(2024, 4, 7), 1500), (date(2024, 11, 20), 1440), (date(2030, 1, 1), 1440),
])  # fmt: skip
def test_a_day_has_its_own_number_of_minutes(day: date, minutes: int) -> None:
    columns = whole_day(day)
    assert len(columns) == minutes * 126
    assert np.array_equal(columns.time_ms[::126], local_midnight_ms(day) + np.arange(minutes) * MINUTE_MS)
    assert np.array_equal(columns.segment[:126], np.arange(126))


def test_nothing_lies_in_an_empty_or_backward_span() -> None:
    midnight = local_midnight_ms(date(2024, 11, 20))
    assert len(simulation().minutes(midnight, midnight)) == 0
    assert len(simulation().minutes(midnight + MINUTE_MS, midnight)) == 0
    assert len(simulation().minutes(midnight + 1, midnight + 59_999)) == 0


@pytest.mark.parametrize("day", [*ORDINARY_DAYS, UNUSUAL_DAY, date(2031, 5, 5)])
def test_every_number_is_there_and_possible(day: date) -> None:
    columns = whole_day(day)
    for column in COLUMNS[2:]:
        assert np.isfinite(getattr(columns, column)).all()
    free = np.array([segment.free_flow_kmh for segment in simulation().segments])
    capacity = np.array([segment.lanes * segment.capacity_veh_h_lane for segment in simulation().segments])
    speed, flow = table(columns.speed_kmh), table(columns.flow_veh_h)
    assert speed.min() > 1
    assert (speed < 1.25 * free).all()
    assert flow.min() >= 0
    assert (flow % 60 == 0).all()
    assert (flow <= capacity + 60).all()
    for share in (columns.occupancy, columns.heavy_share):
        assert share.min() >= 0
        assert share.max() <= 1


def test_flow_is_density_times_speed_where_traffic_moves_freely() -> None:
    columns = whole_day(date(2024, 11, 20))
    flow, speed = table(columns.flow_veh_h), table(columns.speed_kmh)
    lanes = np.array([segment.lanes for segment in simulation().segments])
    metres = 6.5 + 6.5 * table(columns.heavy_share)
    density = table(columns.occupancy) * 1000 / metres * lanes
    free = speed > 0.9 * np.array([segment.free_flow_kmh for segment in simulation().segments])
    assert free.sum() > 10_000
    assert (density * speed)[free].sum() == pytest.approx(flow[free].sum(), rel=0.05)


def test_queues_keep_every_vehicle_that_there_is_room_for() -> None:
    arrivals = np.array([[10.0], [10], [10], [0], [0], [0], [0]]) * np.ones(126)
    left, queue = simulation()._run(arrivals, np.full(arrivals.shape, 8.0))
    assert queue[:, 0] == pytest.approx([2, 4.8, 7.6, 0.4, 0, 0, 0])
    assert left[:, 0] == pytest.approx([8, 7.2, 7.2, 7.2, 0.4, 0, 0])
    assert left.sum(axis=0) == pytest.approx(np.full(126, 30.0))
    _, full = simulation()._run(np.full((500, 126), 50.0), np.full((500, 126), 1.0))
    room = np.array([segment.length_m / 1000 * segment.lanes * 140 for segment in simulation().segments])
    assert full[-1] == pytest.approx(room)


def test_weekday_mornings_are_busier_than_nights_and_sunday_mornings() -> None:
    weekday, sunday = (table(whole_day(day).flow_veh_h) for day in (date(2024, 11, 20), date(2024, 11, 17)))
    assert weekday[480:540].mean() > 10 * weekday[120:180].mean()
    assert weekday[480:540].mean() > 1.5 * sunday[480:540].mean()


@pytest.mark.parametrize("day", ORDINARY_DAYS)
def test_incidents_stop_traffic_within_their_first_minute(day: date) -> None:
    speed = table(whole_day(day).speed_kmh)
    made = simulation().incidents(day)
    assert 3 <= len(made) <= 6
    for incident in made:
        start = (incident.start_ms - local_midnight_ms(day)) // MINUTE_MS
        end = (incident.end_ms - local_midnight_ms(day)) // MINUTE_MS
        assert speed[start, incident.segment] < 0.5 * speed[start - 15 : start, incident.segment].mean()
        assert speed[end + 30, incident.segment] > 2 * speed[start, incident.segment]


@pytest.mark.parametrize("day", ORDINARY_DAYS)
def test_on_an_ordinary_day_hardly_a_segment_is_slow_but_for_incidents(day: date) -> None:
    slow, incident = slow_five_minutes(day)
    assert slow[~incident].mean() < 0.01
    assert slow[incident].any()


def test_on_the_unusual_day_segments_near_the_crowd_are_slow_for_long() -> None:
    slow, incident = slow_five_minutes(UNUSUAL_DAY)
    # Three five-minute windows in a row: 15 minutes.
    slow &= ~incident
    long = (slow[:-2] & slow[1:-1] & slow[2:]).any(axis=0)
    near = {simulation().segments[index].near_sensor for index in np.flatnonzero(long)}
    assert {"commerce-street-west", "7-custom-street-east", "210-queen-street"} <= near
    # Karangahape Road, 1.5 km from the crowd, goes on as ever.
    assert not near & {"150-k-road", "183-k-road"}
    assert not slow[: 10 * 12].any()


def test_crowds_take_capacity_only_on_days_that_have_them() -> None:
    made = simulation().segments

    def share(day: date) -> np.ndarray:
        return crowd_capacity_share(made, day, whole_day(day).time_ms[::126])

    assert share(date(2015, 6, 1)).min() == 1
    assert share(date(2024, 11, 20)).min() > 0.7
    assert share(UNUSUAL_DAY).min() < 0.4
    assert share(UNUSUAL_DAY).min() >= 0.15
