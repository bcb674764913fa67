"""An ordinary hour of the environment: air, noise, weather, stacks."""

from __future__ import annotations

import numpy as np

from services.core.kind import DAY_MS, HOUR_MS
from services.environment.indices.emission import EmissionState
from services.feeds.scenario.chance import stream
from services.feeds.scenario.city import City
from services.feeds.scenario.group import Float64Array, Group
from services.feeds.scenario.rhythm import activity
from services.feeds.scenario.rows import Int64Array, Rows, every
from services.feeds.scenario.sites.environment import LIMITS_MG_M3


def air(city: City, group: Group, hour_ms: int, chance: np.random.Generator) -> Rows:
    """Six pollutants and wind every five minutes: what all of a city breathes, and a little more by day and traffic."""
    time_ms, sensor = every(hour_ms, group.period_s, len(group))
    n = len(time_ms)
    level = (
        group.traits["usual_ug_m3"][sensor] * _slow(city, "air", time_ms) * (0.85 + 0.3 * activity("roads", time_ms))
    )
    shares = {
        "pm2_5_ug_m3": 1.0,
        "pm10_ug_m3": 1.7,
        "so2_ug_m3": 0.4,
        "no2_ug_m3": 0.9,
        "o3_ug_m3": 1.6,
        "co_mg_m3": 0.02,
    }
    columns = {name: level * share * np.exp(0.06 * chance.standard_normal(n)) for name, share in shares.items()}
    from_deg, wind = city.wind(time_ms)
    columns["wind_m_s"] = np.maximum(wind + 0.4 * chance.standard_normal(n), 0.0)
    columns["wind_from_deg"] = np.mod(from_deg + 10.0 * chance.standard_normal(n), 360.0)
    return Rows(time_ms, sensor, columns, group.period_s)


def noise(city: City, group: Group, hour_ms: int, chance: np.random.Generator) -> Rows:
    """LAeq and LAmax of each minute in dB(A)."""
    time_ms, sensor = every(hour_ms, 60, len(group))
    n = len(time_ms)
    laeq = group.traits["usual_db"][sensor] - 9.0 + 9.0 * np.sqrt(activity("roads", time_ms))
    laeq = laeq + 1.2 * chance.standard_normal(n)
    columns = {"laeq_db": laeq, "lamax_db": laeq + 4.0 + np.abs(2.0 * chance.standard_normal(n))}
    return Rows(time_ms, sensor, columns, group.period_s)


def weather(city: City, group: Group, hour_ms: int, chance: np.random.Generator) -> Rows:
    """The wind of the city, and a dry day."""
    time_ms, sensor = every(hour_ms, 60, len(group))
    n = len(time_ms)
    from_deg, wind = city.wind(time_ms)
    day = 2 * np.pi * (time_ms % DAY_MS) / DAY_MS
    columns = {
        "temperature_c": 14.0 - 5.0 * np.cos(day - 0.5) + 0.2 * chance.standard_normal(n),
        "humidity": np.clip(0.65 + 0.15 * np.cos(day - 0.5) + 0.01 * chance.standard_normal(n), 0.0, 1.0),
        "pressure_hpa": 1_010.0 + 5.0 * _slow(city, "pressure", time_ms) + 0.1 * chance.standard_normal(n),
        "wind_m_s": np.maximum(wind + 0.4 * chance.standard_normal(n), 0.0),
        "wind_from_deg": np.mod(from_deg + 10.0 * chance.standard_normal(n), 360.0),
        "gust_m_s": np.maximum(1.5 * wind + 0.6 * chance.standard_normal(n), 0.0),
        "rain_mm": np.zeros(n),
        "visibility_m": 15_000.0 * np.exp(0.1 * chance.standard_normal(n)),
    }
    return Rows(time_ms, sensor, columns, group.period_s)


def stacks(city: City, group: Group, hour_ms: int, chance: np.random.Generator) -> Rows:
    """Plants that run and keep their permit, minute by minute."""
    time_ms, sensor = every(hour_ms, 60, len(group))
    n = len(time_ms)
    share = group.traits["usual_share"][sensor]
    columns = {
        f"{name}_mg_m3": limit * share * np.exp(0.12 * chance.standard_normal(n))
        for name, limit in LIMITS_MG_M3.items()
    }
    columns |= {
        "flow_m3_h": 80_000.0 * np.exp(0.05 * chance.standard_normal(n)),
        "oxygen_percent": 6.0 + 0.3 * chance.standard_normal(n),
        "state": np.full(n, float(EmissionState.RUNNING)),
    }
    return Rows(time_ms, sensor, columns, group.period_s)


def _slow(city: City, what: str, time_ms: Int64Array) -> Float64Array:
    """A factor about 1 that wanders over days, the same for the whole city."""
    phases = stream(city.seed, "slow", what).uniform(0.0, 2 * np.pi, 3)
    days = time_ms / (24.0 * HOUR_MS)
    waves = [np.sin(2 * np.pi * days / period + phase) for period, phase in zip((3.1, 5.3, 8.7), phases, strict=True)]
    return np.asarray(1.0 + 0.12 * np.sum(waves, axis=0), np.float64)
