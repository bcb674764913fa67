"""Reports and shared incidents in the forms of their receivers: protobuf for Kafka, JSON and Arrow for ClickHouse."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from typing import Any, NamedTuple

import pyarrow as pa
from google.protobuf.json_format import MessageToJson
from google.protobuf.message import DecodeError

from services.core.correlation.checks import IDENTIFIER
from services.core.correlation.incident import IncidentState
from services.core.exchange import LEAST_PEOPLE, MOST_CELLS, Facts, Report, SharedIncident, SharedState
from services.core.exchange.border import is_cell_of_reports
from services.core.kind import DAY_MS
from services.core.signals import Severity
from services.core.validation import CITY
from services.correlation.intake import NAN, BadRecordError, read_signal
from services.runtime.catalogue import SHARED_INCIDENTS
from services.runtime.outbox import Outgoing
from services.runtime.producer import cloud_event_headers
from services.runtime.records import TIME
from urban.correlation.v1.exchange_pb2 import DomainCount, SharedReport
from urban.correlation.v1.exchange_pb2 import SharedIncident as SharedIncidentMessage
from urban.correlation.v1.incident_pb2 import Incident

SHARED_TABLE = "correlation.shared_incidents"
# Farther than from neighbour to neighbour eight times nobody's border reaches. Assumption.
MOST_HOPS = 8
# What lasts longer is no incident: it would be looked for under each of its days. Assumption.
LONGEST_MS = 366 * DAY_MS


class Told(NamedTuple):
    """A report as it lies on a topic, and the cities that have told it, from the first on."""

    report: Report
    hops: tuple[str, ...]


def facts_of(message: Incident) -> Facts:
    """An incident as the exchange looks at it. BadRecordError or ValueError: it is not understood."""
    placed = message.HasField("position")
    return Facts(
        id=message.id,
        city=message.city,
        rule=message.rule.name,
        revision=message.revision,
        state=IncidentState(message.state),
        severity=Severity(message.severity),
        start_ms=message.start_time.ToMilliseconds(),
        end_ms=message.end_time.ToMilliseconds(),
        latitude=message.position.latitude if placed else NAN,
        longitude=message.position.longitude if placed else NAN,
        signals=[read_signal(signal) for signal in message.signals],
    )


def report_message(report: Report, hops: Sequence[str] = ()) -> SharedReport:
    """The SharedReport message."""
    message = SharedReport(
        city=report.city,
        incident_id=report.incident_id,
        revision=report.revision,
        rule=report.rule,
        state=_number(report.state),
        severity=_number(report.severity),
        h3_cells=report.cells,
        domains=[DomainCount(domain=domain, signals=count) for domain, count in report.signals],
        people=report.people,
        hops=hops,
    )
    message.start_time.FromMilliseconds(report.start_ms)
    message.end_time.FromMilliseconds(report.end_ms)
    return message


def report_record(topic: str, told: Told) -> Outgoing:
    """The record of urban.exchange.v1 or urban.neighbour_reports.v1."""
    report, key = told.report, "/".join(told.report.key)
    headers = cloud_event_headers(
        f"{key}/{report.revision}", "urban.shared_report.v1", "/correlation", report.end_ms, key
    )
    value = report_message(report, told.hops).SerializeToString(deterministic=True)
    return Outgoing(topic, 0, key.encode(), value, headers)


def read_report(value: bytes | None) -> Told:
    """What a record says. BadRecordError names what no city of this software tells: nothing of it is taken."""
    try:
        message = SharedReport.FromString(value or b"")
    except DecodeError as error:
        raise BadRecordError("value", f"{len(value or b'')} bytes", f"no SharedReport: {error}") from None
    told = Told(_report(message), tuple(message.hops))
    if not 1 <= len(told.hops) <= MOST_HOPS or told.hops[0] != told.report.city:
        raise BadRecordError("hops", list(told.hops), f"must be 1 to {MOST_HOPS} cities, the first its own")
    return told


def _report(message: SharedReport) -> Report:
    if not CITY.fullmatch(message.city):
        raise BadRecordError("city", message.city, f"must be of the form {CITY.pattern}")
    if not IDENTIFIER.fullmatch(message.rule):
        raise BadRecordError("rule", message.rule, f"must be of the form {IDENTIFIER.pattern}")
    start_ms, end_ms = message.start_time.ToMilliseconds(), message.end_time.ToMilliseconds()
    if not 0 <= start_ms <= end_ms <= start_ms + LONGEST_MS:
        reason = f"must lie behind start_time {start_ms} by {LONGEST_MS} ms at most, and both behind 1970"
        raise BadRecordError("end_time", end_ms, reason)
    cells = tuple(message.h3_cells)
    if len(cells) > MOST_CELLS or list(cells) != sorted(set(cells)) or not all(map(is_cell_of_reports, cells)):
        raise BadRecordError("h3_cells", cells, f"must be {MOST_CELLS} cells of resolution 7 at most, ascending")
    if 0 < message.people < LEAST_PEOPLE:
        raise BadRecordError("people", message.people, f"must be {LEAST_PEOPLE} or more, or nobody")
    return Report(
        city=message.city,
        incident_id=_uuid(message.incident_id),
        revision=message.revision,
        rule=message.rule,
        state=IncidentState(_known("state", message.state, IncidentState)),
        severity=Severity(_known("severity", message.severity, Severity)),
        start_ms=start_ms,
        end_ms=end_ms,
        cells=cells,
        signals=tuple((domain.domain, domain.signals) for domain in message.domains),
        people=message.people,
    )


def shared_message(shared: SharedIncident) -> SharedIncidentMessage:
    """The SharedIncident message."""
    message = SharedIncidentMessage(
        id=shared.id,
        cities=shared.cities,
        family=shared.family,
        state=_number(shared.state),
        severity=_number(shared.severity),
        h3_cells=shared.cells,
        reports=[report_message(report) for report in shared.reports],
        superseded_by=shared.superseded_by,
        revision=shared.revision,
    )
    message.start_time.FromMilliseconds(shared.start_ms)
    message.end_time.FromMilliseconds(shared.end_ms)
    return message


def shared_record(shared: SharedIncident) -> Outgoing:
    """The record of urban.shared_incidents.v1."""
    headers = cloud_event_headers(
        f"{shared.id}/{shared.revision}", "urban.shared_incident.v1", "/correlation", shared.end_ms, shared.id
    )
    value = shared_message(shared).SerializeToString(deterministic=True)
    return Outgoing(SHARED_INCIDENTS, 0, shared.id.encode(), value, headers)


def read_shared(value: bytes | None) -> SharedIncident:
    """What a record of the own topic says; BadRecordError where it is of no version that is known."""
    try:
        message = SharedIncidentMessage.FromString(value or b"")
    except DecodeError as error:
        raise BadRecordError("value", f"{len(value or b'')} bytes", f"no SharedIncident: {error}") from None
    if len(message.cities) != 2:
        raise BadRecordError("cities", list(message.cities), "must be two")
    return SharedIncident(
        id=message.id,
        cities=(message.cities[0], message.cities[1]),
        family=message.family,
        state=SharedState(_known("state", message.state, SharedState)),
        severity=Severity(_known("severity", message.severity, Severity)),
        start_ms=message.start_time.ToMilliseconds(),
        end_ms=message.end_time.ToMilliseconds(),
        cells=tuple(message.h3_cells),
        reports=tuple(_report(report) for report in message.reports),
        superseded_by=message.superseded_by,
        revision=message.revision,
    )


def shared_table(city: str, versions: Sequence[SharedIncident]) -> pa.Table:
    """Rows of `correlation.shared_incidents`, as `city` sees them."""
    rows = [_row(city, version) for version in versions]
    return pa.table({name: pa.array([row[name] for row in rows], type_) for name, type_ in _COLUMNS.items()})


def _row(city: str, shared: SharedIncident) -> dict[str, Any]:
    own = [report for report in shared.reports if report.city == city]
    others = [report for report in shared.reports if report.city != city]
    return {
        "id": shared.id,
        "city": city,
        "neighbour": next(name for name in shared.cities if name != city),
        "family": shared.family,
        "state": shared.state.name.lower(),
        "severity": shared.severity.name.lower(),
        "start_time": shared.start_ms,
        "end_time": shared.end_ms,
        "h3_cells": list(shared.cells),
        "own_ids": [report.incident_id for report in own],
        "neighbour_ids": [report.incident_id for report in others],
        "own_people": sum(report.people for report in own),
        "neighbour_people": sum(report.people for report in others),
        "superseded_by": shared.superseded_by,
        "revision": shared.revision,
        "document": MessageToJson(shared_message(shared), indent=None),
    }


_TEXT, _IDS = pa.string(), pa.list_(pa.string())
_COLUMNS = {
    "id": _TEXT,
    "city": _TEXT,
    "neighbour": _TEXT,
    "family": _TEXT,
    "state": _TEXT,
    "severity": _TEXT,
    "start_time": TIME,
    "end_time": TIME,
    "h3_cells": pa.list_(pa.uint64()),
    "own_ids": _IDS,
    "neighbour_ids": _IDS,
    "own_people": pa.uint32(),
    "neighbour_people": pa.uint32(),
    "superseded_by": _TEXT,
    "revision": pa.uint32(),
    "document": _TEXT,
}


def _known(field: str, value: int, known: type[IncidentState] | type[Severity] | type[SharedState]) -> int:
    if value not in [one.value for one in known]:
        raise BadRecordError(field, value, "is none that is known")
    return value


def _uuid(value: str) -> str:
    try:
        same = str(uuid.UUID(value)) == value
    except ValueError:
        same = False
    if not same:
        raise BadRecordError("incident_id", value, "must be a UUID in small letters")
    return value


def _number(value: IncidentState | Severity | SharedState) -> Any:
    """Enums of the core have the numbers of the contract's."""
    return int(value)
