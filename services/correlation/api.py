"""CorrelationService: incidents listed, given, watched and acted on, from memory and the log alone."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from services.correlation import acting
from services.correlation.acting import Acting, Deed
from services.correlation.finding_calls import FindingCalls, FindingView
from services.correlation.planned import PlannedEventCalls, PlannedEventView
from services.correlation.requests import read_incident_name
from services.correlation.view import IncidentView, read_incident
from services.correlation.wire import incident_name
from services.runtime.api.names import (
    page_token,
    read_page_size,
    read_page_token,
    read_parent,
)
from services.runtime.api.watch import Followed, TopicWatches
from services.runtime.catalogue import INCIDENTS
from services.runtime.errors import invalid_field, not_found
from services.runtime.grpc_server import Context, Method, Service
from services.runtime.log import LogRecord, LogWriter
from urban.correlation.v1.incident_pb2 import Incident, IncidentState
from urban.correlation.v1.service_pb2 import (
    DESCRIPTOR,
    GetIncidentRequest,
    ListIncidentsRequest,
    ListIncidentsResponse,
    WatchIncidentsRequest,
    WatchIncidentsResponse,
)

# A page ends here even if it could hold more incidents: gRPC clients take 4 MiB by default.
MAX_PAGE_BYTES = 3 << 20


class CorrelationApi:
    """The functions of CorrelationService over a view of the incidents, watches, and a writer of actions."""

    def __init__(
        self,
        view: IncidentView,
        planned: PlannedEventView,
        findings: FindingView,
        watches: TopicWatches,
        writer: LogWriter,
    ) -> None:
        self._view, self._watches = view, watches
        self._acting = Acting(view, writer)
        self._planned = PlannedEventCalls(planned, writer)
        self._findings = FindingCalls(findings, view, watches)

    def service(self) -> Service:
        """The service as a server takes it."""
        methods: dict[str, Method] = {
            "ListIncidents": self.list_incidents,
            "GetIncident": self.get_incident,
            "WatchIncidents": self.watch_incidents,
            "AcknowledgeIncident": self._deed(acting.ACKNOWLEDGE),
            "AssignIncident": self._deed(acting.ASSIGN),
            "DispatchIncident": self._deed(acting.DISPATCH),
            "ReportIncident": self._deed(acting.REPORT),
            "ResolveIncident": self._deed(acting.RESOLVE),
            "ReopenIncident": self._deed(acting.REOPEN),
            "MergeIncident": self._deed(acting.MERGE),
            "UpsertPlannedEvent": self._planned.upsert,
            "ListPlannedEvents": self._planned.list,
            **self._findings.methods(),
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
        return self._find(*read_incident_name(request.name))

    async def watch_incidents(self, request: WatchIncidentsRequest, context: Context) -> None:
        """Every version from the token on, or from now on, until the caller's deadline."""
        city = read_parent(request.parent)

        def pick(record: LogRecord, _sent: int) -> Iterator[tuple[WatchIncidentsResponse, int]]:
            incident = read_incident(record)
            if incident is not None and incident.city == city:
                yield WatchIncidentsResponse(incident=incident), 0

        await self._watches.watch((Followed(INCIDENTS),), request.resume_token, context, pick)

    def _find(self, city: str, incident_id: str) -> Incident:
        incident = self._view.get(city, incident_id)
        if incident is None:
            raise not_found(incident_name(city, incident_id))
        return incident

    def _deed(self, deed: Deed) -> Method:
        async def do(request: Any, context: Context) -> Incident:
            return await self._acting.do(deed, request, context)

        return do
