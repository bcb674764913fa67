"""Incidents as response plans look at them, and notifications in the forms of their receivers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pyarrow as pa

from services.core.correlation.incident import IncidentState
from services.core.response.case import Notice, Seen
from services.core.signals import Severity
from services.correlation.intake import read_signal
from services.runtime.catalogue import NOTIFICATIONS
from services.runtime.outbox import Outgoing
from services.runtime.producer import cloud_event_headers
from services.runtime.records import TIME
from urban.common.v1.geo_pb2 import Position
from urban.correlation.v1.incident_pb2 import Incident
from urban.correlation.v1.notification_pb2 import Notification

NOTIFICATIONS_TABLE = "correlation.notifications"
# Field of an incident that is there when what a clock waits for has happened.
_ACTED = {
    "acknowledge": "acknowledge_time",
    "dispatch": "dispatch_time",
    "feedback": "feedback_time",
    "close": "close_time",
}


def seen_of(message: Incident, *, signals: bool) -> Seen:
    """An incident as plans look at it; with its `signals` where one of them asks for these."""
    return Seen(
        id=message.id,
        city=message.city,
        rule=message.rule.name,
        revision=message.revision,
        state=IncidentState(message.state),
        severity=Severity(message.severity),
        title=message.title,
        latitude=message.position.latitude,
        longitude=message.position.longitude,
        h3_cell=message.position.h3_cell,
        acted=frozenset(clock for clock, field in _ACTED.items() if message.HasField(field)),
        closed=bool(message.closed_by),
        settled=message.settled,
        reopen_count=message.reopen_count,
        supersedes=tuple(message.supersedes),
        superseded_by=message.superseded_by,
        planned_event=message.planned_event,
        explanation=message.explanation,
        muted=message.rate_limited or message.flap_count > 0 or bool(message.inhibited_by),
        signals=tuple(read_signal(signal) for signal in message.signals) if signals else (),
    )


def notification_record(notice: Notice) -> Outgoing:
    """The record of urban.notifications.v1."""
    seen = notice.seen
    headers = cloud_event_headers(notice.id, "urban.notification.v1", "/correlation", notice.time_ms, seen.id)
    value = notification_message(notice).SerializeToString(deterministic=True)
    return Outgoing(NOTIFICATIONS, 0, seen.id.encode(), value, headers)


def notification_message(notice: Notice) -> Notification:
    """The Notification message."""
    seen = notice.seen
    message = Notification(
        id=notice.id,
        city=seen.city,
        incident_id=seen.id,
        incident_revision=seen.revision,
        plan=notice.plan,
        plan_version=notice.plan_version,
        level=notice.level,
        receiver=notice.receiver,
        reason=_number(notice.reason),
        clock=notice.clock,
        severity=_number(seen.severity),
        position=Position(latitude=seen.latitude, longitude=seen.longitude, h3_cell=seen.h3_cell),
        title=seen.title,
        text=notice.text,
        instruction=notice.instruction,
        explanation=seen.explanation,
    )
    message.time.FromMilliseconds(notice.time_ms)
    if notice.due_ms:
        message.due_time.FromMilliseconds(notice.due_ms)
    return message


def notifications_table(notices: Sequence[Notice]) -> pa.Table:
    """Rows of `correlation.notifications`."""
    rows = [
        {
            "id": n.id,
            "city": n.seen.city,
            "incident_id": n.seen.id,
            "incident_revision": n.seen.revision,
            "plan": n.plan,
            "plan_version": n.plan_version,
            "level": n.level,
            "receiver": n.receiver,
            "reason": n.reason.name.lower(),
            "clock": n.clock,
            "due_time": n.due_ms,
            "time": n.time_ms,
            "severity": n.seen.severity.name.lower(),
            "latitude": n.seen.latitude,
            "longitude": n.seen.longitude,
            "title": n.seen.title,
            "text": n.text,
        }
        for n in notices
    ]
    return pa.table({name: pa.array([row[name] for row in rows], type_) for name, type_ in _COLUMNS.items()})


_TEXT = pa.string()
_COLUMNS = {
    "id": _TEXT,
    "city": _TEXT,
    "incident_id": _TEXT,
    "incident_revision": pa.uint32(),
    "plan": _TEXT,
    "plan_version": pa.uint32(),
    "level": _TEXT,
    "receiver": _TEXT,
    "reason": _TEXT,
    "clock": _TEXT,
    "due_time": TIME,
    "time": TIME,
    "severity": _TEXT,
    "latitude": pa.float64(),
    "longitude": pa.float64(),
    "title": _TEXT,
    "text": _TEXT,
}


def _number(value: int) -> Any:
    """Enums of the core have the numbers of the contract's."""
    return int(value)
