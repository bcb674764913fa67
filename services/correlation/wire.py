"""Incidents in the forms of their receivers: protobuf for Kafka, JSON and Arrow for ClickHouse.

An incident of a large city repeats its signals in every version: what a signal looks like is worked out once.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import orjson
import pyarrow as pa
from google.protobuf.json_format import MessageToDict
from google.protobuf.timestamp_pb2 import Timestamp

from services.core.correlation.incident import Incident, IncidentState
from services.core.correlation.verdict import Truth
from services.core.signals import Severity, Signal
from services.correlation.hands import write_hands
from services.correlation.order import Read
from services.runtime.catalogue import INCIDENTS
from services.runtime.outbox import Outgoing
from services.runtime.producer import cloud_event_headers
from services.runtime.records import TIME, signal_message
from urban.common.v1.geo_pb2 import Position
from urban.correlation.v1.incident_pb2 import Incident as IncidentMessage
from urban.correlation.v1.incident_pb2 import Link as LinkMessage
from urban.correlation.v1.incident_pb2 import Outcome as OutcomeMessage
from urban.correlation.v1.incident_pb2 import RuleReference
from urban.correlation.v1.incident_pb2 import Threshold as ThresholdMessage

TABLE = "correlation.incidents"


class _Written:
    """How a signal is written; as JSON from when somebody asks."""

    __slots__ = ("_document", "_message", "message", "signal")

    def __init__(self, signal: Signal) -> None:
        self.signal = signal
        self._message = signal_message(signal)
        self.message = self._message.SerializeToString(deterministic=True)
        self._document: orjson.Fragment | None = None

    @property
    def document(self) -> orjson.Fragment:
        if self._document is None:
            self._document = orjson.Fragment(orjson.dumps(MessageToDict(self._message)))
        return self._document


class IncidentWriter:
    """Writes incidents, and remembers how their signals are written for as long as they are told again and again."""

    def __init__(self) -> None:
        self._written: dict[str, _Written] = {}
        self._before: dict[str, _Written] = {}

    def forget(self) -> None:
        """Forgets the signals that were not written since this was called last."""
        self._before, self._written = self._written, {}

    def message(self, incident: Incident) -> bytes:
        """The Incident message: all but its signals, and then those as they were written before."""
        parts = [_head(incident).SerializeToString(deterministic=True)]
        for signal in incident.signals:
            data = self._write(signal).message
            parts += (_SIGNALS_TAG, _varint(len(data)), data)
        return b"".join(parts)

    def document(self, incident: Incident) -> bytes:
        """The JSON form of the Incident message."""
        fields: dict[str, Any] = MessageToDict(_head(incident, links=False))
        fields["signals"] = [self._write(signal).document for signal in incident.signals]
        fields["links"] = [
            {
                "firstSignalId": link.first_signal_id,
                "secondSignalId": link.second_signal_id,
                "distanceM": link.distance_m,
                "gapS": link.gap_s,
            }
            for link in incident.links
        ]
        return orjson.dumps(fields)

    def table(self, incidents: Sequence[Incident]) -> pa.Table:
        """Rows of `correlation.incidents`."""
        columns: dict[str, pa.Array] = {
            name: pa.array([getattr(i, name) for i in incidents], type_) for name, type_ in _PLAIN.items()
        }
        columns["state"] = pa.array([i.state.name.lower() for i in incidents], pa.string())
        columns["severity"] = pa.array([i.severity.name.lower() for i in incidents], pa.string())
        columns["start_time"] = pa.array([i.start_ms for i in incidents], TIME)
        columns["end_time"] = pa.array([i.end_ms for i in incidents], TIME)
        columns["acknowledge_time"] = pa.array([i.acknowledge_time_ms for i in incidents], TIME)
        columns["rate_limited"] = pa.array([i.muted.limited for i in incidents], pa.bool_())
        columns["flap_count"] = pa.array([i.muted.flaps for i in incidents], pa.uint32())
        columns["inhibited_by"] = pa.array([i.muted.inhibited_by for i in incidents], pa.string())
        columns["signal_ids"] = pa.array([[s.id for s in i.signals] for i in incidents], pa.list_(pa.string()))
        columns["document"] = pa.array([self.document(i).decode() for i in incidents], pa.string())
        return pa.table(columns)

    def record(self, incident: Incident, read: Read | None = None) -> Outgoing:
        """The record of urban.incidents.v1; `read`: how far every topic was read when the version was made."""
        headers = cloud_event_headers(
            f"{incident.id}/{incident.revision}", "urban.incident.v1", "/correlation", incident.end_ms, incident.id
        )
        own = [read.header()] if read is not None else []
        return Outgoing(INCIDENTS, 0, incident.id.encode(), self.message(incident), [*headers, *own])

    def _write(self, signal: Signal) -> _Written:
        written = self._written.get(signal.id) or self._before.get(signal.id)
        if written is None or written.signal is not signal:
            written = _Written(signal)
        self._written[signal.id] = written
        return written


_PLAIN = {
    "id": pa.string(),
    "city": pa.string(),
    "rule": pa.string(),
    "rule_version": pa.uint32(),
    "title": pa.string(),
    "explanation": pa.string(),
    "latitude": pa.float64(),
    "longitude": pa.float64(),
    "extent_m": pa.float64(),
    "query": pa.string(),
    "revision": pa.uint32(),
    "superseded_by": pa.string(),
    "acknowledged_by": pa.string(),
}


def incident_name(city: str, incident_id: str) -> str:
    """The resource name of an incident."""
    return f"cities/{city}/incidents/{incident_id}"


def _head(incident: Incident, *, links: bool = True) -> IncidentMessage:
    """The message without its signals."""
    message = IncidentMessage(
        name=incident_name(incident.city, incident.id),
        id=incident.id,
        city=incident.city,
        rule=RuleReference(name=incident.rule, version=incident.rule_version),
        state=_number(incident.state),
        severity=_number(incident.severity),
        title=incident.title,
        start_time=_timestamp(incident.start_ms),
        end_time=_timestamp(incident.end_ms),
        position=Position(latitude=incident.latitude, longitude=incident.longitude, h3_cell=incident.h3_cell),
        extent_m=incident.extent_m,
        thresholds=[ThresholdMessage(name=t.name, value=t.value) for t in incident.thresholds],
        query=incident.query,
        revision=incident.revision,
        superseded_by=incident.superseded_by,
        signal_count=incident.signal_count,
        link_count=incident.link_count,
        outcomes=[
            OutcomeMessage(condition=o.condition, truth=_number(o.truth), value=o.value, bound=o.bound)
            for o in incident.outcomes
        ],
        supersedes=incident.supersedes,
        settled=incident.settled,
        planned_event=incident.planned_event,
        rate_limited=incident.muted.limited,
        surplus_count=incident.muted.surplus,
        flap_count=incident.muted.flaps,
        inhibited_by=incident.muted.inhibited_by,
        explanation=incident.explanation,
    )
    if incident.muted.flaps:
        message.flapping_since.FromMilliseconds(incident.muted.flapping_since_ms)
    write_hands(incident.hands, message)
    if links:
        message.links.extend(
            LinkMessage(
                first_signal_id=link.first_signal_id,
                second_signal_id=link.second_signal_id,
                distance_m=link.distance_m,
                gap_s=link.gap_s,
            )
            for link in incident.links
        )
    return message


def _number(value: IncidentState | Severity | Truth) -> Any:
    """Enums of the core have the numbers of the contract's."""
    return int(value)


def _timestamp(time_ms: int) -> Timestamp:
    return Timestamp(seconds=time_ms // 1000, nanos=time_ms % 1000 * 1_000_000)


def _varint(value: int) -> bytes:
    parts = bytearray()
    while value > 0x7F:
        parts.append(value & 0x7F | 0x80)
        value >>= 7
    parts.append(value)
    return bytes(parts)


_SIGNALS_TAG = _varint(IncidentMessage.SIGNALS_FIELD_NUMBER << 3 | 2)
