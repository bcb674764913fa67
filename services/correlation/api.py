"""CorrelationService: incidents listed, given, watched and acknowledged, from memory and the log alone."""

from __future__ import annotations

import asyncio
import re
import time
import uuid
from collections.abc import Iterator

from services.correlation.view import IncidentView, read_incident
from services.correlation.wire import incident_name
from services.runtime.api.names import (
    page_token,
    read_page_size,
    read_page_token,
    read_parent,
)
from services.runtime.api.watch import Followed, TopicWatches
from services.runtime.catalogue import INCIDENT_ACTIONS, INCIDENTS
from services.runtime.errors import (
    Violation,
    failed_precondition,
    invalid_argument,
    invalid_field,
    not_found,
    unavailable,
)
from services.runtime.grpc_server import Context, Method, Service
from services.runtime.log import LogRecord, LogWriter
from services.runtime.producer import acknowledged, cloud_event_headers
from urban.correlation.v1.incident_pb2 import Acknowledgement, Incident, IncidentAction, IncidentState
from urban.correlation.v1.service_pb2 import (
    DESCRIPTOR,
    AcknowledgeIncidentRequest,
    GetIncidentRequest,
    ListIncidentsRequest,
    ListIncidentsResponse,
    WatchIncidentsRequest,
    WatchIncidentsResponse,
)

_UUID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_NAME = re.compile(rf"cities/([a-z0-9-]{{1,63}})/incidents/({_UUID.pattern})")
MAX_ACTOR_CHARACTERS = 128
MAX_NOTE_CHARACTERS = 1000
# A page ends here even if it could hold more incidents: gRPC clients take 4 MiB by default.
MAX_PAGE_BYTES = 3 << 20
# How long an acknowledgement is waited for where the caller has set no deadline.
ACKNOWLEDGE_SECONDS = 15.0
_FINAL = (IncidentState.INCIDENT_STATE_RESOLVED, IncidentState.INCIDENT_STATE_RETRACTED)


class CorrelationApi:
    """The functions of CorrelationService over a view of the incidents, watches, and a writer of actions."""

    def __init__(self, view: IncidentView, watches: TopicWatches, writer: LogWriter) -> None:
        self._view, self._watches, self._writer = view, watches, writer

    def service(self) -> Service:
        """The service as a server takes it."""
        methods: dict[str, Method] = {
            "ListIncidents": self.list_incidents,
            "GetIncident": self.get_incident,
            "WatchIncidents": self.watch_incidents,
            "AcknowledgeIncident": self.acknowledge_incident,
        }
        return Service(DESCRIPTOR.services_by_name["CorrelationService"], methods)

    async def list_incidents(self, request: ListIncidentsRequest, context: Context) -> ListIncidentsResponse:
        city, size = read_parent(request.parent), read_page_size(request.page_size)
        last = read_page_token(request, (int, str))
        if request.state not in IncidentState.values():
            raise invalid_field("state", request.state, "is none that is known")
        response, volume = ListIncidentsResponse(), 0
        place: tuple[int, str] | None = None
        for next_place, incident in self._view.newest_first(city, request.state, tuple(last) if last else None):
            volume += incident.ByteSize()
            if place is not None and (len(response.incidents) == size or volume > MAX_PAGE_BYTES):
                response.next_page_token = page_token(request, list(place))
                break
            response.incidents.append(incident)
            place = next_place
        return response

    async def get_incident(self, request: GetIncidentRequest, context: Context) -> Incident:
        return self._find(*_read_name(request.name))

    async def watch_incidents(self, request: WatchIncidentsRequest, context: Context) -> None:
        """Every version from the token on, or from now on, until the caller's deadline."""
        city = read_parent(request.parent)

        def pick(record: LogRecord, _sent: int) -> Iterator[tuple[WatchIncidentsResponse, int]]:
            incident = read_incident(record)
            if incident is not None and incident.city == city:
                yield WatchIncidentsResponse(incident=incident), 0

        await self._watches.watch((Followed(INCIDENTS),), request.resume_token, context, pick)

    async def acknowledge_incident(self, request: AcknowledgeIncidentRequest, context: Context) -> Incident:
        """Writes the action and waits until the topic shows it; of an incident that was superseded, on its heir."""
        city, incident_id = _read_name(request.name)
        _check_acknowledgement(request)
        if (done := self._acknowledged(city, incident_id, request.actor)) is not None:
            return done
        incident = self._find(city, incident_id)
        if incident.state != IncidentState.INCIDENT_STATE_OPEN:
            raise failed_precondition(request.name, f"it is {_state_text(incident)}, and so cannot be taken over")
        await self._write(incident_id, request)
        # A call without a deadline has no time remaining that one could ask for.
        seconds = min(ACKNOWLEDGE_SECONDS, context.time_remaining() or ACKNOWLEDGE_SECONDS)
        try:
            async with asyncio.timeout(seconds):
                return await self._folded(city, incident_id, request.actor)
        except TimeoutError:
            raise unavailable("the acknowledgement is written, but not folded yet: ask again") from None

    async def _folded(self, city: str, incident_id: str, actor: str) -> Incident:
        """The incident, or its heir, as soon as it shows the acknowledgement."""
        while True:
            if (done := self._acknowledged(city, incident_id, actor)) is not None:
                return done
            await self._view.changed()

    def _find(self, city: str, incident_id: str) -> Incident:
        incident = self._view.get(city, incident_id)
        if incident is None:
            raise not_found(incident_name(city, incident_id))
        return incident

    def _acknowledged(self, city: str, incident_id: str, actor: str) -> Incident | None:
        """The incident, or its heir, if this actor has taken it over. FAILED_PRECONDITION where another one has."""
        incident = self._find(city, incident_id)
        while incident.state == IncidentState.INCIDENT_STATE_SUPERSEDED and not incident.acknowledged_by:
            heir = self._view.get(city, incident.superseded_by)
            if heir is None or heir.id == incident_id:
                break
            incident = heir
        if incident.acknowledged_by == actor:
            return incident
        if incident.acknowledged_by:
            raise failed_precondition(incident.name, f"{incident.acknowledged_by} has taken it over")
        if incident.state in _FINAL:
            raise failed_precondition(incident.name, f"it is {_state_text(incident)}, and so cannot be taken over")
        return None

    async def _write(self, incident_id: str, request: AcknowledgeIncidentRequest) -> None:
        now_ms = time.time_ns() // 1_000_000
        request_id = request.request_id or str(uuid.uuid4())
        action = IncidentAction(
            incident_id=incident_id,
            request_id=request_id,
            actor=request.actor,
            acknowledgement=Acknowledgement(note=request.note),
        )
        action.time.FromMilliseconds(now_ms)
        headers = cloud_event_headers(request_id, "urban.incident_action.v1", "/correlation", now_ms, incident_id)
        sent = await self._writer.send(
            INCIDENT_ACTIONS, action.SerializeToString(), partition=0, key=incident_id.encode(), headers=headers
        )
        await acknowledged(sent, ACKNOWLEDGE_SECONDS)


def _read_name(name: str) -> tuple[str, str]:
    match = _NAME.fullmatch(name)
    if match is None:
        raise invalid_field("name", name, "must be cities/{city}/incidents/{incident}, the incident a UUID")
    return match[1], match[2]


def _check_acknowledgement(request: AcknowledgeIncidentRequest) -> None:
    wrong: list[Violation] = []
    if len(request.actor) > MAX_ACTOR_CHARACTERS or not request.actor.strip():
        wrong.append(Violation("actor", request.actor, f"must be 1 to {MAX_ACTOR_CHARACTERS} characters"))
    if len(request.note) > MAX_NOTE_CHARACTERS:
        wrong.append(Violation("note", request.note, f"must be {MAX_NOTE_CHARACTERS} characters at most"))
    if request.request_id and not _UUID.fullmatch(request.request_id.lower()):
        wrong.append(Violation("request_id", request.request_id, "must be a UUID or empty"))
    if wrong:
        raise invalid_argument(wrong)


def _state_text(incident: Incident) -> str:
    return IncidentState.Name(incident.state).removeprefix("INCIDENT_STATE_").lower()
