"""Signals and incidents of the past, as ClickHouse holds them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple, Protocol

from services.core.correlation.rule import Rule
from services.core.signals import Evidence, Severity, Signal
from services.correlation.backtest import Past

_NAN = float("nan")
# Of each signal the final revision, retracted ones too: they say that there is nothing.
_SIGNALS = """
SELECT toString(id), city, domain, kind, type, entity_id, window, toUnixTimestamp64Milli(start_time),
    toUnixTimestamp64Milli(end_time), state = 'retracted', severity, score, evidence, revision, detector_version, model,
    latitude, longitude, h3_cell, attributes
FROM urban.v_signals
WHERE (domain, kind, type) IN {keys:Array(Tuple(String, String, String))}
    AND end_time > fromUnixTimestamp64Milli({from_ms:Int64}) AND end_time <= fromUnixTimestamp64Milli({to_ms:Int64})
    AND (empty({city:String}) OR city = {city:String})
ORDER BY end_time, id
"""
_PAST = """
SELECT toString(id), rule_version, state, severity, title, toUnixTimestamp64Milli(start_time),
    toUnixTimestamp64Milli(end_time), arrayMap(x -> toString(x), signal_ids), city
FROM correlation.{table:Identifier} FINAL
WHERE rule = {rule:String} AND state NOT IN ('superseded', 'retracted')
    AND start_time >= fromUnixTimestamp64Milli({from_ms:Int64}) AND start_time < fromUnixTimestamp64Milli({to_ms:Int64})
    AND (empty({city:String}) OR city = {city:String})
"""
_OF_VERSION = " AND rule_version = {version:UInt32}"
_DOCUMENTS = """
SELECT toString(id), document
FROM correlation.shadow_incidents FINAL
WHERE rule = {rule:String} AND rule_version = {version:UInt32} AND has({ids:Array(String)}, toString(id))
ORDER BY start_time, id
"""
_RUNS = """
SELECT rule_version, what, toUnixTimestamp64Milli(time), file
FROM correlation.shadow_runs FINAL
WHERE rule = {rule:String}
ORDER BY log_offset, what = 'began', rule_version
"""
_LAST = "SELECT toUnixTimestamp64Milli(max(end_time)) FROM urban.v_signals"


class Client(Protocol):
    """What is asked of a ClickHouse client (clickhouse-connect's)."""

    def query(self, query: str, parameters: dict[str, Any]) -> Any: ...


def read_signals(client: Client, rule: Rule, city: str, from_ms: int, to_ms: int) -> list[Signal]:
    """The signals that a rule looks at whose windows end after `from_ms` and by `to_ms`; `city` "": of all cities."""
    keys = sorted(rule.sides_of_key)
    rows = client.query(_SIGNALS, {"keys": keys, "city": city, "from_ms": from_ms, "to_ms": to_ms}).result_rows
    return [_signal(*row) for row in rows]


def read_incidents(client: Client, rule: str, city: str, from_ms: int, to_ms: int) -> list[Past]:
    """The incidents of a rule, by name, that began in that time and stand, in the version that counts."""
    return _past(client, _PAST, {"table": "incidents", "rule": rule, "city": city, "from_ms": from_ms, "to_ms": to_ms})


def read_tried(client: Client, rule: str, version: int, city: str, from_ms: int, to_ms: int) -> list[Past]:
    """The same of what one version of a rule would have found while it was only tried."""
    asked = {"table": "shadow_incidents", "rule": rule, "city": city, "from_ms": from_ms, "to_ms": to_ms}
    return _past(client, _PAST + _OF_VERSION, {**asked, "version": version})


def read_documents(client: Client, rule: str, version: int, ids: Sequence[str]) -> list[str]:
    """What a version that is only tried would have told of some incidents, in JSON, by start."""
    rows = client.query(_DOCUMENTS, {"rule": rule, "version": version, "ids": list(ids)}).result_rows
    return [document for _, document in rows]


class Run(NamedTuple):
    """What became of a version of a rule that is, or was, only tried."""

    version: int
    what: str  # "began", "promoted", "ended"
    time_ms: int  # event time; 0: not known
    file: str  # that says so


def read_runs(client: Client, rule: str) -> list[Run]:
    """When versions of a rule, by name, were only tried, in order."""
    return [Run(*row) for row in client.query(_RUNS, {"rule": rule}).result_rows]


def _past(client: Client, query: str, asked: dict[str, Any]) -> list[Past]:
    found = [
        Past(id_, version, state, severity, title, start_ms, end_ms, frozenset(signal_ids), city)
        for id_, version, state, severity, title, start_ms, end_ms, signal_ids, city in client.query(
            query, asked
        ).result_rows
    ]
    return sorted(found, key=lambda incident: (incident.start_ms, incident.id))


def last_ms(client: Client) -> int:
    """End of the last window of which a signal is stored, in ms since the epoch; 0: there is none."""
    return int(client.query(_LAST, {}).result_rows[0][0])


def _signal(
    id_: str, city: str, domain: str, kind: str, type_: str, entity_id: str, window: str, start_ms: int, end_ms: int,
    retracted: bool, severity: str, score: float, evidence: list[dict[str, Any]], revision: int, detector_version: str,
    model: str, latitude: float, longitude: float, h3_cell: int, attributes: dict[str, str],
) -> Signal:  # fmt: skip
    return Signal(
        id=id_,
        city=city,
        domain=domain,
        kind=kind,
        type=type_,
        entity_id=entity_id,
        window=window,
        start_ms=start_ms,
        end_ms=end_ms,
        retracted=bool(retracted),
        severity=Severity[severity.upper()],
        score=score,
        evidence=tuple(_evidence(entry) for entry in evidence),
        revision=revision,
        detector_version=detector_version,
        model=model,
        # As on the topic, where what has no cell has no place.
        latitude=latitude if h3_cell else _NAN,
        longitude=longitude if h3_cell else _NAN,
        h3_cell=h3_cell,
        attributes=tuple(sorted(attributes.items())),
    )


def _evidence(entry: Any) -> Evidence:
    values = entry.values() if isinstance(entry, dict) else entry
    return Evidence(*values)
