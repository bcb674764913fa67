"""What people do with incidents by gRPC: checked, written to the log, and answered when the incident shows it."""

from __future__ import annotations

import asyncio
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from services.core.correlation.action import MAX_ACTIONS
from services.correlation.requests import check_deed, read_incident_name
from services.correlation.view import IncidentView
from services.correlation.wire import incident_name
from services.runtime.catalogue import INCIDENT_ACTIONS
from services.runtime.errors import CallError, failed_precondition, invalid_field, not_found, unavailable
from services.runtime.grpc_server import Context
from services.runtime.log import LogWriter
from services.runtime.producer import acknowledged, cloud_event_headers
from urban.correlation.v1.incident_pb2 import Incident, IncidentAction, IncidentState

# How long an action is waited for where the caller has set no deadline.
ACT_SECONDS = 15.0

_S = IncidentState
_NEW = frozenset((_S.INCIDENT_STATE_OPEN, _S.INCIDENT_STATE_REOPENED))
_LIVE = _NEW | {_S.INCIDENT_STATE_ACKNOWLEDGED}
_OVER = frozenset((_S.INCIDENT_STATE_RESOLVED,))


@dataclass(frozen=True)
class Deed:
    """One thing that people can do."""

    action: str  # field of IncidentAction
    states: frozenset[IncidentState]  # in which it means something
    forbidden: str  # what the incident then cannot be: "taken over"
    done: Callable[[Incident, Any], bool]  # whether an incident shows already what a request asks for
    copied: str = ""  # field of the request, and of the action's message, beside the note
    note_needed: bool = False


ACKNOWLEDGE = Deed("acknowledgement", _NEW, "taken over", lambda i, r: i.acknowledged_by == r.actor)
ASSIGN = Deed("assignment", _LIVE, "given to anybody", lambda i, r: i.assignee == r.assignee, "assignee")
DISPATCH = Deed("dispatch", _LIVE, "sent to", lambda i, r: False, "units")
REPORT = Deed("feedback", _LIVE | _OVER, "told of", lambda i, r: False, note_needed=True)
RESOLVE = Deed("resolution", _LIVE | _OVER, "closed", lambda i, r: i.closed_by == r.actor, note_needed=True)
REOPEN = Deed("reopening", _OVER, "reopened", lambda i, r: False, note_needed=True)
MERGE = Deed("merging", _LIVE, "merged", lambda i, r: bool(i.merged_into) and r.into.endswith(f"/{i.merged_into}"))


class Acting:
    """Does what people ask for."""

    def __init__(self, view: IncidentView, writer: LogWriter) -> None:
        self._view, self._writer = view, writer

    async def do(self, deed: Deed, request: Any, context: Context) -> Incident:
        """Writes the action and waits until the topic shows it; of an incident that is superseded then, on its heir."""
        city, incident_id = read_incident_name(request.name)
        check_deed(request, note_needed=deed.note_needed)
        request_id = request.request_id.lower() or str(uuid.uuid4())
        if (shown := self._shown(deed, city, incident_id, request, request_id)) is not None:
            return shown
        incident = self._find(city, incident_id)
        _check_state(deed, incident, deed.states)
        target = self._target(city, incident, request.into) if deed is MERGE else ""
        await self._write(deed, incident, request, request_id, target)
        # A call without a deadline has no time remaining that one could ask for.
        seconds = min(ACT_SECONDS, context.time_remaining() or ACT_SECONDS)
        try:
            async with asyncio.timeout(seconds):
                while (shown := self._shown(deed, city, incident_id, request, request_id)) is None:
                    await self._view.changed()
                return shown
        except TimeoutError:
            raise unavailable(f"the {deed.action} is written, but not folded yet: ask again") from None

    def _find(self, city: str, incident_id: str, field: str = "") -> Incident:
        incident = self._view.get(city, incident_id)
        if incident is None:
            name = incident_name(city, incident_id)
            raise invalid_field(field, name, "does not exist") if field else not_found(name)
        return incident

    def _shown(self, deed: Deed, city: str, incident_id: str, request: Any, request_id: str) -> Incident | None:
        """The incident, or its heir, if it shows what is asked for. FAILED_PRECONDITION where it never will."""
        incident, passed = self._find(city, incident_id), {incident_id}
        while True:
            if deed.done(incident, request) or any(a.request_id == request_id for a in incident.actions):
                return incident
            heir = self._view.get(city, incident.superseded_by)
            if incident.state != _S.INCIDENT_STATE_SUPERSEDED or heir is None or heir.id in passed:
                break
            incident = heir
            passed.add(heir.id)
        if deed is ACKNOWLEDGE and incident.acknowledged_by:
            raise failed_precondition(incident.name, f"{incident.acknowledged_by} has taken it over")
        # Signals may resolve it meanwhile: the action still counts. Where somebody was faster, it does not.
        closed = frozenset((_S.INCIDENT_STATE_RESOLVED,)) if not incident.closed_by else frozenset()
        reopens = deed is REOPEN and not incident.closed_by
        _check_state(deed, incident, deed.states if reopens else deed.states | closed | {_S.INCIDENT_STATE_SUPERSEDED})
        return None

    def _target(self, city: str, incident: Incident, into: str) -> str:
        """Id of the incident that is to stay."""
        other_city, other_id = read_incident_name(into, "into")
        if other_city != city:
            raise invalid_field("into", into, f"must be an incident of {city}")
        if other_id == incident.id:
            raise invalid_field("into", into, "must be another incident")
        other = self._find(city, other_id, "into")
        _check_state(MERGE, other, _LIVE)
        return other_id

    async def _write(self, deed: Deed, incident: Incident, request: Any, request_id: str, target: str) -> None:
        now_ms = time.time_ns() // 1_000_000
        action = IncidentAction(incident_id=incident.id, request_id=request_id, actor=request.actor)
        action.time.FromMilliseconds(now_ms)
        action.seen_end_time.CopyFrom(incident.end_time)
        said = getattr(action, deed.action)
        said.SetInParent()
        said.note = request.note
        if target:
            said.into_incident_id = target
        elif deed.copied:
            setattr(said, deed.copied, getattr(request, deed.copied))
        headers = cloud_event_headers(request_id, "urban.incident_action.v1", "/correlation", now_ms, incident.id)
        sent = await self._writer.send(
            INCIDENT_ACTIONS, action.SerializeToString(), partition=0, key=incident.id.encode(), headers=headers
        )
        await acknowledged(sent, ACT_SECONDS)


def _check_state(deed: Deed, incident: Incident, states: frozenset[IncidentState]) -> None:
    """FAILED_PRECONDITION where an incident is in a state in which the deed means nothing."""
    if incident.settled:
        raise _cannot(deed, incident, "settled")
    if incident.action_count >= MAX_ACTIONS:
        raise failed_precondition(incident.name, f"it has had {MAX_ACTIONS} actions, and takes no more")
    if deed is RESOLVE and incident.closed_by and incident.state in _OVER:
        raise failed_precondition(incident.name, f"{incident.closed_by} has closed it")
    if incident.state not in states:
        raise _cannot(deed, incident, IncidentState.Name(incident.state).removeprefix("INCIDENT_STATE_").lower())


def _cannot(deed: Deed, incident: Incident, state: str) -> CallError:
    return failed_precondition(incident.name, f"it is {state}, and so cannot be {deed.forbidden}")
