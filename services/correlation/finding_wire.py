"""Findings in the forms of their receivers: protobuf for Kafka, JSON and Arrow for ClickHouse."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pyarrow as pa
from google.protobuf.json_format import MessageToJson

from services.core.scan import Finding
from services.runtime.catalogue import FINDINGS
from services.runtime.outbox import Outgoing
from services.runtime.producer import cloud_event_headers
from services.runtime.records import TIME, signal_message
from urban.common.v1.geo_pb2 import Position
from urban.correlation.v1.finding_pb2 import Finding as FindingMessage
from urban.correlation.v1.finding_pb2 import ScanMethod

FINDINGS_TABLE = "correlation.findings"
METHOD = "space_time_permutation"


def finding_name(city: str, finding_id: str) -> str:
    """The resource name of a finding."""
    return f"cities/{city}/findings/{finding_id}"


def finding_message(finding: Finding) -> FindingMessage:
    """The Finding message."""
    sight = finding.sight
    message = FindingMessage(
        name=finding_name(finding.city, finding.id),
        id=finding.id,
        city=finding.city,
        method=ScanMethod(name=METHOD, version=finding.version, replicates=finding.replicates),
        state=int(finding.state),  # type: ignore[arg-type]  # the same numbers: services/core/scan/finding.py
        title=finding.title,
        position=Position(latitude=sight.latitude, longitude=sight.longitude, h3_cell=finding.h3_cell),
        radius_m=sight.radius_m,
        p_value=sight.p_value,
        observed=sight.observed,
        expected=sight.expected,
        log_likelihood_ratio=sight.log_likelihood_ratio,
        signals=[signal_message(signal) for signal in sight.signals],
        signal_count=sight.signal_count,
        case_ids=sight.cases,
        query=finding.query,
        revision=finding.revision,
    )
    message.start_time.FromMilliseconds(sight.start_ms)
    message.end_time.FromMilliseconds(sight.end_ms)
    message.first_found_time.FromMilliseconds(finding.first_ms)
    message.last_found_time.FromMilliseconds(finding.last_ms)
    return message


def finding_record(finding: Finding) -> Outgoing:
    """The record of urban.findings.v1."""
    headers = cloud_event_headers(
        f"{finding.id}/{finding.revision}", "urban.finding.v1", "/correlation", finding.last_ms, finding.id
    )
    value = finding_message(finding).SerializeToString(deterministic=True)
    return Outgoing(FINDINGS, 0, finding.id.encode(), value, headers)


def findings_table(findings: Sequence[Finding]) -> pa.Table:
    """Rows of `correlation.findings`."""
    rows = [_row(finding) for finding in findings]
    return pa.table({name: pa.array([row[name] for row in rows], type_) for name, type_ in _COLUMNS.items()})


def _row(finding: Finding) -> dict[str, Any]:
    sight = finding.sight
    return {
        "id": finding.id,
        "city": finding.city,
        "method": METHOD,
        "method_version": finding.version,
        "state": finding.state.name.lower(),
        "title": finding.title,
        "start_time": sight.start_ms,
        "end_time": sight.end_ms,
        "latitude": sight.latitude,
        "longitude": sight.longitude,
        "radius_m": sight.radius_m,
        "p_value": sight.p_value,
        "replicates": finding.replicates,
        "observed": sight.observed,
        "expected": sight.expected,
        "log_likelihood_ratio": sight.log_likelihood_ratio,
        "first_found_time": finding.first_ms,
        "last_found_time": finding.last_ms,
        "signal_ids": [signal.id for signal in sight.signals],
        "case_ids": list(sight.cases),
        "query": finding.query,
        "revision": finding.revision,
        "document": MessageToJson(finding_message(finding), indent=None),
    }


_TEXT, _NUMBER, _IDS = pa.string(), pa.float64(), pa.list_(pa.string())
_COLUMNS = {
    "id": _TEXT,
    "city": _TEXT,
    "method": _TEXT,
    "method_version": pa.uint32(),
    "state": _TEXT,
    "title": _TEXT,
    "start_time": TIME,
    "end_time": TIME,
    "latitude": _NUMBER,
    "longitude": _NUMBER,
    "radius_m": _NUMBER,
    "p_value": _NUMBER,
    "replicates": pa.uint32(),
    "observed": pa.uint32(),
    "expected": _NUMBER,
    "log_likelihood_ratio": _NUMBER,
    "first_found_time": TIME,
    "last_found_time": TIME,
    "signal_ids": _IDS,
    "case_ids": _IDS,
    "query": _TEXT,
    "revision": pa.uint32(),
    "document": _TEXT,
}
