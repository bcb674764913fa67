"""A river between two cities, for the tests of the exchange: who sees what where."""

from __future__ import annotations

import random
import uuid
from dataclasses import replace
from typing import Any

import h3.api.basic_int as h3

from services.core.correlation.incident import IncidentState
from services.core.exchange import RESOLUTION, Border, Facts, Report
from services.core.geometry import cell_of
from services.core.signals import Severity
from tests.core.correlation.city import HOUR, MINUTE, NOON, crowding

WEST, EAST, SOUTH = "westbank", "eastbank", "southbank"
PLACE = (50.0, 10.0)
MIDDLE = cell_of(*PLACE, RESOLUTION)
NEAR = tuple(sorted(h3.grid_disk(MIDDLE, 3)))
FAR = next(iter(h3.grid_ring(MIDDLE, 6)))
BORDER = Border(NEAR)
RULES = ("crowd_road_pressure", "noise_then_crowd", "street_flooding")


def report(city: str = WEST, name: str = "a", revision: int = 1, **changes: Any) -> Report:
    """Half an hour of a crowd on the bridge."""
    made = Report(
        city=city,
        incident_id=str(uuid.uuid5(uuid.NAMESPACE_DNS, f"{city}/{name}")),
        revision=revision,
        rule="crowd_road_pressure",
        state=IncidentState.OPEN,
        severity=Severity.SEVERE,
        start_ms=NOON,
        end_ms=NOON + 30 * MINUTE,
        cells=(MIDDLE,),
        signals=(("community", 1), ("traffic", 2)),
    )
    return replace(made, **changes)


def facts(**changes: Any) -> Facts:
    """The same as its own city knows it."""
    latitude, longitude = PLACE
    crowd = replace(crowding("bridge"), latitude=latitude, longitude=longitude, h3_cell=cell_of(*PLACE))
    made = Facts(
        id=report().incident_id,
        city=WEST,
        rule="crowd_road_pressure",
        revision=1,
        state=IncidentState.OPEN,
        severity=Severity.SEVERE,
        start_ms=NOON,
        end_ms=NOON + 30 * MINUTE,
        latitude=latitude,
        longitude=longitude,
        signals=(crowd,),
    )
    return replace(made, **changes)


def some_reports(seed: int, incidents: int = 18, cities: tuple[str, ...] = (WEST, EAST)) -> list[Report]:
    """Several versions each of incidents that meet, miss, grow, move, are over, or go away, in no order."""
    chance = random.Random(seed)
    states = [IncidentState.OPEN] * 4 + [IncidentState.RESOLVED] * 2 + [IncidentState.RETRACTED, IncidentState.MERGED]
    found: list[Report] = []
    for number in range(incidents):
        city, rule = chance.choice(cities), chance.choice(RULES)
        start_ms = NOON + 11 * HOUR + chance.randrange(0, 150) * MINUTE  # around midnight
        for revision in range(1, chance.randrange(2, 5)):
            state = chance.choice(states)
            cells = tuple(sorted(chance.sample(NEAR, chance.randrange(0, 4))))
            found.append(
                report(
                    city,
                    str(number),
                    revision,
                    rule=rule,
                    state=state,
                    severity=chance.choice(list(Severity)),
                    start_ms=start_ms,
                    end_ms=start_ms + chance.randrange(1, 60) * MINUTE,
                    cells=() if state in (IncidentState.RETRACTED, IncidentState.MERGED) else cells,
                )
            )
    chance.shuffle(found)
    return found
