"""Where the environment is measured: air, noise, weather, and the stacks of permitted sources."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from services.environment.domain import AIR_QUALITY, EMISSION, NOISE, WEATHER
from services.feeds.scenario.group import Group
from services.feeds.scenario.sites.places import squares_of
from services.feeds.scenario.sites.streets import Streets, cabinets_of

POLLUTANTS = ("dust", "so2", "nox")
LIMITS_MG_M3 = {"dust": 20.0, "so2": 50.0, "nox": 100.0}


def groups(streets: Streets, chance: np.random.Generator) -> Iterator[Group]:
    """Those of the environment."""
    at = streets.areas + chance.uniform(-150.0, 150.0, streets.areas.shape)
    yield Group(
        "air",
        "environment",
        AIR_QUALITY,
        "air_station",
        tuple(f"air-{i:03d}" for i in range(len(at))),
        at,
        period_s=300,
        numbers={"observations_per_hour": np.full(len(at), 12.0)},
        traits={"usual_ug_m3": chance.uniform(18.0, 32.0, len(at))},
    )
    at = np.concatenate([squares_of(streets) + 15.0, streets.crossings[1::6] + 30.0])
    yield Group(
        "noise",
        "environment",
        NOISE,
        "noise_meter",
        tuple(f"noise-{i:03d}" for i in range(len(at))),
        at,
        period_s=60,
        numbers={"observations_per_hour": np.full(len(at), 60.0)},
        labels={"zone": ("4a",) * len(at), "cabinet": cabinets_of(at)},
        traits={"usual_db": chance.uniform(52.0, 58.0, len(at))},
    )
    at = streets.areas[:: max(1, len(streets.areas) // 12)] + 50.0
    yield Group(
        "weather",
        "environment",
        WEATHER,
        "weather_station",
        tuple(f"weather-{i:02d}" for i in range(len(at))),
        at,
        period_s=60,
    )
    yield _stacks(streets, chance)


def _stacks(streets: Streets, chance: np.random.Generator) -> Group:
    n = max(4, streets.blocks)
    at = chance.uniform(-0.8, 0.8, (n, 2)) * streets.half_m
    numbers = {"observations_per_hour": np.full(n, 60.0)}
    for name in POLLUTANTS:
        numbers[f"{name}_limit_mg_m3"] = np.full(n, LIMITS_MG_M3[name])
        numbers[f"{name}_range_mg_m3"] = np.full(n, 4.0 * LIMITS_MG_M3[name])
        numbers[f"{name}_detection_limit_mg_m3"] = np.full(n, 0.01 * LIMITS_MG_M3[name])
    return Group(
        "stacks",
        "environment",
        EMISSION,
        "stack",
        tuple(f"stack-{i:02d}" for i in range(n)),
        at,
        period_s=60,
        numbers=numbers,
        traits={"usual_share": chance.uniform(0.35, 0.6, n)},
    )
