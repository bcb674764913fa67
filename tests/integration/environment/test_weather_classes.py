"""Weather in the classes of its scales, in SQL: equal to the pure indices at every border and between."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import numpy as np
import pyarrow as pa

from services.environment.indices.weather import (
    BEAUFORT_M_S,
    CALM_M_S,
    RAIN_MM,
    SECTORS,
    VISIBILITY_M,
    Rain,
    Stability,
    Visibility,
    beaufort,
    rain_class,
    stability,
    visibility_class,
    wind_sector,
)
from services.runtime.clickhouse import ClickHouse

START = datetime(2026, 6, 1, tzinfo=UTC)
ROWS = 400


def drawn(chance: np.random.Generator, borders: tuple[float, ...], most: float) -> np.ndarray:
    """Numbers at the borders, just below them, between, and none. Shape: (ROWS,)."""
    exact = chance.choice(np.array(borders), ROWS)
    which = chance.integers(0, 4, ROWS)
    return np.choose(which, [exact, np.nextafter(exact, 0.0), chance.uniform(0.0, most, ROWS), np.full(ROWS, np.nan)])


async def insert_windows(clickhouse: ClickHouse, window: str, starts: list[datetime], **columns: np.ndarray) -> None:
    names = ("wind_m_s_mean", "wind_from_deg_mean_direction", "rain_mm_sum", "visibility_m_mean", "radiation_w_m2_mean")
    rows = len(starts)
    table = {
        "city": ["c"] * rows,
        "window": [window] * rows,
        "entity_id": ["station"] * rows,
        "start_time": pa.array(starts, pa.timestamp("ms", "UTC")),
        "revision": pa.array([1] * rows, pa.uint32()),
        **{name: columns.get(name, np.full(rows, np.nan)) for name in names},
    }
    await clickhouse.insert("environment.weather_windows", pa.table(table))


def stability_where_it_is_certain(wind: np.ndarray, radiation: np.ndarray) -> list[str]:
    """Of so much sun it is day; of less what holds by day and by night, whatever the temperature does with height."""
    none, day = np.full(ROWS, np.nan), stability(wind, radiation, np.nan, True)
    nights = [stability(wind, none, gradient, False) for gradient in (-1.0, 1.0)]
    certain = (radiation >= 175.0) | ((nights[0] == day) & (nights[1] == day))
    return [Stability(code).name if sure and code >= 0 else "" for code, sure in zip(day, certain, strict=True)]


async def test_classes_in_sql_are_those_of_the_indices(clickhouse: ClickHouse):
    chance = np.random.default_rng(11)
    wind = drawn(chance, (*BEAUFORT_M_S, CALM_M_S, 2.0, 2.5, 3.0, 5.0, 6.0), 8.0)
    direction = drawn(chance, tuple(11.25 + 22.5 * n for n in range(16)), 360.0)
    visibility = drawn(chance, VISIBILITY_M, 20_000.0)
    radiation = drawn(chance, (925.0, 675.0, 175.0), 1_200.0)
    direction[0], wind[0] = 360.0, 3.0
    starts = [START + timedelta(minutes=10 * n) for n in range(ROWS)]
    await insert_windows(
        clickhouse,
        *("10m", starts),
        wind_m_s_mean=wind,
        wind_from_deg_mean_direction=direction,
        visibility_m_mean=visibility,
        radiation_w_m2_mean=radiation,
    )
    found = await clickhouse.query(
        "SELECT beaufort, wind_sector, visibility_class, stability, rain_24h_mm, rain_class"
        " FROM environment.weather_classes ORDER BY start_time"
    )
    forces, sectors, sights, stabilities, rain, rain_classes = zip(*found, strict=True)
    assert list(forces) == beaufort(wind).tolist()
    expected = wind_sector(direction, wind).tolist()
    assert list(sectors) == [
        "CALM" if speed < CALM_M_S else "" if code < 0 else SECTORS[code]
        for code, speed in zip(expected, wind, strict=True)
    ]
    assert sectors[0] == "N"
    assert list(sights) == ["" if code < 0 else Visibility(code).name for code in visibility_class(visibility)]
    assert list(stabilities) == stability_where_it_is_certain(wind, radiation)
    assert {"A", "B", "C", "D", ""} <= set(stabilities)
    assert np.isnan(rain).all()
    assert set(rain_classes) == {""}


async def test_rain_of_a_day_is_that_of_24_hours_and_of_fewer_it_is_not_known(clickhouse: ClickHouse):
    amounts = np.array([0.0, 0.05, *RAIN_MM[24], *(np.array(RAIN_MM[24]) - 0.1)])
    hours = 24 * len(amounts)
    rain = np.zeros(hours)
    rain[23::24] = amounts  # all of a day in its last hour
    starts = [START + timedelta(hours=n) for n in range(hours)]
    await insert_windows(clickhouse, "1h", starts, rain_mm_sum=rain)
    query = "SELECT rain_24h_mm, rain_class FROM environment.weather_classes ORDER BY start_time"
    found = await clickhouse.query(query)
    assert all(np.isnan(amount) and name == "" for amount, name in found[:23])
    of_days = found[23::24]
    np.testing.assert_allclose([amount for amount, _ in of_days], amounts)
    assert [name for _, name in of_days] == [Rain(code).name for code in rain_class(amounts)]


async def test_an_hour_that_is_missing_leaves_a_day_unknown(clickhouse: ClickHouse):
    starts = [START + timedelta(hours=n) for n in range(25) if n != 3]
    await insert_windows(clickhouse, "1h", starts, rain_mm_sum=np.ones(24))
    ((amount, name),) = await clickhouse.query(
        "SELECT rain_24h_mm, rain_class FROM environment.weather_classes ORDER BY start_time DESC LIMIT 1"
    )
    assert np.isnan(amount)
    assert name == ""
