"""Findings by gRPC: listed, given and watched, from memory and the log alone."""

from __future__ import annotations

import re
from bisect import bisect_left, insort
from collections.abc import Iterator

import structlog
from google.protobuf.message import DecodeError

from services.core.kind import DAY_MS
from services.correlation.finding_wire import finding_name
from services.correlation.requests import UUID
from services.correlation.topic_view import TopicView
from services.correlation.view import IncidentView
from services.runtime.api.names import page_token, read_page_size, read_page_token, read_parent
from services.runtime.api.watch import Followed, TopicWatches
from services.runtime.catalogue import FINDINGS
from services.runtime.errors import invalid_field, not_found
from services.runtime.grpc_server import Context, Method
from services.runtime.log import LogRecord, OpenReader
from urban.correlation.v1.finding_pb2 import Finding, FindingState
from urban.correlation.v1.incident_pb2 import IncidentState
from urban.correlation.v1.service_pb2 import (
    GetFindingRequest,
    ListFindingsRequest,
    ListFindingsResponse,
    WatchFindingsRequest,
    WatchFindingsResponse,
)

log = structlog.get_logger(__name__)

# A page ends here even if it could hold more findings: gRPC clients take 4 MiB by default.
MAX_PAGE_BYTES = 3 << 20
# An incident that began so long before a finding does not stand on the same signals: no window is longer.
EARLIER_MS = 2 * DAY_MS
_NAME = re.compile(rf"cities/([a-z0-9-]{{1,63}})/findings/({UUID.pattern})")


class FindingView(TopicView):
    """The newest version of every finding. The messages are shared: not to be changed."""

    def __init__(self, open_reader: OpenReader) -> None:
        super().__init__(open_reader, FINDINGS)
        self._findings: dict[str, Finding] = {}
        self._by_start: dict[str, list[tuple[int, str]]] = {}  # start in ms and id, by city, in order

    def get(self, city: str, finding_id: str) -> Finding | None:
        """The newest version of a finding, None where the city has none of this id."""
        finding = self._findings.get(finding_id)
        return finding if finding is not None and finding.city == city else None

    def newest_first(
        self, city: str, state: FindingState, before: tuple[int, str] | None = None
    ) -> Iterator[tuple[tuple[int, str], Finding]]:
        """Findings of a city with their place in the order (start in ms, id), from the newest on.

        `state`: only those; unspecified: all but retracted ones. `before`: those behind this place.
        """
        order = self._by_start.get(city, [])
        for place in reversed(order[: bisect_left(order, before) if before else len(order)]):
            finding = self._findings[place[1]]
            if finding.state == state if state else finding.state != FindingState.FINDING_STATE_RETRACTED:
                yield place, finding

    def take(self, record: LogRecord) -> None:
        finding = read_finding(record)
        if finding is None:
            return
        known = self._findings.get(finding.id)
        if known is not None and known.revision > finding.revision:
            return
        order = self._by_start.setdefault(finding.city, [])
        if known is not None:
            # Another scan may have seen it clearer, from another start on.
            del order[bisect_left(order, _place(known))]
        insort(order, _place(finding))
        self._findings[finding.id] = finding


def read_finding(record: LogRecord) -> Finding | None:
    """The finding of a record of the topic; None, with a warning, where it holds none."""
    try:
        finding = Finding.FromString(record.value or b"")
    except DecodeError:
        finding = Finding()
    if not finding.id or record.key != finding.id.encode():
        # Only the scanner writes here. A stranger's record must not stop the city.
        log.warning("no_finding", topic=record.topic, partition=record.partition, offset=record.offset)
        return None
    return finding


class FindingCalls:
    """The functions of CorrelationService that concern findings."""

    def __init__(self, view: FindingView, incidents: IncidentView, watches: TopicWatches) -> None:
        self._view, self._incidents, self._watches = view, incidents, watches

    def methods(self) -> dict[str, Method]:
        """By name, as a service takes them."""
        return {"ListFindings": self.list, "GetFinding": self.get, "WatchFindings": self.watch}

    async def list(self, request: ListFindingsRequest, context: Context) -> ListFindingsResponse:
        city, size = read_parent(request.parent), read_page_size(request.page_size)
        last = read_page_token(request, (int, str))
        if request.state not in FindingState.values():
            raise invalid_field("state", request.state, "is none that is known")
        response, volume = ListFindingsResponse(), 0
        place: tuple[int, str] | None = None
        for next_place, finding in self._view.newest_first(city, request.state, tuple(last) if last else None):
            volume += finding.ByteSize()
            if place is not None and (len(response.findings) == size or volume > MAX_PAGE_BYTES):
                response.next_page_token = page_token(request, list(place))
                break
            response.findings.append(finding)
            place = next_place
        return response

    async def get(self, request: GetFindingRequest, context: Context) -> Finding:
        match = _NAME.fullmatch(request.name)
        if match is None:
            raise invalid_field("name", request.name, "must be cities/{city}/findings/{finding}, the finding a UUID")
        known = self._view.get(match[1], match[2])
        if known is None:
            raise not_found(finding_name(match[1], match[2]))
        finding = Finding()
        finding.CopyFrom(known)
        finding.explained_by.extend(self._explaining(finding))
        return finding

    async def watch(self, request: WatchFindingsRequest, context: Context) -> None:
        """Every version from the token on, or from now on, until the caller's deadline."""
        city = read_parent(request.parent)

        def pick(record: LogRecord, _sent: int) -> Iterator[tuple[WatchFindingsResponse, int]]:
            finding = read_finding(record)
            if finding is not None and finding.city == city:
                yield WatchFindingsResponse(finding=finding), 0

        await self._watches.watch((Followed(FINDINGS),), request.resume_token, context, pick)

    def _explaining(self, finding: Finding) -> Iterator[str]:
        """Ids of incidents that stand on signals of a finding, the newest first."""
        mine = {signal.id for signal in finding.signals}
        end = finding.end_time.ToMilliseconds(), ""
        earliest_ms = min(s.start_time.ToMilliseconds() for s in finding.signals) - EARLIER_MS
        every = IncidentState.INCIDENT_STATE_UNSPECIFIED
        for (start_ms, incident_id), incident in self._incidents.newest_first(finding.city, every, end):
            if start_ms < earliest_ms:
                return
            if any(signal.id in mine for signal in incident.signals):
                yield incident_id


def _place(finding: Finding) -> tuple[int, str]:
    return finding.start_time.ToMilliseconds(), finding.id
