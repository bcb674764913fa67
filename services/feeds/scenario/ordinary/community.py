"""An ordinary hour of the community: people who walk by, are there, pass gates, and ask something of the city."""

from __future__ import annotations

import numpy as np

from services.community.detectors import PassageOutcome
from services.core.pseudonym import LEAST
from services.feeds.scenario.city import City
from services.feeds.scenario.group import Group
from services.feeds.scenario.ordinary.security import scatter
from services.feeds.scenario.rhythm import activity
from services.feeds.scenario.rows import Rows, at_random, every
from services.feeds.scenario.sites.streets import AREA_M

REQUESTS_AN_HOUR = 0.12


def footfall(city: City, group: Group, hour_ms: int, chance: np.random.Generator) -> Rows:
    """People who walk by a counter in five minutes."""
    time_ms, sensor = every(hour_ms, group.period_s, len(group))
    mean = group.traits["peak_h"][sensor] * activity("people", time_ms) * group.period_s / 3600.0
    # Groups walk together, so counts scatter more than Poisson's.
    count = chance.poisson(mean * chance.gamma(40.0, 1.0 / 40.0, len(mean))).astype(np.float64)
    columns = {"count": count, "confidence": np.full(len(count), 0.95)}
    return Rows(time_ms, sensor, columns, group.period_s)


def presence(city: City, group: Group, hour_ms: int, chance: np.random.Generator) -> Rows:
    """People who are there, every five minutes, and how dense they stand."""
    time_ms, sensor = every(hour_ms, 300, len(group))
    area = group.traits["area_m2"][sensor]
    count = chance.poisson(group.traits["peak_p_m2"][sensor] * area * activity("people", time_ms)).astype(np.float64)
    columns = {"count": count, "density_p_m2": count / area, "confidence": np.full(len(count), 0.9)}
    return Rows(time_ms, sensor, columns, group.period_s)


def gates(city: City, group: Group, hour_ms: int, chance: np.random.Generator) -> Rows:
    """How many went in and out in five minutes."""
    time_ms, sensor = every(hour_ms, group.period_s, len(group))
    mean = group.traits["peak_h"][sensor] * activity("people", time_ms) * group.period_s / 3600.0
    columns = {
        "outcome": np.full(len(time_ms), float(PassageOutcome.COUNTED)),
        "count_in": chance.poisson(mean).astype(np.float64),
        "count_out": chance.poisson(mean).astype(np.float64),
    }
    return Rows(time_ms, sensor, columns, group.period_s)


def requests(city: City, group: Group, hour_ms: int, chance: np.random.Generator) -> Rows:
    """Requests of citizens, opened."""
    busy = activity("calls", np.array([hour_ms], np.int64))[0]
    time_ms, sensor = at_random(hour_ms, np.full(len(group), REQUESTS_AN_HOUR * busy), chance)
    latitude, longitude = scatter(group, sensor, AREA_M / 2, chance)
    columns = {
        "opened": np.ones(len(time_ms)),
        "latitude": latitude,
        "longitude": longitude,
        "request_a": LEAST + chance.integers(0, 2**50, len(time_ms)).astype(np.float64),
        "request_b": LEAST + chance.integers(0, 2**50, len(time_ms)).astype(np.float64),
    }
    return Rows(time_ms, sensor, columns, group.period_s)
