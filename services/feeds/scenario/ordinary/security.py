"""An ordinary hour of security: cameras that are well, zones, credentials, calls."""

from __future__ import annotations

import numpy as np

from services.core.pseudonym import LEAST
from services.feeds.scenario.city import City
from services.feeds.scenario.group import Float64Array, Group, degrees
from services.feeds.scenario.rhythm import activity
from services.feeds.scenario.rows import Int64Array, Rows, at_random, every
from services.feeds.scenario.sites.streets import AREA_M
from services.security.indices.camera_topics import CameraTopic
from services.security.indices.cases import EmergencyNature
from services.security.indices.sequences import CredentialOutcome

CALLS_AN_HOUR = 0.15
USES_AN_HOUR = 30.0
FAILED_SHARE = 0.02
PEOPLE_OF_SYSTEM = 500
# What each service is called for, in the order of sites.security.SERVICES, and how often.
_NATURES = (
    (EmergencyNature.CRIME, EmergencyNature.DISTURBANCE, EmergencyNature.TRAFFIC_ACCIDENT, EmergencyNature.OTHER),
    (EmergencyNature.FIRE, EmergencyNature.RESCUE, EmergencyNature.HAZARDOUS_MATERIAL, EmergencyNature.OTHER),
    (EmergencyNature.MEDICAL, EmergencyNature.MEDICAL, EmergencyNature.TRAFFIC_ACCIDENT, EmergencyNature.OTHER),
)


def heartbeats(city: City, group: Group, hour_ms: int, chance: np.random.Generator) -> Rows:
    """Every camera is asked once a minute, and answers."""
    time_ms, sensor = every(hour_ms, 60, len(group), group.traits["offset_ms"])
    columns = {"topic": np.full(len(time_ms), float(CameraTopic.HEARTBEAT))}
    return Rows(time_ms, sensor, columns, group.period_s)


def zones(city: City, group: Group, hour_ms: int, chance: np.random.Generator) -> Rows:
    """How many people are in each zone, once a minute."""
    time_ms, sensor = every(hour_ms, 60, len(group), group.traits["offset_ms"])
    mean = group.traits["usual_p_m2"][sensor] * group.numbers["area_m2"][sensor] * activity("people", time_ms)
    people = chance.poisson(mean).astype(np.float64)
    columns = {"topic": np.full(len(time_ms), float(CameraTopic.OBJECTS_INSIDE)), "people": people}
    return Rows(time_ms, sensor, columns, group.period_s)


def credentials(city: City, group: Group, hour_ms: int, chance: np.random.Generator) -> Rows:
    """Uses of badges, a few of which fail; no direction is told."""
    busy = activity("people", np.array([hour_ms], np.int64))[0]
    time_ms, sensor = at_random(hour_ms, np.full(len(group), USES_AN_HOUR * busy), chance)
    failed = chance.random(len(time_ms)) < FAILED_SHARE
    person = chance.integers(0, PEOPLE_OF_SYSTEM, len(time_ms)).astype(np.float64)
    columns = {
        "outcome": np.where(failed, float(CredentialOutcome.FAILED), float(CredentialOutcome.GRANTED)),
        "medium": np.ones(len(time_ms)),
        "gate": 1.0 + chance.integers(0, 3, len(time_ms)),
        "person_a": LEAST + person,
        "person_b": LEAST + sensor,
    }
    return Rows(time_ms, sensor, columns, group.period_s)


def calls(city: City, group: Group, hour_ms: int, chance: np.random.Generator) -> Rows:
    """Emergency calls from somewhere in the area."""
    busy = activity("calls", np.array([hour_ms], np.int64))[0]
    time_ms, sensor = at_random(hour_ms, np.full(len(group), CALLS_AN_HOUR * busy), chance)
    natures = np.array(_NATURES, np.float64)
    latitude, longitude = scatter(group, sensor, AREA_M / 2, chance)
    columns = {
        "calls": np.ones(len(time_ms)),
        "nature": natures[sensor % len(natures), chance.integers(0, natures.shape[1], len(time_ms))],
        "latitude": latitude,
        "longitude": longitude,
    }
    return Rows(time_ms, sensor, columns, group.period_s)


def scatter(
    group: Group, sensor: Int64Array, within_m: float, chance: np.random.Generator
) -> tuple[Float64Array, Float64Array]:
    """Latitudes and longitudes of places about sensors, so many metres away at most to the north and the east."""
    north = group.north_m[sensor] + chance.uniform(-within_m, within_m, len(sensor))
    east = group.east_m[sensor] + chance.uniform(-within_m, within_m, len(sensor))
    return degrees(north, east)
