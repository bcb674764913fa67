"""What a city knows beforehand of a scenario: its planned events, as who organises them announces them."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from services.core.correlation.planned import PlannedEvent
from services.core.kind import HOUR_MS
from services.feeds.scenario.city import City
from services.feeds.scenario.group import degrees
from services.feeds.scenario.happening import What
from services.feeds.scenario.script import Script

# People come before it begins, and leave when it is over.
BEFORE_MS = AFTER_MS = HOUR_MS
# Who is there fills the square and the streets around it.
RADIUS_M = 500.0


def planned_events(city: City, script: Script) -> Iterator[PlannedEvent]:
    """All that is planned, by its beginning."""
    for happening in script.happenings:
        if happening.what is not What.PLANNED:
            continue
        latitude, longitude = degrees(np.array(happening.north_m), np.array(happening.east_m))
        yield PlannedEvent(
            id=happening.id.replace("_", "-"),
            city=city.name,
            title=happening.name.replace("_", " ").capitalize(),
            start_ms=happening.from_ms - BEFORE_MS,
            end_ms=happening.to_ms + AFTER_MS,
            latitude=round(float(latitude), 6),
            longitude=round(float(longitude), 6),
            radius_m=RADIUS_M,
        )
