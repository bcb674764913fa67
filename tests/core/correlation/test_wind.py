"""Links down the wind and up it: in any direction, over north, over the antimeridian and beside the poles."""

from __future__ import annotations

import math
from typing import Any

import pytest

from services.core.correlation.bond import Wind
from services.core.correlation.incident import IncidentState
from services.core.correlation.rule import Rule
from services.core.signals import Evidence, Signal
from services.correlation.rule_language import read_rule
from tests.core.correlation.city import HOUR, NOON, Reader, both, congestion, crowding

EARTH_RADIUS_M = 6_371_008.8
# None of them lies on the border of a sector below.
BEARINGS = [2.5 + 5.0 * step for step in range(72)]
WINDS = (0.0, 10.0, 45.0, 90.0, 180.0, 225.0, 315.0, 350.0, 359.5, 360.0)
CENTRES = {
    "a street": (-36.848, 174.765),
    "the equator": (0.0, 0.0),
    "the antimeridian": (-17.0, 179.999),
    "near the north pole": (89.9, 12.0),
    "near the south pole": (-89.95, -80.0),
}


def rule_of(lies: str, sector_deg: float, between: tuple[str, str] = ("crowd", "road"), **more: str) -> Rule:
    """People and a jam, the second of `between` down or up the wind of the first."""
    wind = {"measure": "wind_from_deg", "lies": lies, "sector_deg": sector_deg, **more}
    document: dict[str, Any] = {
        "rule": "carried",
        "version": 1,
        "about": "The wind carries it.",
        "title": "Something carried",
        "severity": "minor",
        "signals": [
            {"name": "crowd", "domain": "community", "kind": "people_count", "type": "crowding"},
            {"name": "road", "domain": "traffic", "kind": "road_flow", "type": "congestion"},
        ],
        "radius_m": 900,
        "within_s": 3600,
        "settled_after_s": 28_800,
        "links": [{"between": list(between), "wind": wind}],
    }
    return read_rule(document)


def wind(from_deg: float) -> dict[str, Any]:
    return {"evidence": (Evidence("wind_from_deg", from_deg, math.nan),)}


def at(place: tuple[float, float]) -> dict[str, Any]:
    return {"latitude": place[0], "longitude": place[1]}


def gone(place: tuple[float, float], bearing_deg: float, metres: float = 800.0) -> tuple[float, float]:
    """Where one is who has gone so far, having left in that direction, in degrees."""
    north, east, bearing = math.radians(place[0]), math.radians(place[1]), math.radians(bearing_deg)
    angle = metres / EARTH_RADIUS_M
    sine = math.sin(north) * math.cos(angle) + math.cos(north) * math.sin(angle) * math.cos(bearing)
    across = math.sin(bearing) * math.sin(angle) * math.cos(north)
    turn = math.atan2(across, math.cos(angle) - math.sin(north) * sine)
    return math.degrees(math.asin(sine)), (math.degrees(east + turn) + 180.0) % 360.0 - 180.0


def linked(rule: Rule, *signals: Signal) -> set[tuple[str, str]]:
    """Entities of the signals that are linked, in the order of the rule's names."""
    city = Reader(rule)
    city.read(*signals, *both(NOON + 2 * HOUR))
    entities = {signal.id: signal.entity_id for signal in signals}
    links = (link for i in city.incidents.values() if i.state <= IncidentState.RESOLVED for link in i.links)
    return {(entities[link.first_signal_id], entities[link.second_signal_id]) for link in links}


def expected(wind_from_deg: float, lies: str, sector_deg: float) -> set[float]:
    """Bearings so near to where the wind goes (down), or comes from (up); by a dot product, which knows no 360."""
    sign = 1.0 if lies == "up" else -1.0
    x, y = sign * math.cos(math.radians(wind_from_deg)), sign * math.sin(math.radians(wind_from_deg))
    least = math.cos(math.radians(sector_deg))
    return {b for b in BEARINGS if x * math.cos(math.radians(b)) + y * math.sin(math.radians(b)) >= least}


@pytest.mark.parametrize("lies", ["down", "up"])
@pytest.mark.parametrize("centre", CENTRES.values(), ids=CENTRES)
def test_all_round_what_lies_in_the_sector_is_linked_and_nothing_else(centre: tuple[float, float], lies: str):
    around = [congestion(f"{bearing}", **at(gone(centre, bearing))) for bearing in BEARINGS]
    for wind_from_deg in WINDS:
        for sector_deg in (5.0, 45.0, 100.0, 180.0):
            source = crowding("source", **at(centre), **wind(wind_from_deg))
            found = {float(road) for _, road in linked(rule_of(lies, sector_deg), source, *around)}
            assert found == expected(wind_from_deg, lies, sector_deg), (wind_from_deg, sector_deg)
            assert len(found) in (2, 18, 40, 72)


@pytest.mark.parametrize("lies", ["down", "up"])
def test_it_is_the_bearing_from_the_name_that_the_link_names_first(lies: str):
    around = [congestion(f"{bearing}", **at(gone(CENTRES["a street"], bearing))) for bearing in BEARINGS]
    source = crowding("source", **at(CENTRES["a street"]), **wind(350.0))
    found = {float(road) for _, road in linked(rule_of(lies, 45.0, ("road", "crowd")), source, *around)}
    assert found == expected(350.0, {"down": "up", "up": "down"}[lies], 45.0)


def test_the_wind_of_the_first_counts_else_that_of_the_second_and_without_one_nobody_knows():
    here, north = CENTRES["a street"], gone(CENTRES["a street"], 0.0)
    south_wind, north_wind = wind(170.0), wind(10.0)
    rule = rule_of("down", 20.0)
    pair = {("source", "goal")}
    for first, second, found in (
        (south_wind, {}, pair),
        ({}, south_wind, pair),
        (south_wind, north_wind, pair),
        (north_wind, south_wind, set()),
        ({}, {}, set()),
        (wind(math.nan), {}, set()),
        (wind(math.nan), south_wind, pair),
    ):
        signals = crowding("source", **at(here), **first), congestion("goal", **at(north), **second)
        assert linked(rule, *signals) == found, (first, second)
    same_place = crowding("source", **at(here), **south_wind), congestion("goal", **at(here))
    assert linked(rule_of("down", 180.0), *same_place) == set()


def test_where_nobody_knows_the_rule_says_whether_there_is_a_link():
    here, north = CENTRES["a street"], gone(CENTRES["a street"], 0.0)
    pair = {("source", "goal")}
    for wind_of_source, place, known in (
        ({}, north, None),
        (wind(math.nan), north, None),
        (wind(170.0), here, None),
        (wind(170.0), north, True),
        (wind(10.0), north, False),
    ):
        signals = crowding("source", **at(here), **wind_of_source), congestion("goal", **at(place))
        for unknown in (True, False):
            rule = rule_of("down", 20.0, unknown="link" if unknown else "no_link")
            joined = unknown if known is None else known
            assert linked(rule, *signals) == (pair if joined else set()), (wind_of_source, place, unknown)


def test_a_rule_that_does_not_say_so_has_the_fingerprint_of_before():
    assert repr(Wind("wind_from_deg")) == "Wind(measure='wind_from_deg', down=True, sector_deg=45.0)"
    assert repr(Wind("wind_from_deg", unknown_joins=True)) != repr(Wind("wind_from_deg"))
