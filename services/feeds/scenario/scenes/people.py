"""Scenes among people: noise before a crowd, a gathering beyond its limit."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from services.feeds.scenario.city import City
from services.feeds.scenario.happening import How, Part
from services.feeds.scenario.scenes.making import (
    DENSE_P_M2,
    Scene,
    Span,
    at,
    changed,
    crowded,
    crowded_zone,
    pick,
    span,
    together,
)

LOUD_DB = 22.0


def noise_then_crowd(city: City, hour_ms: int, chance: np.random.Generator) -> Scene:
    """It is far louder than usual at a square for an hour, and then it fills until walking is hindered."""
    square = pick(len(city.groups["zones"]), chance)
    north, east = at(city, "zones", square)
    return Scene(north, east, square_fills(city, square, hour_ms))


def square_fills(city: City, square: int, hour_ms: int) -> tuple[Part, ...]:
    """Noise for an hour, then a crowd for most of the next one, as meters, counters and a camera's zone see it."""
    north, east = at(city, "zones", square)
    noise = changed(
        city,
        "noise",
        "noise",
        city.groups["noise"].near(north, east, 60.0, 1),
        span(hour_ms, 0, 70),
        [("laeq_db", How.ADD, LOUD_DB), ("lamax_db", How.ADD, LOUD_DB)],
        [],
        needs_past=["unusual_laeq_db_p50"],
    )
    filling = span(hour_ms, 61, 115)
    sensors = of_place(city, "square", north, east)
    crowd = crowded(city, sensors, filling, DENSE_P_M2, ["dense_crowd"])
    zone = crowded_zone(city, [square], filling)
    return noise, together("crowd", crowd, zone)


def gathering_limit(city: City, hour_ms: int, chance: np.random.Generator) -> Scene:
    """Far more people in a venue than the limit allows, while its gates let in more and more.

    The gates are needed: without them there is nobody whose list of contacts could be handed over.
    """
    venues = [i for i, place in enumerate(city.groups["presence"].labels["place"]) if place == "venue"]
    venue = venues[pick(len(venues), chance)]
    north, east = at(city, "presence", venue)
    when = span(hour_ms, float(chance.integers(0, 20)), 120)
    gates = city.groups["gates"].near(north, east, 80.0, 3)
    streaming = changed(
        city,
        "gates",
        "gates",
        gates,
        Span(when.from_ms, when.later(45)),
        [("count_in", How.TIMES, 5.0), ("count_in", How.ADD, 20.0)],
        [],
        needs_past=["unusual_count_in_sum"],
    )
    gathering = crowded(city, [venue], when, 1.3, ["over_capacity", "dense_crowd"])
    # Just below what it may hold.
    full = replace(crowded(city, [venue], when, 0.47, []), touched=(city.groups["presence"].ids[venue],))
    return Scene(north, east, (gathering, streaming), almost=(full, streaming))


def of_place(city: City, place: str, north: float, east: float) -> Sequence[int]:
    """The sensor of that kind of place nearest to a point."""
    presence = city.groups["presence"]
    return [i for i in presence.near(north, east, 100.0) if presence.labels["place"][i] == place][:1]
