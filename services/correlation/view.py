"""The newest version of every incident, held in memory from the compacted topic by every api replica."""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Iterator

import structlog
from google.protobuf.message import DecodeError

from services.correlation.topic_view import TopicView
from services.runtime.catalogue import INCIDENTS
from services.runtime.log import LogRecord, OpenReader
from urban.correlation.v1.incident_pb2 import Incident, IncidentState

log = structlog.get_logger(__name__)


class IncidentView(TopicView):
    """Follows the topic of incidents from `start` until `stop`. The messages it gives are shared: not to be changed."""

    def __init__(self, open_reader: OpenReader) -> None:
        super().__init__(open_reader, INCIDENTS)
        self._incidents: dict[str, Incident] = {}
        self._by_start: dict[str, list[tuple[int, str]]] = {}  # start in ms and id, by city, in order

    def __len__(self) -> int:
        return len(self._incidents)

    def get(self, city: str, incident_id: str) -> Incident | None:
        """The newest version of an incident, None where the city has none of this id."""
        incident = self._incidents.get(incident_id)
        return incident if incident is not None and incident.city == city else None

    def newest_first(
        self, city: str, state: IncidentState, before: tuple[int, str] | None = None
    ) -> Iterator[tuple[tuple[int, str], Incident]]:
        """Incidents of a city with their place in the order (start in ms, id), from the newest on.

        `state`: only those; unspecified: all but superseded, retracted, merged ones. `before`: those behind this place.
        """
        order = self._by_start.get(city, [])
        for place in reversed(order[: bisect_left(order, before) if before else len(order)]):
            incident = self._incidents[place[1]]
            if incident.state == state if state else incident.state not in _ENDED:
                yield place, incident

    def take(self, record: LogRecord) -> None:
        incident = read_incident(record)
        if incident is None:
            return
        known = self._incidents.get(incident.id)
        if known is None:
            insort(self._by_start.setdefault(incident.city, []), (incident.start_time.ToMilliseconds(), incident.id))
        elif known.revision > incident.revision:
            return
        self._incidents[incident.id] = incident


def read_incident(record: LogRecord) -> Incident | None:
    """The incident of a record of the topic; None, with a warning, where it holds none."""
    try:
        incident = Incident.FromString(record.value or b"")
    except DecodeError:
        incident = Incident()
    if not incident.id or record.key != incident.id.encode():
        # Only the correlation writes here. A stranger's record must not stop the city, and nobody has asked for it.
        log.warning("no_incident", topic=record.topic, partition=record.partition, offset=record.offset)
        return None
    return incident


_ENDED = (
    IncidentState.INCIDENT_STATE_SUPERSEDED,
    IncidentState.INCIDENT_STATE_RETRACTED,
    IncidentState.INCIDENT_STATE_MERGED,
)
