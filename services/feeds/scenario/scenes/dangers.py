"""Scenes of danger: a release of pollutants, bad air for days, a fire, a break-in, a cabinet without power."""

from __future__ import annotations

import numpy as np

from services.community.detectors import PassageOutcome
from services.core.circular import angle_between_deg
from services.core.kind import HOUR_MS
from services.environment.indices.emission import EmissionState
from services.feeds.scenario.city import City
from services.feeds.scenario.happening import Change, Expected, How, Part
from services.feeds.scenario.scenes.making import (
    Scene,
    Span,
    asked,
    at,
    called,
    changed,
    guessed,
    passed,
    pick,
    span,
    tampered,
    together,
    where,
)
from services.security.indices.camera_topics import CameraTopic
from services.security.indices.cases import EmergencyNature

# A plume is measured within so far downwind.
NEAREST_M, FARTHEST_M = 300.0, 3_000.0
DENIED, FORCED = 9, 3
# Haze thickens by so much of PM2.5 an hour, until the wind comes: slower than what is taken for the plume of a source
# (37.5 µg/m³ in three hours), and 151 µg/m³ in the mean of 24 hours, an index of 201, before it ends.
THICKENS_UG_M3, THICKENS_HOURS = 8.0, 32
# Of coarse particles there is more, but not in proportion to what is usual.
COARSE_SHARE = 1.3
# From that hour on there may be an alert; it is kept until the mean of 24 hours has been below an index of 151 for 36.
FIRST_ALERT_HOURS, ALERT_KEPT_HOURS = 24, 56


def heavy_pollution(city: City, hour_ms: int, chance: np.random.Generator) -> Scene:
    """The air stands still: at two neighbouring stations it gets worse for a day and a half, until wind clears it.

    One station alone may stand beside a source of its own: each of them is needed.
    """
    air = city.groups["air"]
    first = pick(len(air), chance)
    second = air.near(*at(city, "air", first), np.inf, 2)[1]
    north, east = (float(np.mean(places[[first, second]])) for places in (air.north_m, air.east_m))
    return Scene(
        north, east, (_haze(city, "first_station", first, hour_ms), _haze(city, "second_station", second, hour_ms))
    )


def _haze(city: City, name: str, station: int, hour_ms: int) -> Part:
    """What one station measures of it. Only the alert is expected: hours of polluted air come long before."""
    end_ms = hour_ms + THICKENS_HOURS * HOUR_MS
    changes = tuple(
        Change("air", (station,), begin_ms, begin_ms + HOUR_MS, How.ADD, column, hours * an_hour)
        for column, an_hour in (("pm2_5_ug_m3", THICKENS_UG_M3), ("pm10_ug_m3", COARSE_SHARE * THICKENS_UG_M3))
        for hours, begin_ms in enumerate(range(hour_ms, end_ms, HOUR_MS), 1)
    )
    alert = Expected(
        "environment.air_quality.heavy_pollution",
        city.groups["air"].ids[station],
        hour_ms + FIRST_ALERT_HOURS * HOUR_MS,
        end_ms + ALERT_KEPT_HOURS * HOUR_MS,
    )
    return Part(name, changes, expected=(alert,))


def hazardous_release(city: City, hour_ms: int, chance: np.random.Generator) -> Scene:
    """A plant lets out several times its limit with its filters off; who lives downwind breathes and smells it."""
    stack, station = _downwind_pair(city, hour_ms, chance)
    north, east = at(city, "air", station)
    when = span(hour_ms, 0, 120)
    emission = changed(
        city,
        "emission",
        "stacks",
        [stack],
        when,
        [("so2_mg_m3", How.TIMES, 5.0), ("state", How.SET, float(EmissionState.RUNNING_UNABATED))],
        ["emission_exceeded", "abatement_off"],
    )
    plume = [("so2_ug_m3", How.ADD, 160.0), ("pm2_5_ug_m3", How.ADD, 100.0), ("pm10_ug_m3", How.ADD, 150.0)]
    air = changed(city, "air", "air", [station], when, plume, ["pollution_rise"])
    requests = asked(city, north, east, "odour", span(hour_ms, 20, 90), chance)
    return Scene(*at(city, "stacks", stack), (emission, air, requests))


def gas_or_fire(city: City, hour_ms: int, chance: np.random.Generator) -> Scene:
    """Smoke over a building: people call, its camera sees nothing any more, and everybody leaves by every gate."""
    building = pick(len(city.groups["systems"]), chance)
    north, east = at(city, "systems", building)
    begins = float(chance.integers(0, 30))
    gates = where(city, "gates", "building", f"building-{building:03d}")
    leaving = changed(
        city,
        "evacuation",
        "gates",
        gates,
        span(hour_ms, begins + 5, begins + 40),
        [("count_out", How.TIMES, 6.0), ("count_out", How.ADD, 60.0), ("count_in", How.SET, 0.0)],
        [],
        needs_past=["unusual_count_out_sum"],
    )
    cameras = city.groups["cameras"].near(north, east, 120.0, 2)
    blurred = span(hour_ms, begins + 3, begins + 15)
    smoke = tampered(city, cameras, blurred, CameraTopic.IMAGE_TOO_BLURRY, needed=False)
    forced_ms = span(hour_ms, begins + 6, 0).from_ms
    doors = passed(city, gates[0], PassageOutcome.FORCED, FORCED, forced_ms, "forced_gate", needed=False)
    calls = called(city, north, east, "fire", EmergencyNature.FIRE, span(hour_ms, begins, 0).from_ms, chance)
    return Scene(north, east, (calls, smoke, doors, leaving))


def tampered_entry(city: City, hour_ms: int, chance: np.random.Generator) -> Scene:
    """The camera of a building goes dark, and minutes later a code is guessed and a gate forced."""
    building = pick(len(city.groups["systems"]), chance)
    north, east = at(city, "systems", building)
    begins = float(chance.integers(0, 50))
    gate = where(city, "gates", "building", f"building-{building:03d}")[pick(3, chance)]
    camera = tampered(
        city,
        city.groups["cameras"].near(north, east, 120.0, 1),
        span(hour_ms, begins, begins + 6),
        CameraTopic.IMAGE_TOO_DARK,
    )
    access = guessed(city, building, span(hour_ms, begins + 4, 0).from_ms)
    denied = passed(
        city, gate, PassageOutcome.DENIED, DENIED, span(hour_ms, begins + 3, 0).from_ms, "access_denied", needed=False
    )
    forced = passed(city, gate, PassageOutcome.FORCED, 1, span(hour_ms, begins + 7, 0).from_ms, "forced_gate")
    return Scene(north, east, (camera, together("access", access, denied, forced)))


def common_cause_outage(city: City, hour_ms: int, chance: np.random.Generator) -> Scene:
    """A power cabinet fails: every camera and detector that hangs on it is silent from the same second on."""
    cabinets = sorted(set(city.groups["cameras"].labels["cabinet"]))
    members = {cabinet: where(city, "cameras", "cabinet", cabinet) for cabinet in cabinets}
    able = [cabinet for cabinet, cameras in members.items() if len(cameras) >= 3]
    cabinet = able[pick(len(able), chance)]
    cameras = members[cabinet]
    north = float(np.mean(city.groups["cameras"].north_m[list(cameras)]))
    east = float(np.mean(city.groups["cameras"].east_m[list(cameras)]))
    # A minute and a half after a border of five minutes: less than half of these five minutes is told of the streets.
    begins = 5.0 * chance.integers(0, 8) + 1.5
    when = span(hour_ms, begins, begins + 33.0)
    streets, meters = (where(city, group, "cabinet", cabinet) for group in ("streets", "noise"))
    power = _silenced(city, "cameras", cameras, when, "camera_offline")
    roads = _silenced(city, "streets", streets, when, "detector_silent", "silent")
    noise = _silenced(city, "noise", meters, when)
    return Scene(
        north,
        east,
        (together("power", power, roads, noise),),
        almost=(_silenced(city, "cameras", cameras[:1], when, "camera_offline"),),
    )


def _silenced(city: City, group: str, sensors: tuple[int, ...], when: Span, *detectors: str) -> Part:
    told = city.groups[group]
    ids = tuple(told.ids[i] for i in sensors)
    expected = tuple(Expected(f"{told.kind_name}.{d}", i, when.from_ms, when.to_ms) for d in detectors for i in ids)
    change = Change(group, sensors, when.from_ms, when.to_ms, How.DROP)
    return Part("power", (change,) if sensors else (), expected=expected, touched=ids)


def _downwind_pair(city: City, hour_ms: int, chance: np.random.Generator) -> tuple[int, int]:
    """A stack, and a station of air that lies about where the wind blows from there."""
    stacks, stations = city.groups["stacks"], city.groups["air"]
    north = stations.north_m[None, :] - stacks.north_m[:, None]
    east = stations.east_m[None, :] - stacks.east_m[:, None]
    blows_to = np.mod(city.wind(np.array([hour_ms], np.int64))[0][0] + 180.0, 360.0)
    off = angle_between_deg(np.mod(np.degrees(np.arctan2(east, north)), 360.0), blows_to)
    distance = np.hypot(north, east)
    fits = np.where((distance >= NEAREST_M) & (distance <= FARTHEST_M), off, np.inf)
    best = np.argsort(fits, axis=None, kind="stable")[: max(3, len(stacks) // 2)]
    stack, station = np.unravel_index(best[pick(len(best), chance)], fits.shape)
    return int(stack), int(station)
