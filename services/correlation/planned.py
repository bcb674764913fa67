"""Planned events by gRPC: created, replaced and listed, from memory and the log alone."""

from __future__ import annotations

import asyncio
import math
import re
import time
from collections.abc import Iterator

import structlog
from google.protobuf.message import DecodeError

from services.correlation.intake import PLANNED_EVENT_NAME
from services.correlation.requests import MAX_NAME_CHARACTERS, MAX_UNITS_CHARACTERS
from services.correlation.topic_view import TopicView
from services.runtime.api.names import page_token, read_page_size, read_page_token, read_parent
from services.runtime.catalogue import PLANNED_EVENTS
from services.runtime.errors import Violation, invalid_argument, resource_exhausted, unavailable
from services.runtime.grpc_server import Context
from services.runtime.log import LogRecord, LogWriter, OpenReader
from services.runtime.producer import acknowledged, cloud_event_headers
from urban.correlation.v1.incident_pb2 import PlannedEvent
from urban.correlation.v1.service_pb2 import (
    ListPlannedEventsRequest,
    ListPlannedEventsResponse,
    UpsertPlannedEventRequest,
)

log = structlog.get_logger(__name__)

KIND = re.compile(r"[a-z][a-z0-9_]{0,62}(?:\.[a-z][a-z0-9_]{0,62})?")
MIN_RADIUS_M, MAX_RADIUS_M = 1.0, 100_000.0
MAX_DURATION_MS = 366 * 86_400_000
MAX_KINDS = 50
# Every incident is held against every event of its city.
MAX_EVENTS_OF_A_CITY = 10_000
WRITE_SECONDS = 15.0


class PlannedEventView(TopicView):
    """The newest version of every planned event. The messages are shared: not to be changed."""

    def __init__(self, open_reader: OpenReader) -> None:
        super().__init__(open_reader, PLANNED_EVENTS)
        self._events: dict[str, dict[str, PlannedEvent]] = {}

    def of_city(self, city: str) -> list[PlannedEvent]:
        """The events of a city by start and name."""
        return sorted(self._events.get(city, {}).values(), key=_place)

    def knows(self, city: str, name: str) -> bool:
        return name in self._events.get(city, {})

    def take(self, record: LogRecord) -> None:
        try:
            event = PlannedEvent.FromString(record.value or b"")
        except DecodeError:
            event = PlannedEvent()
        match = PLANNED_EVENT_NAME.fullmatch(event.name)
        if match is None:
            # Only the api writes here. A stranger's record must not stop the city.
            log.warning("no_planned_event", topic=record.topic, partition=record.partition, offset=record.offset)
            return
        self._events.setdefault(match["city"], {})[event.name] = event


class PlannedEventCalls:
    """The functions of CorrelationService that concern planned events."""

    def __init__(self, view: PlannedEventView, writer: LogWriter) -> None:
        self._view, self._writer = view, writer

    async def upsert(self, request: UpsertPlannedEventRequest, context: Context) -> PlannedEvent:
        """Writes the event, and answers when this replica has read it."""
        event = PlannedEvent()
        event.CopyFrom(request.planned_event)
        if wrong := list(_violations(event)):
            raise invalid_argument(wrong)
        city = event.name.split("/")[1]
        if not self._view.knows(city, event.name) and len(self._view.of_city(city)) >= MAX_EVENTS_OF_A_CITY:
            raise resource_exhausted("planned_event", event.name, f"{city} has {MAX_EVENTS_OF_A_CITY} events")
        now_ms = time.time_ns() // 1_000_000
        event.update_time.FromMilliseconds(now_ms)
        headers = cloud_event_headers(f"{event.name}/{now_ms}", "urban.planned_event.v1", "/correlation", now_ms)
        sent = await self._writer.send(
            PLANNED_EVENTS, event.SerializeToString(), partition=0, key=event.name.encode(), headers=headers
        )
        written = await acknowledged(sent, WRITE_SECONDS)
        try:
            async with asyncio.timeout(WRITE_SECONDS):
                await self._view.wait_for(written.offset)
        except TimeoutError:
            raise unavailable("the event is written, but not read yet: ask again") from None
        return event

    async def list(self, request: ListPlannedEventsRequest, context: Context) -> ListPlannedEventsResponse:
        city, size = read_parent(request.parent), read_page_size(request.page_size)
        token = read_page_token(request, (int, str))
        after = tuple(token) if token else (-(1 << 62), "")
        found = [event for event in self._view.of_city(city) if _place(event) > after]
        response = ListPlannedEventsResponse(planned_events=found[:size])
        if len(found) > size:
            response.next_page_token = page_token(request, list(_place(found[size - 1])))
        return response


def _place(event: PlannedEvent) -> tuple[int, str]:
    return event.start_time.ToMilliseconds(), event.name


def _violations(event: PlannedEvent) -> Iterator[Violation]:
    prefix = "planned_event."
    if not PLANNED_EVENT_NAME.fullmatch(event.name):
        reason = "must be cities/{city}/plannedEvents/{event}, the event 1 to 63 of a-z, 0-9 and '-'"
        yield Violation(f"{prefix}name", event.name, reason)
    for field, most in (("title", MAX_UNITS_CHARACTERS), ("actor", MAX_NAME_CHARACTERS)):
        text = getattr(event, field)
        if not text.strip() or len(text) > most:
            yield Violation(f"{prefix}{field}", text, f"must be 1 to {most} characters")
    start_ms, end_ms = event.start_time.ToMilliseconds(), event.end_time.ToMilliseconds()
    if not 0 < start_ms < end_ms <= start_ms + MAX_DURATION_MS:
        yield Violation(f"{prefix}end_time", str(end_ms), "must lie behind start_time, and 366 days at most")
    latitude, longitude = event.position.latitude, event.position.longitude
    finite = math.isfinite(latitude) and math.isfinite(longitude)
    if not event.HasField("position") or not finite or abs(latitude) > 90 or abs(longitude) > 180:
        yield Violation(f"{prefix}position", f"{latitude}, {longitude}", "must be a point on the globe")
    if not MIN_RADIUS_M <= event.radius_m <= MAX_RADIUS_M:
        yield Violation(f"{prefix}radius_m", f"{event.radius_m:g}", "must lie between 1 and 100,000")
    if len(event.kinds) > MAX_KINDS:
        yield Violation(f"{prefix}kinds", str(len(event.kinds)), f"must be {MAX_KINDS} at most")
    for i, kind in enumerate(event.kinds):
        if not KIND.fullmatch(kind):
            yield Violation(f"{prefix}kinds[{i}]", kind, 'must be a domain or a kind of one: "community.people_count"')
