"""Scenes on streets and rails. Each function: the city, the hour that it begins in, its chance; what happens."""

from __future__ import annotations

import numpy as np

from services.feeds.scenario.city import City
from services.feeds.scenario.happening import Change, Expected, How, Part
from services.feeds.scenario.ordinary.traffic import HEADWAY_S
from services.feeds.scenario.scenes.making import (
    Scene,
    Span,
    at,
    called,
    changed,
    crowded,
    jam,
    pick,
    seen,
    span,
    standstill,
    tampered,
    together,
)
from services.security.indices.camera_topics import CameraTopic
from services.security.indices.cases import EmergencyNature

GAP_MINUTES = 15
# On platforms and in trains.
CRUSH_P_M2 = 7.0
FAST_KMH = 50.0


def crowd_road_pressure(city: City, hour_ms: int, chance: np.random.Generator) -> Scene:
    """Four times as many people as usual walk by counters, and cars around them crawl."""
    counter = pick(len(city.groups["footfall"]), chance)
    north, east = at(city, "footfall", counter)
    begins = float(chance.integers(0, 15))
    people = changed(
        city,
        "crowd",
        "footfall",
        city.groups["footfall"].near(north, east, 250.0, 2),
        span(hour_ms, begins, begins + 150),
        [("count", How.TIMES, 4.0), ("count", How.ADD, 70.0)],
        ["crowding"],
    )
    roads = city.groups["streets"].near(north, east, 320.0, 3)
    return Scene(north, east, (people, jam(city, roads, span(hour_ms, begins + 25, begins + 130))))


def rail_road_pressure(city: City, hour_ms: int, chance: np.random.Generator) -> Scene:
    """No train for a quarter of an hour and more: its platform fills, and those who take a car are in a jam."""
    station = pick(len(city.streets.stations), chance)
    platforms = (2 * station, 2 * station + 1)
    north, east = at(city, "platforms", platforms[0])
    begins = float(chance.integers(0, 20))
    gap = span(hour_ms, begins, begins + GAP_MINUTES)
    late = Span(gap.to_ms, gap.to_ms + HEADWAY_S * 1000)
    after = Span(gap.to_ms, gap.later(60))
    seconds = float(GAP_MINUTES * 60 + HEADWAY_S)
    signals = [("train_gap", late), ("train_delay", late), ("train_crowded", after)]
    rail = Part(
        "rail",
        (
            Change("platforms", platforms, gap.from_ms, gap.to_ms, How.DROP),
            Change("platforms", platforms, late.from_ms, late.to_ms, How.SET, "headway_s", seconds),
            Change("platforms", platforms, late.from_ms, late.to_ms, How.SET, "delay_s", seconds - HEADWAY_S),
            Change("platforms", platforms, after.from_ms, after.to_ms, How.SET, "load_p_m2", CRUSH_P_M2),
        ),
        expected=tuple(
            Expected(f"traffic.rail_call.{name}", city.groups["platforms"].ids[i], when.from_ms, when.to_ms)
            for name, when in signals
            for i in platforms
        ),
    )
    crowd = crowded(
        city, _platform_sensors(city, north, east), span(hour_ms, begins + 8, begins + 65), 1.9, ["dense_crowd"]
    )
    roads = city.groups["streets"].near(north, east, 420.0, 3)
    return Scene(north, east, (rail, crowd, jam(city, roads, span(hour_ms, begins + 15, begins + 75))))


def road_incident_confirmed(city: City, hour_ms: int, chance: np.random.Generator) -> Scene:
    """A crash on the motorway: a queue at a station, free road behind it; a camera sees it and people call."""
    motorway, cameras = city.groups["motorway"], city.groups["cameras"]
    able = [i for i in range(1, len(motorway) - 1) if cameras.near(motorway.north_m[i], motorway.east_m[i], 400.0)]
    station = able[pick(len(able), chance)]
    north, east = at(city, "motorway", station)
    when = span(hour_ms, float(chance.integers(0, 30)), float(chance.integers(65, 80)))
    blocked = [("flow_veh_h", How.TIMES, 0.6), ("speed_kmh", How.TIMES, 0.12), ("occupancy", How.TIMES, 5.0)]
    road = changed(city, "road", "motorway", [station], when, blocked, ["incident", "congestion"])
    freed = changed(
        city,
        "downstream",
        "motorway",
        [station + 1],
        when,
        [("occupancy", How.TIMES, 0.55), ("flow_veh_h", How.TIMES, 0.6)],
        [],
    )
    camera = seen(
        city,
        cameras.near(north, east, 400.0, 1),
        Span(when.later(2), when.later(30)),
        CameraTopic.OBJECT_ABANDONED,
        "object_abandoned",
    )
    calls = called(city, north, east, "police", EmergencyNature.TRAFFIC_ACCIDENT, when.later(1), chance)
    road = Part(road.name, road.changes + freed.changes, expected=road.expected, touched=(motorway.ids[station + 1],))
    return Scene(north, east, (road, together("confirmation", camera, calls)))


def street_flooding(city: City, hour_ms: int, chance: np.random.Generator) -> Scene:
    """A cloudburst fills an underpass: nobody sees far, the camera there fails, cars stand and people call."""
    stations = city.groups["weather"]
    station = pick(len(stations), chance)
    north, east = at(city, "weather", station)
    when = span(hour_ms, float(chance.integers(0, 20)), 90)
    rain = changed(
        city,
        "rain",
        "weather",
        [station],
        when,
        [("rain_mm", How.SET, 1.2), ("visibility_m", How.SET, 350.0), ("humidity", How.SET, 0.98)],
        ["low_visibility"],
    )
    # Where the limit is 50 or more, traffic moves fast enough for its stop to be a sudden one.
    streets = city.groups["streets"]
    fast = [i for i in streets.near(north, east, 600.0) if streets.numbers["free_flow_speed_kmh"][i] >= FAST_KMH][:3]
    cameras = city.groups["cameras"].near(*at(city, "streets", fast[0]), 450.0, 1)
    blind = tampered(city, cameras, Span(when.later(15), when.later(25)), CameraTopic.SIGNAL_LOSS)
    return Scene(
        north,
        east,
        (
            together("water", rain, blind),
            standstill(city, fast, Span(when.later(10), when.to_ms)),
            called(city, north, east, "fire", EmergencyNature.RESCUE, when.later(12), chance),
        ),
    )


def scenic_area_full(city: City, hour_ms: int, chance: np.random.Generator) -> Scene:
    """A scenic area holds far more than it may; its garage is full and trains to it are crushed."""
    scenic = [i for i, place in enumerate(city.groups["presence"].labels["place"]) if place == "scenic"]
    entrance = scenic[pick(len(scenic), chance)]
    north, east = at(city, "presence", entrance)
    when = span(hour_ms, float(chance.integers(0, 15)), 150)
    garages = city.groups["garages"]
    near = garages.near(north, east, 500.0, 1)
    full = Part(
        "parking",
        tuple(
            Change(
                "garages", (i,), when.from_ms, when.to_ms, How.SET, "vehicles", float(garages.traits["spaces"][i]) - 2.0
            )
            for i in near
        ),
        expected=tuple(
            Expected("traffic.parking.unusual_vehicles_mean", garages.ids[i], when.from_ms, when.to_ms, True)
            for i in near
        ),
        needed=False,
    )
    platforms = city.groups["platforms"].near(north, east, 500.0, 2)
    trains = changed(
        city, "rail", "platforms", platforms, when, [("load_p_m2", How.SET, CRUSH_P_M2)], ["train_crowded"]
    )
    visitors = crowded(city, [entrance], when, 0.7, ["over_capacity"])
    return Scene(north, east, (visitors, together("access", trains, full)))


def _platform_sensors(city: City, north: float, east: float) -> tuple[int, ...]:
    places = city.groups["presence"].labels["place"]
    return tuple(i for i in city.groups["presence"].near(north, east, 60.0) if places[i] == "platform")[:1]
