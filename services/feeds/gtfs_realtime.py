"""Reads GTFS-Realtime against its timetable: calls of trains, and how full they are.

A feed tells what its operator expects: a call that lies ahead is a prediction, and `rail_calls` says when it was made.
What is not told of a stop is not told here either: delays are not carried on to later stops.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date, timedelta

from google.protobuf.message import DecodeError
from google.transit import gtfs_realtime_pb2 as gtfs

from services.feeds.gtfs import ScheduledCall, Timetable, Trip, day_of, platform_id
from services.traffic.indices.punctuality import CallState, OccupancyStatus

_TRIP = gtfs.TripDescriptor.ScheduleRelationship
_STOP = gtfs.TripUpdate.StopTimeUpdate.ScheduleRelationship
# Runs that are not in the timetable as they are.
_EXTRA = (_TRIP.ADDED, _TRIP.UNSCHEDULED, _TRIP.DUPLICATED, _TRIP.NEW)
_WORDS = gtfs.VehiclePosition.OccupancyStatus


@dataclass(frozen=True)
class Call:
    """One call of a train, made or expected. Times in ms since 1970, UTC."""

    trip: str
    day: date  # of service
    sequence: int  # of the stop in the trip
    platform: str  # entity id
    stop: str
    time_ms: int  # when the train came or is to come; of one that does not, when it was to come
    delay_s: float  # NaN: not known
    state: CallState
    scheduled_headway_s: float  # NaN: not known


@dataclass(frozen=True)
class Reading:
    """What one message tells. `unmatched` are the stops told of that no platform or no time could be found for."""

    time_ms: int
    calls: tuple[Call, ...]
    unmatched: int


def parse(data: bytes) -> gtfs.FeedMessage:
    """A message of the feed; ValueError where it is none."""
    message = gtfs.FeedMessage()
    try:
        message.ParseFromString(data)
    except DecodeError as error:
        raise ValueError(f"no GTFS-Realtime message: {error}") from None
    return message


def check_whole(message: gtfs.FeedMessage) -> None:
    """ValueError where a message tells only what changed since another one."""
    if message.header.incrementality != gtfs.FeedHeader.FULL_DATASET:
        raise ValueError("the message is differential; only whole ones are understood")


def read_calls(message: gtfs.FeedMessage, timetable: Timetable) -> Reading:
    """Every call of the trip updates of a message, those of cancelled trips included.

    ValueError where it tells only what changed since another one: what it leaves out would look like trains that left.
    """
    check_whole(message)
    time_ms = message.header.timestamp * 1000
    calls: list[Call] = []
    unmatched = 0
    for entity in message.entity:
        if not entity.HasField("trip_update") or entity.is_deleted:
            continue
        update = entity.trip_update
        run = _Run.of(update, timetable, time_ms)
        if run is None:
            unmatched += len(update.stop_time_update)
        elif update.trip.schedule_relationship == _TRIP.CANCELED:
            calls += run.cancelled()
        elif update.trip.schedule_relationship != _TRIP.DELETED:
            found = [call for stop in update.stop_time_update for call in run.call(stop)]
            told = sum(s.schedule_relationship != _STOP.NO_DATA for s in update.stop_time_update)
            calls += found
            unmatched += told - len(found)
    return Reading(time_ms, tuple(calls), unmatched)


def read_occupancy(message: gtfs.FeedMessage) -> Mapping[str, OccupancyStatus]:
    """How full trains are, by trip, where the vehicle positions of a message say so in a word."""
    found = {}
    for entity in message.entity:
        vehicle = entity.vehicle
        name = _WORDS.Name(vehicle.occupancy_status) if vehicle.HasField("occupancy_status") else ""
        if name in OccupancyStatus.__members__:
            found[vehicle.trip.trip_id] = OccupancyStatus[name]
    return found


@dataclass(frozen=True)
class _Run:
    """A trip on a day, and what is scheduled of it."""

    trip: Trip
    day: date
    extra: bool
    scheduled: tuple[ScheduledCall, ...]  # none of an extra run
    timetable: Timetable

    @classmethod
    def of(cls, update: gtfs.TripUpdate, timetable: Timetable, now_ms: int) -> _Run | None:
        """None where the trip is not known, nor the route of one beyond the timetable."""
        told = update.trip
        trip = timetable.trips.get(told.trip_id)
        extra = told.schedule_relationship in _EXTRA
        if trip is None:
            if not (extra and told.route_id):
                return None
            direction = str(told.direction_id) if told.HasField("direction_id") else ""
            trip = Trip(told.trip_id, told.route_id, direction, "")
        scheduled = () if extra else timetable.calls.get(trip.id, ())
        day = day_of(told.start_date) if told.start_date else _day_of_run(trip, scheduled, timetable, now_ms)
        return cls(trip, day, extra, scheduled, timetable)

    def call(self, stop: gtfs.TripUpdate.StopTimeUpdate) -> Iterator[Call]:
        """The call at a stop, if its place and time are known."""
        planned = self._find(stop)
        skipped = stop.schedule_relationship == _STOP.SKIPPED
        if stop.schedule_relationship == _STOP.NO_DATA or (planned is None and (skipped or not self.extra)):
            return
        if skipped and planned is not None:
            yield self._lost(planned, CallState.SKIPPED)
            return
        # Of the first stop only the departure need be told.
        arrives = bool(stop.arrival.time) or stop.arrival.HasField("delay")
        event = stop.arrival if arrives else stop.departure
        planned_ms = None if planned is None else self._ms(planned.arrival_s if arrives else planned.departure_s)
        if event.time:
            time_ms = event.time * 1000
        elif planned_ms is not None and event.HasField("delay"):
            time_ms = planned_ms + event.delay * 1000
        else:
            return
        delay_s = math.nan
        if event.HasField("delay"):
            delay_s = float(event.delay)
        elif planned_ms is not None:
            delay_s = (time_ms - planned_ms) / 1000
        state = CallState.ADDED if self.extra else CallState.CALLED
        where = stop.stop_id or ("" if planned is None else planned.stop)
        sequence = stop.stop_sequence if planned is None else planned.sequence
        yield self._made(sequence, where, time_ms, delay_s, state)

    def cancelled(self) -> list[Call]:
        """Every call that the timetable has of it."""
        return [self._lost(planned, CallState.CANCELLED) for planned in self.scheduled]

    def _find(self, stop: gtfs.TripUpdate.StopTimeUpdate) -> ScheduledCall | None:
        """The scheduled call at a stop: by sequence and stop, else by the stop where the trip is there only once."""
        for planned in self.scheduled:
            numbered = stop.HasField("stop_sequence") and planned.sequence == stop.stop_sequence
            if numbered and stop.stop_id in ("", planned.stop):
                return planned
        there = [planned for planned in self.scheduled if planned.stop == stop.stop_id]
        return there[0] if len(there) == 1 else None

    def _ms(self, time_s: int) -> int:
        return self.timetable.start_ms(self.day) + time_s * 1000

    def _lost(self, planned: ScheduledCall, state: CallState) -> Call:
        return self._made(planned.sequence, planned.stop, self._ms(planned.arrival_s), math.nan, state)

    def _made(self, sequence: int, stop: str, time_ms: int, delay_s: float, state: CallState) -> Call:
        headway = (
            math.nan if self.extra else self.timetable.headways_s(self.day).get((self.trip.id, sequence), math.nan)
        )
        platform = platform_id(stop, self.trip.route, self.trip.direction)
        return Call(self.trip.id, self.day, sequence, platform, stop, time_ms, delay_s, state, headway)


def _day_of_run(trip: Trip, scheduled: tuple[ScheduledCall, ...], timetable: Timetable, now_ms: int) -> date:
    """The service day of a run whose feed does not tell it: of yesterday, today and tomorrow that which is nearest."""
    today = timetable.local_day(now_ms)
    days = [today + timedelta(days=shift) for shift in (0, -1, 1)]
    running = [day for day in days if trip.service and timetable.runs_on(trip.id, day)]
    if not running or not scheduled:
        return today
    middle_ms = (scheduled[0].arrival_s + scheduled[-1].arrival_s) * 500
    return min(running, key=lambda day: abs(timetable.start_ms(day) + middle_ms - now_ms))
