"""What is told of many hours at once is what the slow way tells of each stretch by itself, to the bit."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.lib.stride_tricks import sliding_window_view

from services.core.aggregates import REVISION
from services.core.local_time import UTC
from services.core.windows import Place, WindowBatch
from services.environment.detectors.air import EPISODE, EPISODE_HOURS, find_heavy_pollution
from services.environment.domain import AIR_QUALITY
from services.environment.indices.air_quality import air_quality_index
from services.environment.indices.averaging import (
    daily_concentrations,
    mean_of_present,
    rolling_greatest,
    rolling_mean,
)
from services.environment.indices.epa import EPA_2024
from services.environment.indices.heavy_pollution import PLANS, level_at_end
from services.environment.indices.hj633 import HJ633_2012, HJ633_2026
from services.environment.indices.hours import COLUMNS
from services.environment.indices.programmes import find_programme
from services.environment.indices.standard import Pollutant
from services.environment.indices.station_index import in_units_of, index_of_day, rolling_by_date
from tests.core.domains.environment.stations import ms

# The two standards of China both hold within the two weeks before it.
NEWEST_MS = ms("2026-03-05T07:00+00:00")


def some_hours(seed: int, hours: int, stations: int, missing: float) -> np.ndarray:
    """Hours of each station side by side, as they come out of a batch. Shape: (hours, stations)."""
    chance = np.random.default_rng(seed)
    values = chance.lognormal(3.0, 1.0, (stations, hours))
    values[chance.random((stations, hours)) < missing] = np.nan
    return values.T


def each_stretch(values: np.ndarray, hours: int, steps: int) -> np.ndarray:
    missing = np.full((hours + steps, values.shape[1]), np.nan)
    return sliding_window_view(np.concatenate([missing, values]), hours, axis=0)[-steps:]


@pytest.mark.parametrize("steps", [1, 2, 40])
@pytest.mark.parametrize("given", [5, 31, 64])
@pytest.mark.parametrize("stations", [1, 3, 70])
def test_rolling_figures_are_those_of_each_stretch(stations, given, steps):
    values = some_hours(stations + given, given, stations, 0.2)
    for hours, needed in ((8, 6), (24, 18)):
        alone = np.ascontiguousarray(each_stretch(values, hours, steps))
        np.testing.assert_array_equal(
            rolling_mean(values, hours, steps, needed), mean_of_present(alone, needed, axis=-1)
        )
    for hours, needed, valid_above in ((17, 13, 40.0), (24, 20, np.inf), (24, 24, 0.0)):
        stretches = each_stretch(values, hours, steps)
        greatest = np.fmax.reduce(stretches, axis=-1)
        known = ((~np.isnan(stretches)).sum(-1) >= needed) | (greatest > valid_above)
        found = rolling_greatest(values, hours, steps, needed, valid_above)
        np.testing.assert_array_equal(found, np.where(known, greatest, np.nan))


@pytest.mark.parametrize("standard", [HJ633_2012, HJ633_2026, EPA_2024])
@pytest.mark.parametrize("known", [1, 7, 20, 24, 27, 31])
def test_the_index_of_a_day_is_that_of_two_whole_days_with_hours_that_are_not_known(standard, known):
    hourly = {p: some_hours(place + known, known, 50, 0.1) for place, p in enumerate(Pollutant)}
    whole = {p: np.concatenate([v, np.full((48 - known, 50), np.nan)]) for p, v in hourly.items()}
    terms = daily_concentrations(standard, in_units_of(standard, whole))
    found = index_of_day(standard, hourly)
    expected = air_quality_index(standard, standard.daily, {t: v[0].astype(np.float32) for t, v in terms.items()})
    np.testing.assert_array_equal(found.sub_indices, expected.sub_indices)
    np.testing.assert_array_equal(found.primary, expected.primary)


def told(hourly: dict[Pollutant, np.ndarray]) -> WindowBatch:
    """The last hour of stations, with what is at hand of the hours before, and the rest when it is asked for."""
    stations = hourly[Pollutant.CO].shape[1]
    history = {f"{COLUMNS[p]}_mean": np.ascontiguousarray(v.T) for p, v in hourly.items()}
    history |= {f"{COLUMNS[p]}_count": (~np.isnan(v.T)).astype(np.float64) for p, v in hourly.items()}
    history[REVISION] = np.ones((stations, len(hourly[Pollutant.CO])))
    return WindowBatch(
        window=AIR_QUALITY.window("1h"),
        cities=("beijing",) * stations,
        entity_ids=tuple(f"station-{i}" for i in range(stations)),
        slot=np.arange(stations),
        start_ms=np.full(stations, NEWEST_MS),
        revision=np.ones(stations, np.uint32),
        measures={},
        history={name: values[:, -EPISODE.at_hand :] for name, values in history.items()},
        attributes={"observations_per_hour": np.full(stations, np.nan)},
        places={"beijing": Place(UTC, "cn")},
        further=lambda slot, start_ms: {name: values[slot] for name, values in history.items()},
    )


# Air that was always good, that has only just been told of, with gaps, with a bad hour, with spells of bad days: whose
# two weeks are looked at and whose are not must make no difference.
@pytest.mark.parametrize("missing", [0.0, 0.05, 0.3])
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_the_level_of_an_alert_is_that_of_all_hours_of_two_weeks(seed, missing):
    chance, stations = np.random.default_rng(seed), 120
    spells = np.repeat(chance.choice([0.2, 1.0, 3.0, 9.0], (EPISODE.windows // 36, stations)), 36, axis=0)
    spells[:, : stations // 4] = 0.2
    spells[-3, : stations // 8] *= np.where(chance.random(stations // 8) < 0.5, 30.0, 1.0)
    hourly = {p: np.asfortranarray(some_hours(seed, EPISODE.windows, stations, missing)) for p in Pollutant}
    hourly = {p: np.asfortranarray(v * spells) for p, v in hourly.items()}
    since = chance.integers(0, EPISODE.windows, stations // 3)  # the first hour of the last stations
    for values in hourly.values():
        for station, first in enumerate(since.tolist(), stations - len(since)):
            values[:first, station] = np.nan
    finding = find_heavy_pollution(told(hourly))
    whole = {p: values[1:] for p, values in hourly.items()}
    series = rolling_by_date(find_programme("cn"), UTC, NEWEST_MS, whole, EPISODE_HOURS)
    level, index = (column.value for column in finding.evidence)
    np.testing.assert_array_equal(level, level_at_end(PLANS[-1], series))
    np.testing.assert_array_equal(index, series[-1])
    assert {0.0, 4.0} < {*level.tolist()}
