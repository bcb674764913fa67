"""Pollution sources and environment, as a city asks for it: the fixtures of the standards, through the engine."""

from __future__ import annotations

import numpy as np

from services.core.kind import HOUR_MS
from services.environment.domain import AIR_QUALITY, EMISSION, NOISE
from services.environment.indices.air_quality import sub_index
from services.environment.indices.attribution import upwind_sources
from services.environment.indices.emission import EmissionState
from services.environment.indices.epa import EPA_2024
from services.environment.indices.standard import Period, Pollutant
from tests.core.domains.environment.stations import Station, frame_of, heartbeat, ms
from tests.core.domains.environment.test_averaging import EXAMPLE, hours_of


def works_on(kind, start: str, columns: dict[str, list[float]], *, period_s: int = 3600, **numbers: float) -> Station:
    frame = frame_of(kind, ms(start), columns, period_s=period_s)
    return Station(kind, numbers).fold(frame, heartbeat(kind, frame.clock_ms + 12 * HOUR_MS))


def test_pollution_sources_and_environment_works_by_the_fixtures_of_the_standards():
    # HJ 633 in both editions, decided by the day.
    air = works_on(AIR_QUALITY, "2026-02-28T00:00+08:00", {"pm2_5_ug_m3": [75.0] * 48})
    told = [air.row("air_quality_days", f"2026-{day}T00:00+08:00") for day in ("02-28", "03-01")]
    assert [(row["standard_id"], row["aqi"]) for row in told] == [("hj-633-2012", 100), ("hj-633-2026", 114)]
    # EPA 2024, and the NowCast of its published example: 17.4 µg/m³, which is 66.
    assert sub_index(EPA_2024, EPA_2024.table(Pollutant.PM2_5, Period.DAY), np.array([130.0])) == [205]
    assert sub_index(EPA_2024, EPA_2024.table(Pollutant.O3, Period.EIGHT_HOURS), np.array([0.057])) == [58]
    start = ms("2026-07-04T00:00-05:00")
    frame = frame_of(AIR_QUALITY, start, {"pm2_5_ug_m3": hours_of(*EXAMPLE).tolist()}, city="boston")
    boston = Station(AIR_QUALITY).fold(frame, heartbeat(AIR_QUALITY, start + 24 * HOUR_MS))
    last = boston.rows["air_quality_index", start + 11 * HOUR_MS]
    assert (last["standard_id"], last["aqi_1h"]) == ("us-epa-2024", 66)
    # Lden 60.0 of 60, 55 and 50 dB.
    noise = works_on(NOISE, "2026-03-02T00:00+08:00", {"laeq_db": [50.0] * 7 + [60.0] * 12 + [55.0] * 4 + [50.0]})
    assert round(noise.row("noise_days", "2026-03-02T00:00+08:00")["lden_db"], 6) == 60.0
    # An hour above its permit, and four that are flat within 2 % of the analyser's range.
    minutes = {"dust_mg_m3": [12.0] * 240, "state": [float(EmissionState.RUNNING)] * 240}
    numbers = {"dust_limit_mg_m3": 10.0, "dust_range_mg_m3": 100.0, "observations_per_hour": 60.0}
    outlet = works_on(EMISSION, "2026-03-02T00:00+08:00", minutes, period_s=60, **numbers)
    assert len(outlet.standing("emission_exceeded")) == 4
    assert ms("2026-03-02T00:00+08:00") in outlet.standing("monitoring_flat")
    # A source in the sector that the wind comes from, and one that is not.
    north = upwind_sources(
        (39.9, 116.4), np.array([39.92, 39.88]), np.full(2, 116.4), np.array([44.0]), np.array([2.0])
    )
    assert north.candidate.tolist() == [[True, False]]
