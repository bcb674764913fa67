"""Stations of Beijing through the engine hour by hour, some late: every day's row is what the day's hours come to."""

from __future__ import annotations

import os
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest

from services.core.frame import Frame
from services.core.kind import HOUR_MS
from services.core.local_time import LocalTime
from services.core.partition import Partition
from services.core.windows import Place
from services.environment.domain import AIR_QUALITY
from services.environment.indices.air_quality import air_quality_index
from services.environment.indices.averaging import daily_concentrations
from services.environment.indices.hj633 import HJ633_2012
from services.environment.indices.hours import COLUMNS
from services.environment.indices.standard import Pollutant
from tests.integration.environment.beijing import DAYS as ALL_DAYS
from tests.integration.environment.beijing import FIRST_DAY, STATIONS, read_hours

PLACES = {"beijing": Place(LocalTime((0,), (8 * HOUR_MS,)), "cn-2012")}
# From 2013-12-26 on, a winter month; with URBAN_REAL_DAYS=671 all there is.
FIRST, DAYS = (0, ALL_DAYS) if int(os.environ.get("URBAN_REAL_DAYS") or 0) >= ALL_DAYS else (300, 35)
# So many hours does every seventh one come late.
LATE_HOURS = 5


def frame_of(start_ms: int, values: dict[Pollutant, np.ndarray], clock_ms: int, number: int) -> Frame:
    columns = {COLUMNS[p]: v.astype(np.float32) for p, v in values.items()}
    there = ~np.logical_and.reduce([np.isnan(c) for c in columns.values()])
    others = {c.name for c in AIR_QUALITY.columns} - columns.keys()  # nobody told the wind
    columns |= dict.fromkeys(others, np.full(len(there), np.nan, np.float32))
    return Frame(
        city="beijing",
        entity_ids=STATIONS,
        entity=np.flatnonzero(there).astype(np.uint32),
        time_ms=np.full(int(there.sum()), start_ms),
        period_s=3600,
        columns={name: c[there] for name, c in columns.items()},
        source_id="beijing",
        sequence=number + 1,
        clock_ms=clock_ms,
        heartbeat=not there.any(),
    )


@pytest.mark.timeout(120 if DAYS < ALL_DAYS else 3_600)
def test_the_index_of_every_day_and_station_is_that_of_its_hours():
    read = read_hours()
    hours = slice(24 * FIRST, 24 * (FIRST + DAYS))
    hourly = {p: read.ug_m3(p)[hours] / (1_000 if p is Pollutant.CO else 1) for p in Pollutant}
    first = datetime(FIRST_DAY.year, FIRST_DAY.month, FIRST_DAY.day, tzinfo=UTC) + timedelta(days=FIRST, hours=-8)
    start_ms = round(first.timestamp() * 1000)
    order = sorted(range(24 * DAYS), key=lambda h: (h + (LATE_HOURS if h % 7 == 0 else 0), h))
    partition, clock_ms = Partition("environment", AIR_QUALITY, 0), 0
    told: dict[tuple[str, int], tuple[int, float, str, str]] = {}
    missing = np.full(len(STATIONS), np.nan)
    for number, hour in enumerate([*order, 24 * DAYS + 12]):
        values = {p: v[hour] if hour < 24 * DAYS else missing for p, v in hourly.items()}
        clock_ms = max(clock_ms, start_ms + (hour + 1) * HOUR_MS)
        for closing in partition.fold([frame_of(start_ms + hour * HOUR_MS, values, clock_ms, number)]):
            assert not closing.refused
            assert not closing.late
            for batch in closing.batches:
                attributes = {"observations_per_hour": np.full(len(batch), np.nan)}
                index = AIR_QUALITY.indices[1]
                rows = index.compute(replace(batch, attributes=attributes, places=PLACES))
                texts = zip(*(rows.columns[name].tolist() for name in ("aqi", "primary", "standard_id")), strict=True)
                for row, day_ms, revision, row_told in zip(
                    rows.of_row.tolist(), rows.start_ms.tolist(), rows.revision.tolist(), texts, strict=True
                ):
                    key = (batch.entity_ids[batch.slot[row]], (day_ms - start_ms) // (24 * HOUR_MS))
                    if revision >= told.get(key, (0,))[0]:
                        told[key] = (revision, *row_told)
    terms = {t: v.astype(np.float32) for t, v in daily_concentrations(HJ633_2012, hourly).items()}
    expected = air_quality_index(HJ633_2012, HJ633_2012.daily, terms)
    primary = expected.primary_names()
    known = 0
    for place, station in enumerate(STATIONS):
        for day in range(DAYS):
            if (station, day) not in told:  # it told nothing on that day
                assert np.isnan(expected.index[day, place]), (station, day)
                continue
            _, index_told, primary_told, standard = told[station, day]
            assert repr(index_told) == repr(float(expected.index[day, place])), (station, day)
            assert (primary_told, standard) == (primary[day, place], "hj-633-2012"), (station, day)
            known += not np.isnan(index_told)
    print(f"{DAYS} days of {len(STATIONS)} stations: {len(told):,} told, all equal, {known:,} with an index")
    assert known > 350
