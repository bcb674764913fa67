"""Stations of Beijing through `urban replay` and real servers: the index of a day is what SQL makes of the files.

`make test-real` takes all 671 days of twelve stations; as a part of `make test` it is a few of them.
"""

from __future__ import annotations

import os
from datetime import UTC, date, datetime, timedelta

import numpy as np
import pytest
from numpy.typing import NDArray

from services.environment.indices.air_quality import air_quality_index
from services.environment.indices.averaging import daily_concentrations
from services.environment.indices.hj633 import HJ633_2012
from services.environment.indices.standard import Pollutant
from tests.integration.environment import index_sql
from tests.integration.environment.beijing import FIRST_DAY, SCALE, STATIONS, hours_in_clickhouse, read_hours
from tests.integration.processor.city import City
from tests.integration.processor.real_data import need
from tests.integration.recordings.replaying import Service

# All stations, and days with the worst air of that winter. More of them: URBAN_REAL_DAYS=671 is all there is.
DAYS = int(os.environ.get("URBAN_REAL_DAYS") or 4)
FROM = date(2014, 1, 14) if DAYS <= 300 else FIRST_DAY
COLUMNS = {p: f"{p.value}_{'mg' if p is Pollutant.CO else 'ug'}_m3" for p in Pollutant}
SUB_INDICES = ("pm2_5", "pm10", "so2", "no2", "co", "o3")
START = datetime(FROM.year, FROM.month, FROM.day, tzinfo=UTC) - timedelta(hours=8)  # midnight in Beijing
DATABASE = "beijing_replayed"


# By whom and whose clock the days of the city are judged.
PLACE = {"URBAN_TIME_ZONES": '{"testville": "Asia/Shanghai"}', "URBAN_PROGRAMMES": '{"testville": "cn-2012"}'}
# The state is not looked at here; on a large scale it is not to be most of what is done.
SELDOM = {"URBAN_CHECKPOINT_SECONDS": "5"} if DAYS > 100 else {}
WAIT_S = 600.0 + 15 * DAYS  # a way out of a hang, on a machine that has much else to do


@pytest.mark.timeout(2 * WAIT_S)
async def test_the_index_of_every_day_is_that_of_an_independent_calculation_in_sql(city: City):
    files = [need(f"beijing_prsa/PRSA_Data_{station}_2013-2014.csv.gz") for station in STATIONS]
    first = (FROM - FIRST_DAY).days * 24
    expected = {p: hours[first : first + 24 * DAYS] for p, hours in read_hours().scaled.items()}
    service = await Service.start(city, "environment", **PLACE, **SELDOM)
    # Days of Beijing.
    span = ("--from", f"{FROM}T00:00+08:00", "--to", f"{FROM + timedelta(days=DAYS)}T00:00+08:00")
    told = await service.replay("environment.air_quality", *files, "--format", "beijing_prsa", *span, wait_s=WAIT_S)
    observations = int((np.array(list(expected.values())) >= 0).any(axis=0).sum())
    assert (told["accepted"], told["refused"]) == (observations, 0)

    async def all_windows() -> bool:
        rows = await city.query("SELECT count() FROM environment.air_quality_windows FINAL WHERE window = '1h'")
        return bool(rows[0][0] == observations)

    await city.until(all_windows, f"{observations} windows of an hour")
    assert await service.ledger("air_quality") == (observations, observations, 0, 0, 0)

    stored = await stored_hours(city)
    for pollutant, hours in expected.items():
        np.testing.assert_array_equal(stored[pollutant], hours, pollutant.value)
    with hours_in_clickhouse(city.clickhouse_url, DATABASE, expected) as client:
        sql = index_sql.hj633(
            f"{DATABASE}.hours", index_sql.PM2_5_2012, index_sql.PM10_2012, hour_of_ozone=True, beyond_800=-1
        )
        rows = np.array(client.query(sql).result_rows, np.int64)
    told_by_sql = rows[:, 2:].T.reshape(-1, DAYS, len(STATIONS))
    by_sql = np.where(told_by_sql < 0, np.nan, told_by_sql)
    index_by_sql = np.fmax.reduce(by_sql, axis=0)
    hourly = {p: np.where(v < 0, np.nan, v / SCALE / (1_000 if p is Pollutant.CO else 1)) for p, v in stored.items()}
    found = air_quality_index(HJ633_2012, HJ633_2012.daily, daily_concentrations(HJ633_2012, hourly))
    assert [p.value for p in found.pollutants] == list(SUB_INDICES)
    np.testing.assert_array_equal(found.sub_indices, by_sql)
    np.testing.assert_array_equal(found.index, index_by_sql)
    assert np.nanmax(found.index) > 300
    assert (~np.isnan(found.index)).mean() > 0.9

    # And what the service itself has stored of each day.
    index, sub_indices = await stored_days(city)
    equal = (index == index_by_sql) | (np.isnan(index) & np.isnan(index_by_sql))
    print(
        f"{DAYS} days of {len(STATIONS)} stations, {observations:,} observations in {told['seconds']:.0f} s:"
        f" {int(equal.sum()):,} equal, {int((~equal).sum()):,} not; {int(np.isnan(index_by_sql).sum()):,} without"
    )
    np.testing.assert_array_equal(index, index_by_sql)
    np.testing.assert_array_equal(sub_indices, by_sql)

    # The same once more, other files and another span: every observation is known.
    again = ("--from", f"{FROM}T00:00+08:00", "--to", f"{FROM + timedelta(days=1)}T00:00+08:00")
    repeated = await service.replay("environment.air_quality", files[3], files[0], "--format", "beijing_prsa", *again)
    count = repeated["accepted"]
    assert count > 24
    assert await service.ledger("air_quality") == (observations + count, observations, count, 0, 0)


async def stored_days(city: City) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Index and sub-indices of each day as they are stored. Shapes: (days, stations), (pollutants, days, stations)."""
    names = ", ".join(f"iaqi_{name}" for name in SUB_INDICES)
    rows = await city.query(
        f"SELECT entity_id, start_time, standard_id, aqi, {names} FROM environment.air_quality_days FINAL"
    )
    assert {row[2] for row in rows} == {HJ633_2012.id}
    found = np.full((1 + len(SUB_INDICES), DAYS, len(STATIONS)), np.nan)
    for station, time, _, *values in rows:
        day = (time.replace(tzinfo=UTC) - START) // timedelta(days=1)
        found[:, day, STATIONS.index(station)] = values
    return found[0], found[1:]


async def stored_hours(city: City) -> dict[Pollutant, NDArray[np.int64]]:
    """What the windows of an hour tell, as `Hours`: to 1/10,000 µg/m³, and CO to 1 µg/m³, as the files tell them.

    Columns are of single precision, so that 2.4 mg/m³ is stored as 2.4000001.
    """
    means = ", ".join(f"{COLUMNS[p]}_mean" for p in Pollutant)
    rows = await city.query(
        f"SELECT entity_id, start_time, {means} FROM environment.air_quality_windows FINAL WHERE window = '1h'"
    )
    found = {p: np.full((24 * DAYS, len(STATIONS)), -1, np.int64) for p in Pollutant}
    for station, time, *values in rows:
        hour = (time.replace(tzinfo=UTC) - START) // timedelta(hours=1)
        for pollutant, value in zip(Pollutant, values, strict=True):
            if not np.isnan(value):
                told = round(value * 1_000) * SCALE if pollutant is Pollutant.CO else round(value * SCALE)
                found[pollutant][hour, STATIONS.index(station)] = told
    return found
