"""What people have made of an incident, in the fields of its message, and their changes as rows of the audit."""

from __future__ import annotations

import uuid
from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

import pyarrow as pa

from services.core.correlation.action import MAX_LISTED_ACTIONS, Action, Hands
from services.core.correlation.incident import Change, Incident
from services.core.signals import NAMESPACE
from services.correlation.intake import ACTIONS
from services.correlation.order import Read
from services.runtime.records import TIME
from urban.correlation.v1.incident_pb2 import Incident as IncidentMessage
from urban.correlation.v1.incident_pb2 import IncidentAction

AUDIT_TABLE = "correlation.incident_audit"
NEW_RULES = "rules"  # as a cause: those that come into force at an offset of the signals
_FIELDS = {kind: (name, field) for name, (kind, field) in ACTIONS.items()}


def write_hands(hands: Hands, message: IncidentMessage) -> None:
    """Sets the fields of an incident that people have made."""
    for name in ("acknowledged_by", "assignee", "dispatched", "closed_by", "merged_into", "reopen_count"):
        setattr(message, name, getattr(hands, name))
    for name in ("acknowledge_time", "dispatch_time", "feedback_time", "close_time"):
        if time_ms := getattr(hands, f"{name}_ms"):
            getattr(message, name).FromMilliseconds(time_ms)
    message.action_count = len(hands.actions)
    message.actions.extend(action_message(action) for action in hands.actions[-MAX_LISTED_ACTIONS:])


def action_message(action: Action) -> IncidentAction:
    """The IncidentAction message of what somebody did."""
    message = IncidentAction(incident_id=action.incident_id, request_id=action.request_id, actor=action.actor)
    message.time.FromMilliseconds(action.time_ms)
    message.seen_end_time.FromMilliseconds(action.seen_ms)
    name, field = _FIELDS[action.kind]
    deed = getattr(message, name)
    deed.SetInParent()
    deed.note = action.note
    if field:
        setattr(deed, field, action.about)
    return message


class Cause(NamedTuple):
    """The record that was folded when a version was made: after a kill it has the same place, and nothing else has."""

    topic: str  # or NEW_RULES
    offset: int


class Audited(NamedTuple):
    """A version of an incident, the event time at which it was made, by what, and what had been read until then."""

    incident: Incident
    event_ms: int
    cause: Cause
    read: Read | None = None


def audit_table(versions: Sequence[Audited]) -> pa.Table:
    """Rows of `correlation.incident_audit`: what these versions changed. All versions of one cause come in one call."""
    seen: Counter[str] = Counter()
    rows = [_audit_row(version, change, seen) for version in versions for change in version.incident.changes]
    return pa.table({name: pa.array([row[name] for row in rows], type_) for name, type_ in _COLUMNS.items()})


def _audit_row(version: Audited, change: Change, seen: Counter[str]) -> dict[str, object]:
    incident = version.incident
    # By the request, or by what was read: a number of a version may be another's after a restart.
    cause = change.request_id or f"{version.cause.topic} {version.cause.offset}"
    name = "\x1f".join((incident.id, change.what, cause))
    # One record may move event time far, and the same thing change several times.
    times, seen[name] = seen[name], seen[name] + 1
    return {
        "id": str(uuid.uuid5(NAMESPACE, f"audit\x1f{name}" + f"\x1f{times}" * (times > 0))),
        "city": incident.city,
        "incident_id": incident.id,
        "what": change.what,
        "actor": change.actor,
        "time": change.time_ms or version.event_ms,
        "why": change.why,
        "state": incident.state.name.lower(),
        "revision": incident.revision,
        "request_id": change.request_id,
    }


_COLUMNS = {
    "id": pa.string(),
    "city": pa.string(),
    "incident_id": pa.string(),
    "what": pa.string(),
    "actor": pa.string(),
    "time": TIME,
    "why": pa.string(),
    "state": pa.string(),
    "revision": pa.uint32(),
    "request_id": pa.string(),
}
