"""The pieces that scenes are made of: what a jam, a crowd, calls or a tampered camera do to what sensors tell."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from services.community.detectors import PassageOutcome
from services.core.kind import MINUTE_MS
from services.core.pseudonym import LEAST
from services.feeds.scenario.city import City
from services.feeds.scenario.happening import Added, Change, Expected, How, Part
from services.feeds.scenario.ordinary.security import scatter
from services.feeds.scenario.rows import Int64Array, Rows
from services.feeds.scenario.sites.community import CATEGORIES
from services.feeds.scenario.sites.security import SERVICES
from services.security.indices.camera_topics import CameraTopic
from services.security.indices.cases import EmergencyNature
from services.security.indices.sequences import CredentialOutcome

CALLERS = 26
CALLS_WITHIN_MS = 40 * MINUTE_MS
# Callers stand so far apart, to the north and the east, that they are not taken for one.
CALLERS_WITHIN_M = 450.0
REQUESTS = 26
# More people per m² than Fruin's level E begins at (1.08).
DENSE_P_M2 = 1.6


@dataclass(frozen=True)
class Scene:
    """What happens at one place. `almost`: what it looks like if it just does not come to an incident; else a part
    that is needed is left out."""

    north_m: float
    east_m: float
    parts: tuple[Part, ...]
    almost: tuple[Part, ...] = ()


@dataclass(frozen=True)
class Span:
    """From a moment on and before another one, UTC ms."""

    from_ms: int
    to_ms: int

    def later(self, minutes: float) -> int:
        return self.from_ms + round(minutes * MINUTE_MS)


def span(hour_ms: int, from_minute: float, to_minute: float) -> Span:
    """Minutes of an hour, and beyond."""
    return Span(hour_ms + round(from_minute * MINUTE_MS), hour_ms + round(to_minute * MINUTE_MS))


def changed(
    city: City,
    name: str,
    group: str,
    sensors: Sequence[int],
    when: Span,
    changes: Sequence[tuple[str, How, float]],
    detectors: Sequence[str],
    *,
    needed: bool = True,
    needs_past: Sequence[str] = (),
) -> Part:
    """A part in which sensors of one group tell something else, and detectors of their kind should say so."""
    which = tuple(sensors)
    made = tuple(Change(group, which, when.from_ms, when.to_ms, how, column, value) for column, how, value in changes)
    return Part(name, made, expected=_expected(city, group, which, when, detectors, needs_past), needed=needed)


def together(name: str, *parts: Part) -> Part:
    """Parts that are one side of what happens: whichever of them is seen is enough."""
    return Part(
        name,
        tuple(change for part in parts for change in part.changes),
        tuple(added for part in parts for added in part.added),
        tuple(expected for part in parts for expected in part.expected),
        touched=tuple(entity for part in parts for entity in part.touched),
    )


def jam(city: City, sensors: Sequence[int], when: Span) -> Part:
    """Streets on which a third of the traffic crawls."""
    how = (("flow_veh_h", How.TIMES, 0.4), ("speed_kmh", How.TIMES, 0.25), ("occupancy", How.TIMES, 1.6))
    return changed(city, "road", "streets", sensors, when, how, ["congestion"])


def standstill(city: City, sensors: Sequence[int], when: Span) -> Part:
    """Streets on which all stand from one minute to the next."""
    how = (("flow_veh_h", How.TIMES, 0.3), ("speed_kmh", How.TIMES, 0.12), ("occupancy", How.TIMES, 2.5))
    road = changed(city, "road", "streets", sensors, when, how, ["congestion"])
    # A stop is sudden within two minutes; after that it is a jam.
    stop = Span(when.from_ms, when.later(2))
    return replace(road, expected=road.expected + _expected(city, "streets", sensors, stop, ["sudden_stop"]))


def tampered(city: City, cameras: Sequence[int], when: Span, topic: CameraTopic, *, needed: bool = True) -> Part:
    """Cameras whose picture is lost or blurred for that time, and well again."""
    n = len(cameras)
    lasted_s = (when.to_ms - when.from_ms) / 1000.0
    rows = Rows(
        np.repeat(np.array([when.from_ms, when.to_ms], np.int64), n),
        np.tile(np.array(cameras, np.int64), 2),
        {
            "topic": np.full(2 * n, float(topic)),
            "tampered": np.repeat([1.0, 0.0], n),
            "tamper_s": np.repeat([0.0, lasted_s], n),
        },
        0,
    )
    expected = _expected(city, "cameras", cameras, when, ["camera_tamper"])
    return Part("camera", added=(Added("cameras", rows),), expected=expected, needed=needed)


def seen(city: City, cameras: Sequence[int], when: Span, topic: CameraTopic, detector: str) -> Part:
    """Cameras that tell a topic once a minute."""
    moments = np.arange(when.from_ms, when.to_ms, MINUTE_MS, dtype=np.int64)
    sensor = np.tile(np.array(cameras, np.int64), len(moments))
    time_ms = np.repeat(moments, len(cameras))
    rows = Rows(time_ms, sensor, {"topic": np.full(len(sensor), float(topic)), "value": np.ones(len(sensor))}, 0)
    expected = _expected(city, "cameras", cameras, when, [detector])
    return Part("camera", added=(Added("cameras", rows),), expected=expected)


def called(
    city: City,
    north_m: float,
    east_m: float,
    service: str,
    nature: EmergencyNature,
    from_ms: int,
    chance: np.random.Generator,
) -> Part:
    """Many calls of one nature from the area of a place, of people who stand apart from each other."""
    group = city.groups["calls"]
    nearest = group.near(north_m, east_m, np.inf, len(SERVICES))
    mine = next(i for i in nearest if group.labels["service"][i] == service)
    sensor = np.full(CALLERS, mine, np.int64)
    latitude, longitude = scatter(group, sensor, CALLERS_WITHIN_M, chance)
    columns = {
        "calls": np.ones(CALLERS),
        "nature": np.full(CALLERS, float(nature)),
        "latitude": latitude,
        "longitude": longitude,
    }
    rows = Rows(_moments(from_ms, CALLS_WITHIN_MS, CALLERS, chance), sensor, columns, 0)
    when = Span(from_ms, from_ms + CALLS_WITHIN_MS)
    expected = _expected(city, "calls", [mine], when, ["emergency_surge"])
    return Part("calls", added=(Added("calls", rows),), expected=expected)


def asked(city: City, north_m: float, east_m: float, category: str, when: Span, chance: np.random.Generator) -> Part:
    """Many requests of one category from the area of a place."""
    group = city.groups["requests"]
    nearest = group.near(north_m, east_m, np.inf, len(CATEGORIES))
    mine = next(i for i in nearest if group.labels["category"][i] == category)
    sensor = np.full(REQUESTS, mine, np.int64)
    latitude, longitude = scatter(group, sensor, CALLERS_WITHIN_M, chance)
    columns = {
        "opened": np.ones(REQUESTS),
        "latitude": latitude,
        "longitude": longitude,
        "request_a": LEAST + chance.integers(0, 2**50, REQUESTS).astype(np.float64),
        "request_b": LEAST + chance.integers(0, 2**50, REQUESTS).astype(np.float64),
    }
    rows = Rows(_moments(when.from_ms, when.to_ms - when.from_ms, REQUESTS, chance), sensor, columns, 0)
    expected = _expected(city, "requests", [mine], when, ["request_surge"])
    return Part("requests", added=(Added("requests", rows),), expected=expected)


def passed(
    city: City, gate: int, outcome: PassageOutcome, times: int, from_ms: int, detector: str, *, needed: bool = True
) -> Part:
    """So many passages of one outcome at a gate, ten seconds apart."""
    time_ms = from_ms + 10_000 * np.arange(times, dtype=np.int64)
    rows = Rows(time_ms, np.full(times, gate, np.int64), {"outcome": np.full(times, float(outcome))}, 0)
    when = Span(from_ms, int(time_ms[-1]) + 10_000)
    expected = _expected(city, "gates", [gate], when, [detector])
    return Part(f"gate_{outcome.name.lower()}", added=(Added("gates", rows),), expected=expected, needed=needed)


def guessed(city: City, system: int, from_ms: int) -> Part:
    """A credential that fails six times within two minutes, and then works."""
    tries = 7
    outcome = np.full(tries, float(CredentialOutcome.FAILED))
    outcome[-1] = float(CredentialOutcome.GRANTED)
    columns = {
        "outcome": outcome,
        "medium": np.full(tries, 2.0),
        "gate": np.ones(tries),
        "person_a": np.full(tries, LEAST + 10_000.0),
        "person_b": np.full(tries, LEAST + system),
    }
    rows = Rows(from_ms + 20_000 * np.arange(tries, dtype=np.int64), np.full(tries, system, np.int64), columns, 0)
    when = Span(from_ms, from_ms + 20_000 * tries)
    expected = _expected(city, "systems", [system], when, ["brute_force"])
    return Part("access", added=(Added("systems", rows),), expected=expected)


def crowded(city: City, presence: Sequence[int], when: Span, p_m2: float, detectors: Sequence[str]) -> Part:
    """Places with so many people per m²."""
    group = city.groups["presence"]
    which = tuple(presence)
    changes = [Change("presence", which, when.from_ms, when.to_ms, How.SET, "density_p_m2", p_m2)]
    for i in which:
        people = float(np.round(p_m2 * group.traits["area_m2"][i]))
        changes.append(Change("presence", (i,), when.from_ms, when.to_ms, How.SET, "count", people))
    return Part("crowd", tuple(changes), expected=_expected(city, "presence", which, when, detectors))


def crowded_zone(city: City, zones: Sequence[int], when: Span, p_m2: float = DENSE_P_M2) -> Part:
    """Zones of cameras with so many people per m²."""
    area = city.groups["zones"].numbers["area_m2"]
    changes = tuple(
        Change("zones", (i,), when.from_ms, when.to_ms, How.SET, "people", float(np.round(p_m2 * area[i])))
        for i in zones
    )
    expected = _expected(city, "zones", zones, when, ["camera_crowd"])
    return Part("camera_crowd", changes, expected=expected, needed=False)


def pick(group_size: int, chance: np.random.Generator) -> int:
    """One of so many."""
    return int(chance.integers(0, group_size))


def where(city: City, group: str, label: str, value: str) -> tuple[int, ...]:
    """The sensors of a group with that label."""
    return tuple(i for i, told in enumerate(city.groups[group].labels[label]) if told == value)


def at(city: City, group: str, sensor: int) -> tuple[float, float]:
    """The place of a sensor."""
    found = city.groups[group]
    return float(found.north_m[sensor]), float(found.east_m[sensor])


def _moments(from_ms: int, within_ms: int, n: int, chance: np.random.Generator) -> Int64Array:
    return np.sort(from_ms + chance.integers(0, within_ms, n, dtype=np.int64))


def _expected(
    city: City,
    group: str,
    sensors: Sequence[int],
    when: Span,
    detectors: Sequence[str],
    needs_past: Sequence[str] = (),
) -> tuple[Expected, ...]:
    told = city.groups[group]
    plain = [(detector, False) for detector in detectors] + [(detector, True) for detector in needs_past]
    return tuple(
        Expected(f"{told.kind_name}.{detector}", told.ids[i], when.from_ms, when.to_ms, past)
        for detector, past in plain
        for i in sensors
    )
