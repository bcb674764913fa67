"""Planned events: a match, a road work, the maintenance of a sensor. What they explain is told to nobody.

An incident is planned where every signal of it lies within some event in place and time, and of a kind that the event
explains. One signal that nobody expected makes it an incident like any other.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from services.core.correlation.incident import Incident
from services.core.geometry import great_circle_m
from services.core.signals import Signal


@dataclass(frozen=True)
class PlannedEvent:
    """Something that people know beforehand."""

    id: str
    city: str
    title: str
    start_ms: int  # inclusive
    end_ms: int  # exclusive
    latitude: float
    longitude: float
    radius_m: float
    kinds: frozenset[str] = frozenset()  # "community" or "community.people_count"; none: all kinds
    cancelled: bool = False
    actor: str = ""  # who told of this version; empty: nobody knows any more
    told_ms: int = 0  # when this version was accepted, by wall clock; 0: the same

    def explains(self, signal: Signal) -> bool:
        """Whether a signal of this kind and time belongs to it; its place is not looked at."""
        if self.kinds and not {signal.domain, f"{signal.domain}.{signal.kind}"} & self.kinds:
            return False
        return self.start_ms < signal.end_ms and signal.start_ms < self.end_ms


class PlannedEvents:
    """The events that are known, each in its newest version."""

    def __init__(self, events: Iterable[PlannedEvent] = ()) -> None:
        self.newest: PlannedEvent | None = None  # the version that was put last
        self._events: dict[str, dict[str, PlannedEvent]] = {}
        for event in events:
            self.put(event)

    def put(self, event: PlannedEvent) -> None:
        """Takes a new version of an event; a cancelled one explains nothing any more."""
        self.newest = event
        of_city = self._events.setdefault(event.city, {})
        if event.cancelled:
            of_city.pop(event.id, None)
        else:
            of_city[event.id] = event

    def find(self, city: str, event_id: str) -> PlannedEvent | None:
        """The event of an id, if it is known and not cancelled."""
        return self._events.get(city, {}).get(event_id)

    def events(self) -> list[PlannedEvent]:
        """All of them, by city and id."""
        return [of_city[i] for _, of_city in sorted(self._events.items()) for i in sorted(of_city)]

    def forget(self, before_ms: int) -> None:
        """Drops the events that ended before a time."""
        for of_city in self._events.values():
            for event in [e for e in of_city.values() if e.end_ms <= before_ms]:
                del of_city[event.id]

    def covering(self, incident: Incident) -> str:
        """Id of an event that explains the incident, together with others if need be; empty: it is not planned.

        Of several the one that explains most of its signals, the first by id among equals.
        """
        events = self._events.get(incident.city)
        if not events or not incident.signals:
            return ""
        places = np.array([(s.latitude, s.longitude) for s in incident.signals])
        explained = np.zeros(len(places), bool)
        found: list[tuple[int, str]] = []
        for event in events.values():
            fits = np.array([event.explains(s) for s in incident.signals])
            if not fits.any():
                continue
            fits &= great_circle_m(event.latitude, event.longitude, *places.T) <= event.radius_m
            explained |= fits
            found.append((-int(fits.sum()), event.id))
        return min(found)[1] if explained.all() else ""
