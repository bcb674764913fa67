"""Records of the signal topic and of the incident actions, read into the terms of the core and checked on the way."""

from __future__ import annotations

import math
import re
import uuid

from google.protobuf.message import DecodeError
from google.protobuf.timestamp_pb2 import Timestamp

from services.core.correlation.action import Action, ActionKind
from services.core.correlation.checks import IDENTIFIER
from services.core.correlation.event_time import Watermarks
from services.core.correlation.planned import PlannedEvent
from services.core.geometry import cell_of
from services.core.signals import Evidence, Severity, Signal
from services.core.validation import CITY, ENTITY_ID
from services.runtime.rows import clip
from urban.common.v1.signal_pb2 import Signal as SignalMessage
from urban.common.v1.signal_pb2 import SignalRecord, SignalState, WatermarkReport
from urban.correlation.v1.incident_pb2 import IncidentAction
from urban.correlation.v1.incident_pb2 import PlannedEvent as PlannedEventMessage

WINDOW = re.compile(r"[A-Za-z0-9_]{1,32}")
NAN = float("nan")


class BadRecordError(ValueError):
    """A record that cannot be used: names field, value and reason."""

    def __init__(self, field: str, value: object, reason: str) -> None:
        super().__init__(f"{field} = {clip(str(value))}: {reason}")
        self.field, self.value, self.reason = field, clip(str(value)), reason


def read_signal_record(value: bytes | None) -> Signal | Watermarks:
    """What a record of urban.signals.v1 says."""
    try:
        record = SignalRecord.FromString(value or b"")
    except DecodeError as error:
        raise BadRecordError("value", f"{len(value or b'')} bytes", f"no SignalRecord: {error}") from None
    match record.WhichOneof("record"):
        case "signal":
            return read_signal(record.signal)
        case "watermark":
            return _read_watermarks(record.watermark)
        case _:
            raise BadRecordError("record", "", "neither a signal nor a watermark")


def read_action(value: bytes | None, place: int = 0) -> Action:
    """What a record of urban.incident_actions.v1 says; `place`: its offset."""
    try:
        message = IncidentAction.FromString(value or b"")
    except DecodeError as error:
        raise BadRecordError("value", f"{len(value or b'')} bytes", f"no IncidentAction: {error}") from None
    name = message.WhichOneof("action")
    if name is None:
        raise BadRecordError("action", "", "is none that is known")
    if not 1 <= len(message.actor) <= 128:
        raise BadRecordError("actor", message.actor, "must be 1 to 128 characters")
    kind, field = ACTIONS[name]
    deed = getattr(message, name)
    about = getattr(deed, field) if field else ""
    return Action(
        incident_id=_uuid("incident_id", message.incident_id),
        request_id=message.request_id or f"offset {place}",
        actor=message.actor,
        time_ms=message.time.ToMilliseconds(),
        note=deed.note,
        kind=kind,
        about=_uuid(field, about) if kind is ActionKind.MERGE else about,
        seen_ms=_milliseconds(message.seen_end_time),
        place=place,
    )


# By the field of the message: what it is, and what it says beside the note.
ACTIONS = {
    "acknowledgement": (ActionKind.ACKNOWLEDGE, ""),
    "assignment": (ActionKind.ASSIGN, "assignee"),
    "dispatch": (ActionKind.DISPATCH, "units"),
    "feedback": (ActionKind.FEEDBACK, ""),
    "resolution": (ActionKind.RESOLVE, ""),
    "reopening": (ActionKind.REOPEN, ""),
    "merging": (ActionKind.MERGE, "into_incident_id"),
}


def read_planned_event(value: bytes | None) -> PlannedEvent:
    """What a record of urban.planned_events.v1 says."""
    try:
        message = PlannedEventMessage.FromString(value or b"")
    except DecodeError as error:
        raise BadRecordError("value", f"{len(value or b'')} bytes", f"no PlannedEvent: {error}") from None
    match = PLANNED_EVENT_NAME.fullmatch(message.name)
    if match is None:
        raise BadRecordError("name", message.name, "must be cities/{city}/plannedEvents/{event}")
    return PlannedEvent(
        id=match["event"],
        city=match["city"],
        title=message.title,
        start_ms=_milliseconds(message.start_time),
        end_ms=_milliseconds(message.end_time),
        latitude=message.position.latitude,
        longitude=message.position.longitude,
        radius_m=message.radius_m,
        kinds=frozenset(message.kinds),
        cancelled=message.cancelled,
        actor=message.actor,
        told_ms=_milliseconds(message.update_time),
    )


PLANNED_EVENT_NAME = re.compile(r"cities/(?P<city>[a-z0-9-]{1,63})/plannedEvents/(?P<event>[a-z0-9-]{1,63})")


def read_signal(message: SignalMessage) -> Signal:
    """A signal of the topic. What is checked is what the correlation and its query stand on."""
    for field, pattern in _PATTERNS.items():
        if not pattern.fullmatch(value := getattr(message, field)):
            raise BadRecordError(field, value, f"must be of the form {pattern.pattern}")
    start_ms, end_ms = _milliseconds(message.start_time), _milliseconds(message.end_time)
    if not 0 <= start_ms < end_ms:
        raise BadRecordError("end_time", end_ms, f"must lie behind start_time {start_ms}, and both behind 1970")
    if message.state not in (SignalState.SIGNAL_STATE_RAISED, SignalState.SIGNAL_STATE_RETRACTED):
        raise BadRecordError("state", message.state, "must be raised or retracted")
    if message.severity not in _SEVERITIES:
        raise BadRecordError("severity", message.severity, "is none that is known")
    if not 0.0 <= message.score <= 1.0:
        raise BadRecordError("score", message.score, "must lie between 0 and 1")
    latitude, longitude, cell = _place(message)
    return Signal(
        id=_uuid("id", message.id),
        city=message.city,
        domain=message.domain,
        kind=message.kind,
        type=message.type,
        entity_id=message.entity_id,
        window=message.window,
        start_ms=start_ms,
        end_ms=end_ms,
        retracted=message.state == SignalState.SIGNAL_STATE_RETRACTED,
        severity=Severity(message.severity),
        score=message.score,
        evidence=tuple(Evidence(e.measure, e.value, e.threshold, e.expected) for e in message.evidence),
        revision=message.revision,
        detector_version=message.detector_version,
        model=message.model,
        latitude=latitude,
        longitude=longitude,
        h3_cell=cell,
        attributes=tuple(sorted(message.attributes.items())),
    )


_SEVERITIES = frozenset(int(severity) for severity in Severity)
_PATTERNS = {
    "city": CITY,
    "domain": IDENTIFIER,
    "kind": IDENTIFIER,
    "type": IDENTIFIER,
    "entity_id": ENTITY_ID,
    "window": WINDOW,
}


def _place(message: SignalMessage) -> tuple[float, float, int]:
    if not message.HasField("position"):
        return NAN, NAN, 0
    latitude, longitude = message.position.latitude, message.position.longitude
    if not (math.isfinite(latitude) and math.isfinite(longitude) and abs(latitude) <= 90 and abs(longitude) <= 180):
        raise BadRecordError("position", f"{latitude}, {longitude}", "is no point on the globe")
    return latitude, longitude, message.position.h3_cell or cell_of(latitude, longitude)


def _milliseconds(time: Timestamp) -> int:
    return time.seconds * 1000 + time.nanos // 1_000_000


def _uuid(field: str, value: str) -> str:
    try:
        same = str(uuid.UUID(value)) == value
    except ValueError:
        same = False
    if not same:
        raise BadRecordError(field, value, "must be a UUID in small letters")
    return value


def _read_watermarks(report: WatermarkReport) -> Watermarks:
    return Watermarks(report.domain, report.kind, {p.partition: p.watermark_ms for p in report.partitions})
