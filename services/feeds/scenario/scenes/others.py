"""What is no incident and may look like one: planned events, weather, rush hours, fireworks, and faults of sensors."""

from __future__ import annotations

import numpy as np

from services.feeds.scenario.city import City
from services.feeds.scenario.happening import Change, How, Part, What
from services.feeds.scenario.scenes.making import Scene, at, changed, pick, span
from services.feeds.scenario.scenes.people import square_fills
from services.traffic.indices.punctuality import CallState

MAIN_HOURS = 3


def concert(city: City, hour_ms: int, chance: np.random.Generator) -> Scene:
    """Announced weeks ago: loud, and then a crowd."""
    square = pick(len(city.groups["zones"]), chance)
    return Scene(*at(city, "zones", square), square_fills(city, square, hour_ms))


def fog(city: City, hour_ms: int, chance: np.random.Generator) -> Scene:
    """Nobody sees far in all of the city, and nothing is flooded."""
    stations = range(len(city.groups["weather"]))
    how = [("visibility_m", How.SET, 300.0), ("humidity", How.SET, 1.0)]
    part = changed(city, "fog", "weather", stations, span(hour_ms, 0, 60 * MAIN_HOURS), how, ["low_visibility"])
    return Scene(0.0, 0.0, (part,))


def fireworks(city: City, hour_ms: int, chance: np.random.Generator) -> Scene:
    """It is loud everywhere for an hour, and nobody gathers."""
    meters = range(len(city.groups["noise"]))
    how = [("laeq_db", How.ADD, 18.0), ("lamax_db", How.ADD, 22.0)]
    past = ["unusual_laeq_db_p50"]
    return Scene(0.0, 0.0, (changed(city, "noise", "noise", meters, span(hour_ms, 0, 60), how, [], needs_past=past),))


def strike(city: City, hour_ms: int, chance: np.random.Generator) -> Scene:
    """No train on one line: every call is cancelled, and said to be, before anybody comes to the platform."""
    lines = sorted(set(city.groups["platforms"].labels["line"]))
    line = lines[pick(len(lines), chance)]
    platforms = [i for i, told in enumerate(city.groups["platforms"].labels["line"]) if told == line]
    when = span(hour_ms, 0, 60 * MAIN_HOURS)
    how = [(column, How.SET, float("nan")) for column in ("headway_s", "delay_s", "load_p_m2")]
    how.append(("state", How.SET, float(CallState.CANCELLED)))
    return Scene(0.0, 0.0, (changed(city, "rail", "platforms", platforms, when, how, ["calls_lost"]),))


def rush_hours(city: City, from_ms: int, to_ms: int) -> Scene:
    """The streets that are full at every peak of a working day: real congestion, and no incident by itself."""
    streets = city.groups["streets"]
    full = np.flatnonzero(streets.traits["bottleneck"]).tolist()
    nothing = Change("streets", tuple(full), from_ms, to_ms, How.ADD, "flow_veh_h", 0.0)
    return Scene(0.0, 0.0, (Part("road", (nothing,), touched=tuple(streets.ids[i] for i in full)),))


def stuck_detector(city: City, hour_ms: int, chance: np.random.Generator) -> Scene:
    """A street whose detector tells the same numbers for two hours."""
    street = pick(len(city.groups["streets"]), chance)
    how = [("flow_veh_h", How.SET, 620.0), ("speed_kmh", How.SET, 41.0), ("occupancy", How.SET, 0.05)]
    part = changed(city, "fault", "streets", [street], span(hour_ms, 0, 120), how, ["detector_stuck"])
    return Scene(*at(city, "streets", street), (part,))


def impossible_detector(city: City, hour_ms: int, chance: np.random.Generator) -> Scene:
    """A street whose loop is always covered, while cars drive fast over it."""
    street = pick(len(city.groups["streets"]), chance)
    how = [("occupancy", How.SET, 0.95), ("flow_veh_h", How.ADD, 300.0)]
    part = changed(city, "fault", "streets", [street], span(hour_ms, 0, 90), how, ["detector_impossible"])
    return Scene(*at(city, "streets", street), (part,))


def dead_camera(city: City, hour_ms: int, chance: np.random.Generator) -> Scene:
    """One camera that is silent for two hours."""
    camera = pick(len(city.groups["cameras"]), chance)
    part = changed(city, "fault", "cameras", [camera], span(hour_ms, 0, 120), [("", How.DROP, 0.0)], ["camera_offline"])
    return Scene(*at(city, "cameras", camera), (part,))


def miscounting_garage(city: City, hour_ms: int, chance: np.random.Generator) -> Scene:
    """A garage that counts more vehicles than it has spaces."""
    garage = pick(len(city.groups["garages"]), chance)
    spaces = float(city.groups["garages"].traits["spaces"][garage])
    how = [("vehicles", How.SET, spaces + 40.0)]
    part = changed(city, "fault", "garages", [garage], span(hour_ms, 0, 60), how, ["parking_impossible"])
    return Scene(*at(city, "garages", garage), (part,))


def flat_monitoring(city: City, hour_ms: int, chance: np.random.Generator) -> Scene:
    """A stack whose monitoring tells a flat line for six hours."""
    stack = pick(len(city.groups["stacks"]), chance)
    how = [("dust_mg_m3", How.SET, 8.0)]
    part = changed(city, "fault", "stacks", [stack], span(hour_ms, 0, 360), how, ["monitoring_flat"])
    return Scene(*at(city, "stacks", stack), (part,))


# What may happen besides incidents, how often a week, and from which hour of the day to which.
OTHERS = (
    (What.PLANNED, concert, 1, (17, 21)),
    (What.DECOY, fog, 1, (2, 5)),
    (What.DECOY, fireworks, 1, (21, 22)),
    (What.DECOY, strike, 1, (8, 15)),
    (What.FAULT, stuck_detector, 3, (8, 18)),
    (What.FAULT, impossible_detector, 3, (8, 18)),
    (What.FAULT, dead_camera, 3, (1, 20)),
    (What.FAULT, miscounting_garage, 2, (8, 18)),
    (What.FAULT, flat_monitoring, 1, (4, 14)),
)
