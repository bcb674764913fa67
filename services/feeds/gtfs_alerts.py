"""Reads the alerts of GTFS-Realtime: which stand at a moment, of which stops, lines, networks and trips, and how long.

An alert names what it is about by selectors: of one all fields hold together, of several any (reference of
`EntitySelector`). The narrowest field decides what is observed: a stop, else a trip, else a line, else a network.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from google.transit import gtfs_realtime_pb2 as gtfs

from services.core.pseudonym import numbers_of
from services.feeds.gtfs import Timetable, entity_id_of
from services.feeds.gtfs_realtime import check_whole
from services.traffic.domain import ALERT_WINDOW_MS
from services.traffic.indices.service_alert import AlertCause, AlertEffect, AlertLevel, AlertScope
from urban.common.v1.entity_pb2 import Entity
from urban.common.v1.frame_pb2 import FrameHeader
from urban.common.v1.geo_pb2 import Position
from urban.traffic.v1.service_alert_pb2 import ServiceAlertFrame

NOT_TOLD_S = float("nan")
NO_PLACE = "it is no stop, trip, line or operator"


class Period(NamedTuple):
    """A time in which an alert stands, [from, until) in s since 1970; NaN: it has no such end."""

    from_s: float
    until_s: float

    def holds(self, time_s: float) -> bool:
        return not (time_s < self.from_s or time_s >= self.until_s)


@dataclass(frozen=True)
class Place:
    """What an alert is about, as an entity: a stop (of one line, where the alert says so), line, network or trip."""

    scope: AlertScope
    name: str  # of the stop, line, operator or trip in the timetable
    line: str = ""  # empty: none is told

    @property
    def entity_id(self) -> str:
        of_line = (self.line,) if self.scope is AlertScope.STOP and self.line else ()
        return entity_id_of(self.scope.name.lower(), self.name, *of_line)


@dataclass(frozen=True)
class Alert:
    """What an operator tells passengers, in its own words and those of GTFS-Realtime."""

    id: str
    cause: str  # MEDICAL_EMERGENCY
    effect: str  # SIGNIFICANT_DELAYS
    level: str  # WARNING; empty: not told
    text: str
    periods: tuple[Period, ...]  # none: it stands for as long as it is told
    places: tuple[Place, ...]
    unplaced: int  # selectors that name no stop, trip, line or operator

    def period_at(self, time_s: float) -> Period | None:
        """The period that it stands in at a moment; None: it does not stand."""
        if not self.periods:
            return Period(NOT_TOLD_S, NOT_TOLD_S)
        return next((period for period in self.periods if period.holds(time_s)), None)


@dataclass(frozen=True)
class ToldAlert:
    """An alert that stood at a place at a moment."""

    time_ms: int
    place: Place
    alert: Alert
    period: Period


def read_alerts(message: gtfs.FeedMessage, timetable: Timetable | None = None) -> list[Alert]:
    """The alerts of a message; the timetable tells the lines of trips.

    ValueError where the message tells only what changed: what it leaves out would look like alerts that are over.
    """
    check_whole(message)
    return [_read(entity, timetable) for entity in message.entity if entity.HasField("alert") and not entity.is_deleted]


def _read(entity: gtfs.FeedEntity, timetable: Timetable | None) -> Alert:
    alert = entity.alert
    places = [_place_of(selector, timetable) for selector in alert.informed_entity]
    level = gtfs.Alert.SeverityLevel.Name(alert.severity_level) if alert.HasField("severity_level") else ""
    return Alert(
        id=entity.id,
        cause=gtfs.Alert.Cause.Name(alert.cause),
        effect=gtfs.Alert.Effect.Name(alert.effect),
        level=level,
        text=" ".join(t.text.strip() for t in alert.header_text.translation),
        periods=tuple(Period(float(p.start or NOT_TOLD_S), float(p.end or NOT_TOLD_S)) for p in alert.active_period),
        places=tuple(dict.fromkeys(place for place in places if place is not None)),
        unplaced=places.count(None),
    )


def _place_of(told: gtfs.EntitySelector, timetable: Timetable | None) -> Place | None:
    trip = None if timetable is None else timetable.trips.get(told.trip.trip_id)
    line = told.route_id or told.trip.route_id or ("" if trip is None else trip.route)
    if told.stop_id:
        return Place(AlertScope.STOP, told.stop_id, line)
    if told.trip.trip_id:
        return Place(AlertScope.TRIP, told.trip.trip_id, line)
    if line:
        return Place(AlertScope.LINE, line, line)
    return Place(AlertScope.NETWORK, told.agency_id) if told.agency_id else None


class AlertTracker:
    """Follows a feed, and tells of each alert that stands when it comes, when it changes, and once in every window."""

    def __init__(self) -> None:
        self._told: dict[tuple[str, Place], tuple[int, object]] = {}  # window, and what was told

    def follow(self, time_ms: int, alerts: Iterable[Alert]) -> list[ToldAlert]:
        """What is to be told of the alerts that a feed has at a moment."""
        window = time_ms // ALERT_WINDOW_MS
        standing: dict[tuple[str, Place], tuple[int, object]] = {}
        told = []
        for alert in alerts:
            period = alert.period_at(time_ms / 1000)
            if period is None:
                continue
            # Texts: a NaN is equal to none.
            content = (window, (alert.effect, alert.cause, alert.level, str(period)))
            for place in alert.places:
                key = alert.id, place
                if key not in standing and self._told.get(key) != content:
                    told.append(ToldAlert(time_ms, place, alert, period))
                standing[key] = content
        self._told = standing
        return told


def frame_of(told: Sequence[ToldAlert], city: str, source_id: str, time_ms: int) -> ServiceAlertFrame:
    """What is told of alerts at a moment as a frame, numbered by it: what is sent again is known as a repetition."""
    places = {name: place for place, name in enumerate(sorted({one.place.entity_id for one in told}))}
    return ServiceAlertFrame(
        header=FrameHeader(city=city, source_id=source_id, sequence=time_ms, source_time_ms=time_ms),
        entity_ids=list(places),
        entity=[places[one.place.entity_id] for one in told],
        base_time_ms=time_ms,
        time_offset_ms=[one.time_ms - time_ms for one in told],
        period_s=0,
        **columns_of(told),
    )


def columns_of(told: Sequence[ToldAlert]) -> dict[str, Any]:
    """The columns of `service_alert` as lists of numbers and codes. Shapes: (observations,)."""
    return {
        "alert": numbers_of([hashlib.sha256(one.alert.id.encode()).hexdigest() for one in told])[0].tolist(),
        "scope": [one.place.scope for one in told],
        # Words that came to GTFS-Realtime since are unknown ones.
        "effect": [AlertEffect.__members__.get(one.alert.effect, AlertEffect.UNKNOWN_EFFECT) for one in told],
        "cause": [AlertCause.__members__.get(one.alert.cause, AlertCause.UNKNOWN_CAUSE) for one in told],
        "level": [AlertLevel.__members__.get(one.alert.level, 0) for one in told],
        "from_s": [one.period.from_s for one in told],
        "until_s": [one.period.until_s for one in told],
    }


def entities_of(places: Iterable[Place], timetable: Timetable, city: str) -> Iterator[Entity]:
    """Each place as an entity, once. Only stops have a position: a line and a network lie at no point."""
    for place in dict.fromkeys(places):
        stop = timetable.stops.get(place.name) if place.scope is AlertScope.STOP else None
        labels = {place.scope.name.lower(): place.name}
        if place.line:
            labels |= {"route": place.line, "line": place.line}
        yield Entity(
            name=f"cities/{city}/domains/traffic/entities/{place.entity_id}",
            type=f"transit_{place.scope.name.lower()}",
            display_name=(place.name if stop is None else stop.name)[:256],
            position=None if stop is None else Position(latitude=stop.latitude, longitude=stop.longitude),
            labels=labels,
        )
