"""The index of every day and station of Beijing is what an independent calculation in SQL comes to."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

import numpy as np
import pytest
from clickhouse_connect.driver.client import Client

from deploy.local.servers import Endpoints
from services.environment.indices.air_quality import AirQualityIndex, air_quality_index
from services.environment.indices.averaging import daily_concentrations
from services.environment.indices.epa import EPA_2024
from services.environment.indices.hj633 import HJ633_2012, HJ633_2026
from services.environment.indices.programmes import find_programme, standard_of_day
from services.environment.indices.standard import Pollutant, Standard
from tests.integration.environment import index_sql
from tests.integration.environment.beijing import DAYS, FIRST_DAY, STATIONS, Hours, hours_in_clickhouse, read_hours

DATABASE = "beijing_index"
HOURS = f"{DATABASE}.hours"


@pytest.fixture(scope="module")
def hours() -> Hours:
    return read_hours()


@pytest.fixture(scope="module")
def client(hours: Hours, servers: Endpoints) -> Iterator[Client]:
    """A client, and the table of hours."""
    with hours_in_clickhouse(servers.clickhouse, DATABASE, hours.scaled) as made:
        yield made


def in_sql(client: Client, sql: str) -> np.ndarray:
    """Sub-indices by pollutant, day and station; NaN where they are not known."""
    rows = np.array(client.query(sql).result_rows, np.int64)
    assert rows[:, 1].reshape(DAYS, -1).T.tolist() == [list(range(DAYS))] * len(STATIONS)
    assert (rows[:, 0].reshape(DAYS, -1) == np.arange(len(STATIONS))).all()
    told = rows[:, 2:].T.reshape(-1, DAYS, len(STATIONS))
    return np.where(told < 0, np.nan, told)


def computed(standard: Standard, hours: Hours, *only: Pollutant) -> AirQualityIndex:
    """By the code under test. CO is told in mg/m³ there."""
    hourly = {p: hours.ug_m3(p) / (1_000 if p is Pollutant.CO else 1) for p in (only or tuple(Pollutant))}
    return air_quality_index(standard, standard.daily, daily_concentrations(standard, hourly))


def assert_same(found: AirQualityIndex, expected: np.ndarray, primary_above: int) -> None:
    """Day by day and station by station: sub-indices, the index, the primary pollutants."""
    found_sub = found.sub_indices[: len(expected)]
    for place, pollutant in enumerate(found.pollutants[: len(expected)]):
        different = np.argwhere(~((found_sub[place] == expected[place]) | np.isnan(found_sub[place] + expected[place])))
        lacking = np.argwhere(np.isnan(found_sub[place]) != np.isnan(expected[place]))
        named = [
            (pollutant.value, str(FIRST_DAY + timedelta(days=int(day))), STATIONS[station])
            for day, station in [*different, *lacking]
        ]
        assert named == [], pollutant
    index = np.fmax.reduce(expected, axis=0)
    np.testing.assert_array_equal(found.index, index)
    np.testing.assert_array_equal(found.primary[: len(expected)], (expected == index) & (index > primary_above))
    known, heavy = int((~np.isnan(index)).sum()), int((index > 200).sum())
    print(f"{found.standard_id}: {index.size:,} days equal, {known:,} with an index, {heavy:,} above 200")
    assert known > 7_000


@pytest.mark.parametrize(
    ("standard", "sql"),
    [
        (
            HJ633_2012,
            index_sql.hj633(HOURS, index_sql.PM2_5_2012, index_sql.PM10_2012, hour_of_ozone=True, beyond_800=-1),
        ),
        (
            HJ633_2026,
            index_sql.hj633(HOURS, index_sql.PM2_5_2026, index_sql.PM10_2026, hour_of_ozone=False, beyond_800=300),
        ),
    ],
    ids=("2012", "2026"),
)
def test_the_chinese_index_of_every_day_equals_sql(client: Client, hours: Hours, standard: Standard, sql: str):
    assert_same(computed(standard, hours), in_sql(client, sql), 50)


def test_the_american_index_of_particles_of_every_day_equals_sql(client: Client, hours: Hours):
    found = computed(EPA_2024, hours, Pollutant.PM2_5, Pollutant.PM10)
    assert_same(found, in_sql(client, index_sql.epa_particles(HOURS)), 0)


def test_the_days_are_those_of_the_edition_of_2012_in_beijing():
    programme = find_programme("cn-2012")
    held = {standard_of_day(programme, FIRST_DAY + timedelta(days=day)) for day in range(DAYS)}
    assert held == {HJ633_2012}
