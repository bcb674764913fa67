"""From observations of a station to rows and signals: which table holds, what a day needs, what is late."""

from __future__ import annotations

import dataclasses
import math
import random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.core.kind import HOUR_MS
from services.core.signals import Severity
from services.environment.domain import AIR_QUALITY
from services.environment.indices.air_quality import air_quality_index
from services.environment.indices.averaging import daily_concentrations
from services.environment.indices.epa import EPA_2024
from services.environment.indices.hj633 import HJ633_2012, HJ633_2026
from services.environment.indices.standard import Pollutant
from services.environment.indices.station_index import in_units_of, index_of_hour, rolling_index
from tests.core.domains.environment.stations import Station, frame_of, heartbeat, ms
from tests.examples import examples

FEBRUARY = "2026-02-28T00:00+08:00"
NAN = math.nan


def air(*frames) -> Station:
    last = max(frame.clock_ms for frame in frames)
    return Station(AIR_QUALITY).fold(*frames, heartbeat(AIR_QUALITY, last + 12 * HOUR_MS))


def of(start: str, hours: int, **columns: float):
    return frame_of(AIR_QUALITY, ms(start), {name: [value] * hours for name, value in columns.items()})


def test_pm2_5_of_75_is_100_on_2026_02_28_and_114_on_2026_03_01():
    station = air(of(FEBRUARY, 48, pm2_5_ug_m3=75.0))
    february = station.row("air_quality_days", "2026-02-28T00:00+08:00")
    march = station.row("air_quality_days", "2026-03-01T00:00+08:00")
    assert (february["standard_id"], february["aqi"], february["primary"]) == ("hj-633-2012", 100, "pm2_5")
    assert (march["standard_id"], march["aqi"], march["primary"]) == ("hj-633-2026", 114, "pm2_5")
    # The same by hours: the last of February and the first of March, which is looked up in the hour's own table.
    last = station.row("air_quality_index", "2026-02-28T23:00+08:00")
    first = station.row("air_quality_index", "2026-03-01T00:00+08:00")
    assert (last["standard_id"], last["aqi_1h"], last["aqi_24h"]) == ("hj-633-2012", 100, 100)
    assert (first["standard_id"], first["aqi_1h"], first["aqi_24h"]) == ("hj-633-2026", 114, 114)


def test_the_same_air_is_a_signal_from_the_day_on_that_its_limit_changes():
    signals = air(of(FEBRUARY, 48, pm2_5_ug_m3=75.0)).standing("polluted_air")
    assert sorted(signals) == [ms("2026-03-01T00:00+08:00") + hour * HOUR_MS for hour in range(24)]
    first = signals[ms("2026-03-01T00:00+08:00")]
    assert (first.model, first.severity) == ("hj-633-2026", Severity.MINOR)
    evidence = {e.measure: (e.value, e.threshold) for e in first.evidence}
    assert evidence["aqi"] == evidence["iaqi_pm2_5"] == (114.0, 100.0)


@pytest.mark.parametrize(("hours", "known"), [(19, False), (20, True)])
def test_a_day_takes_twenty_hours(hours, known):
    row = air(of(FEBRUARY, hours, pm2_5_ug_m3=75.0)).row("air_quality_days", FEBRUARY)
    assert (not math.isnan(row["aqi"])) == known
    assert row["revision"] == hours
    assert not row["complete"]  # five pollutants lack


@pytest.mark.parametrize(("minutes", "known"), [(44, False), (45, True)])
def test_an_hour_takes_45_minutes_where_it_is_known_how_many_there_are(minutes, known):
    start = ms("2026-03-05T10:00+08:00")
    frame = frame_of(AIR_QUALITY, start, {"pm2_5_ug_m3": [75.0] * minutes}, period_s=60)
    station = Station(AIR_QUALITY, {"observations_per_hour": 60.0})
    station.fold(frame, heartbeat(AIR_QUALITY, start + 12 * HOUR_MS))
    assert (not math.isnan(station.row("air_quality_index", "2026-03-05T10:00+08:00")["aqi_1h"])) == known


def test_the_primary_pollutant_is_the_one_with_the_greatest_sub_index():
    row = air(of("2026-03-05T00:00+08:00", 24, pm2_5_ug_m3=50.0, pm10_ug_m3=200.0, co_mg_m3=0.5)).row(
        "air_quality_index", "2026-03-05T23:00+08:00"
    )
    assert (row["primary_1h"], row["iaqi_pm10_1h"], row["iaqi_co_1h"]) == ("pm10", 131, 5)
    assert (row["pm10_ug_m3_24h"], row["co_mg_m3_8h"]) == (200.0, 0.5)
    assert math.isnan(row["o3_ug_m3_8h"])


def test_before_its_first_standard_a_city_has_no_index():
    station = air(of("2015-12-31T20:00+08:00", 8, pm2_5_ug_m3=400.0))
    assert [start for table, start in station.rows if table == "air_quality_index"] == [
        ms("2016-01-01T00:00+08:00") + hour * HOUR_MS for hour in range(4)
    ]


def test_a_late_hour_changes_the_day_and_withdraws_the_signal():
    start = ms("2026-03-05T00:00+08:00")
    values = [70.0] * 19 + [NAN] + [70.0] * 4
    station = Station(AIR_QUALITY)
    station.fold(frame_of(AIR_QUALITY, start, {"pm2_5_ug_m3": values}), heartbeat(AIR_QUALITY, start + 25 * HOUR_MS))
    before = station.row("air_quality_days", "2026-03-05T00:00+08:00")
    assert (before["revision"], before["aqi"]) == (23, 110)
    late = frame_of(AIR_QUALITY, start + 19 * HOUR_MS, {"pm2_5_ug_m3": [470.0]})
    station.fold(late, heartbeat(AIR_QUALITY, start + 27 * HOUR_MS))
    after = station.row("air_quality_days", "2026-03-05T00:00+08:00")
    assert (after["revision"], after["aqi"]) == (24, math.ceil(100 + 50 * (round((23 * 70 + 470) / 24) - 60) / 55))


def test_an_american_day_is_known_with_the_hours_after_it_and_keeps_standard_time():
    # From midnight of standard time in Boston, when clocks there say one o'clock in the morning.
    start = ms("2026-07-04T00:00-05:00")
    ozone = [40.0] * 22 + [300.0] * 8 + [40.0] * 2
    frame = frame_of(AIR_QUALITY, start, {"o3_ug_m3": ozone}, city="boston")
    station = Station(AIR_QUALITY).fold(frame, heartbeat(AIR_QUALITY, start + 60 * HOUR_MS))
    row = station.row("air_quality_days", "2026-07-04T00:00-05:00")
    # The window from 22 o'clock on lies in this day; 300 µg/m³ are 0.152 ppm.
    assert (row["standard_id"], row["aqi"], row["revision"]) == ("us-epa-2024", 249, 31)
    assert row["utc_offset_s"] == -5 * 3600


HOURLY = st.lists(st.sampled_from([NAN, 0.0, 12.0, 75.0, 151.0, 300.0, 900.0]), min_size=24, max_size=24)


@given(st.fixed_dictionaries(dict.fromkeys(Pollutant, HOURLY)), st.sampled_from([HJ633_2012, HJ633_2026, EPA_2024]))
def test_the_24_hours_of_a_day_of_particles_and_so2_are_those_of_the_day(values, standard):
    hourly = {p: np.array(v)[:, None] for p, v in values.items()}
    rolling = rolling_index(standard, hourly)
    given_hours = in_units_of(standard, hourly)
    day = air_quality_index(
        standard,
        standard.daily,
        {t: v.astype(np.float32) for t, v in daily_concentrations(standard, given_hours).items()},
    )
    for pollutant in (Pollutant.PM2_5, Pollutant.PM10, Pollutant.SO2, Pollutant.NO2):
        place = rolling.pollutants.index(pollutant)
        np.testing.assert_array_equal(rolling.sub_indices[place, -1], day.sub_indices[place, 0])


def test_the_hour_of_2012_looks_particles_up_by_24_hours_and_that_of_2026_by_the_hour():
    hourly = {p: np.full((24, 1), NAN) for p in Pollutant}
    hourly[Pollutant.PM2_5] = np.array([35.0] * 23 + [115.0])[:, None]
    assert index_of_hour(HJ633_2026, hourly).index[0] == 150
    # 38.3 µg/m³ over 24 hours.
    assert index_of_hour(HJ633_2012, hourly).index[0] == 54
    # The NowCast weighs each hour half as much as the one after it: (115 + 35) / 2 = 75.0 µg/m³.
    assert index_of_hour(EPA_2024, hourly).index[0] == 165


@examples(15)
@given(st.integers(0, 2**32), st.booleans())
def test_any_order_and_repetition_within_the_lateness_give_the_same_rows_and_signals(seed, twice):
    chance = random.Random(seed)
    start = ms("2026-02-28T20:00+08:00")
    hours = [chance.choice([30.0, 70.0, 160.0, 260.0]) for _ in range(12)]
    frames = [frame_of(AIR_QUALITY, start + i * HOUR_MS, {"pm2_5_ug_m3": [v]}) for i, v in enumerate(hours)]
    told = []
    for shuffled in (False, True):
        given_frames = [*frames]
        if shuffled:
            # None is moved by more than five hours.
            given_frames = [f for _, _, f in sorted((i + 5 * chance.random(), i, f) for i, f in enumerate(frames))]
        numbered = [
            dataclasses.replace(f, source_id="gateway", sequence=frames.index(f) + 1)
            for f in given_frames
            for _ in range(2 if shuffled and twice else 1)
        ]
        station = Station(AIR_QUALITY).fold(*numbered, heartbeat(AIR_QUALITY, start + 40 * HOUR_MS))
        assert station.partition.counters.late == 0
        signals = {t: repr(sorted(station.standing(t).items())) for t in ("polluted_air", "pollution_rise")}
        told.append((repr(sorted(station.rows.items())), signals))
    assert told[0] == told[1]


# Hours of 24-hour figures: the index of 200 µg/m³ is 250, of 300 µg/m³ 350, of 20 µg/m³ 29.
def test_an_episode_rises_to_red_and_is_lifted_when_the_air_was_good_for_36_hours():
    spells = [(200.0, 24 + 23), (300.0, 72), (20.0, 24 + 50)]
    values = [value for value, hours in spells for _ in range(hours)]
    start = ms("2026-01-10T00:00+08:00")
    station = air(frame_of(AIR_QUALITY, start, {"pm2_5_ug_m3": values}))
    signals = station.standing("heavy_pollution")
    levels = {(s.start_ms - start) // HOUR_MS: (s.severity, s.model) for s in signals.values()}
    hours = sorted(levels)
    # The plan of 2024: 20 hours are enough for a mean; then yellow at once, orange after two days, red after three days
    # of which one was above 300.
    assert hours[0] == 19
    assert levels[19] == (Severity.MODERATE, "cn-heavy-pollution-2024")
    assert min(h for h in hours if levels[h][0] == Severity.SEVERE) == 19 + 24
    assert min(h for h in hours if levels[h][0] == Severity.EXTREME) == 19 + 48
    # Once lifted it does not come again, and until then no hour is without its signal.
    assert hours == list(range(19, hours[-1] + 1))
    rows = [station.rows["air_quality_index", start + h * HOUR_MS]["aqi_24h"] for h in range(len(values))]
    good = next(h for h in range(24 + 23 + 72, len(values)) if rows[h] < 151)
    assert hours[-1] == good + 35


def test_the_american_programme_has_no_such_alerts_but_its_own_index():
    start = ms("2026-01-10T00:00-05:00")
    frame = frame_of(AIR_QUALITY, start, {"pm2_5_ug_m3": [300.0] * 48}, city="boston")
    station = Station(AIR_QUALITY).fold(frame, heartbeat(AIR_QUALITY, start + 60 * HOUR_MS))
    assert station.standing("heavy_pollution") == {}
    assert {s.model for s in station.standing("polluted_air").values()} == {"us-epa-2024"}


@pytest.mark.parametrize(("then", "rises"), [(87.4, False), (87.5, True)])
def test_a_rise_is_half_of_the_limit_more_than_the_least_of_three_hours(then, rises):
    station = air(frame_of(AIR_QUALITY, ms("2026-03-05T00:00+08:00"), {"pm2_5_ug_m3": [90.0, 50.0, 60.0, then]}))
    signals = station.standing("pollution_rise")
    assert sorted(signals) == ([ms("2026-03-05T03:00+08:00")] if rises else [])
    for signal in signals.values():
        assert signal.evidence[0].value == pytest.approx(37.5)
        assert signal.evidence[0].expected == pytest.approx(50.0)


@pytest.mark.parametrize(
    ("speeds", "directions", "told"),
    [
        ([2.0] * 4, [350.0, 350.0, 350.0, 20.0], 20.0),
        ([2.0, 2.0, 2.0, 0.4], [350.0] * 4, math.nan),  # a calm
        ([2.0] * 4, [350.0, 350.0, 350.0, math.nan], math.nan),
        ([2.0, 2.0, 2.0, math.nan], [350.0] * 4, math.nan),
    ],
)
def test_a_rise_is_told_with_where_the_wind_of_its_hour_came_from(speeds, directions, told):
    columns = {"pm2_5_ug_m3": [50.0, 50.0, 50.0, 90.0], "wind_m_s": speeds, "wind_from_deg": directions}
    (signal,) = air(frame_of(AIR_QUALITY, ms("2026-03-05T00:00+08:00"), columns)).standing("pollution_rise").values()
    wind = [e.value for e in signal.evidence if e.measure == "wind_from_deg"]
    assert wind == [pytest.approx(told, nan_ok=True)]
