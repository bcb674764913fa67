"""ListWindows and ListSignals: what ClickHouse holds, in its final revisions, page by page."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from clickhouse_connect.driver.exceptions import ClickHouseError

from services.core.kind import Domain, Kind
from services.runtime.api.names import page_token, read_page_size, read_page_token, read_parent
from services.runtime.errors import invalid_field, unavailable
from services.runtime.grpc_server import Context
from services.runtime.patience import passes
from services.runtime.rows import clip
from urban.common.v1.service_pb2 import (
    ListSignalsRequest,
    ListSignalsResponse,
    ListWindowsRequest,
    ListWindowsResponse,
)
from urban.common.v1.signal_pb2 import Signal
from urban.common.v1.window_pb2 import Window

# ClickHouse orders UUIDs by their second half; as text they come in the order that people see.
_SIGNAL_COLUMNS = (
    "toString(id) AS id_text, kind, type, entity_id, window, "
    "toUnixTimestamp64Milli(start_time), toUnixTimestamp64Milli(end_time), "
    "state, severity, score, latitude, longitude, h3_cell, evidence, revision, detector_version, model, attributes"
)


class Query(Protocol):
    """Asks ClickHouse; values go in as server-side parameters."""

    async def query(self, sql: str, parameters: Mapping[str, Any] | None = None) -> Sequence[Sequence[Any]]: ...


class StoredResults:
    """Serves the List calls of one domain's windows and signals."""

    def __init__(self, domain: Domain, clickhouse: Query) -> None:
        self._domain = domain
        self._clickhouse = clickhouse

    async def list_windows(self, request: ListWindowsRequest, context: Context) -> ListWindowsResponse:
        city, size = read_parent(request.parent), read_page_size(request.page_size)
        kind = self._kind(request.kind)
        if request.window and request.window not in {w.name for w in kind.windows}:
            names = ", ".join(w.name for w in kind.windows)
            raise invalid_field("window", request.window, f"must be one of {names}")
        wanted: dict[str, Any] = {"city": city, "limit": size + 1}
        terms = ["city = {city:String}", *_equal(wanted, window=request.window, entity_id=request.entity_id)]
        terms += _time_terms(wanted, request)
        after = read_page_token(request, (int, str, str))
        if after is not None:
            wanted |= {"after_start": after[0], "after_window": after[1], "after_entity": after[2]}
            terms.append(
                "(start_time, window, entity_id) > (fromUnixTimestamp64Milli({after_start:Int64}), "
                "{after_window:String}, {after_entity:String})"
            )
        measures = kind.measure_names()
        sql = (
            "SELECT window, entity_id, toUnixTimestamp64Milli(start_time), toUnixTimestamp64Milli(end_time), revision, "
            f"{', '.join(measures)} FROM {self._domain.name}.{kind.name}_windows FINAL WHERE {' AND '.join(terms)} "
            "ORDER BY start_time, window, entity_id LIMIT {limit:UInt32}"
        )
        rows = await self._ask(sql, wanted)
        windows = [_window_of(city, kind.name, measures, row) for row in rows[:size]]
        more = len(rows) > size
        last = rows[size - 1] if more else ()
        return ListWindowsResponse(
            windows=windows, next_page_token=page_token(request, [last[2], last[0], last[1]]) if more else ""
        )

    async def list_signals(self, request: ListSignalsRequest, context: Context) -> ListSignalsResponse:
        city, size = read_parent(request.parent), read_page_size(request.page_size)
        wanted: dict[str, Any] = {"city": city, "limit": size + 1}
        terms = ["city = {city:String}", *_equal(wanted, type=request.type, entity_id=request.entity_id)]
        terms += _time_terms(wanted, request)
        after = read_page_token(request, (int, str))
        if after is not None:
            wanted |= {"after_start": after[0], "after_id": after[1]}
            terms.append("(start_time, id_text) > (fromUnixTimestamp64Milli({after_start:Int64}), {after_id:String})")
        sql = (
            f"SELECT {_SIGNAL_COLUMNS} FROM {self._domain.name}.signals FINAL WHERE {' AND '.join(terms)} "
            "ORDER BY start_time, id_text LIMIT {limit:UInt32}"
        )
        rows = await self._ask(sql, wanted)
        signals = [_signal_of(city, self._domain.name, row) for row in rows[:size]]
        more = len(rows) > size
        last = rows[size - 1] if more else ()
        return ListSignalsResponse(
            signals=signals, next_page_token=page_token(request, [last[5], last[0]]) if more else ""
        )

    async def _ask(self, sql: str, wanted: Mapping[str, Any]) -> Sequence[Sequence[Any]]:
        try:
            return await self._clickhouse.query(sql, wanted)
        except (ClickHouseError, OSError, TimeoutError) as error:
            if passes(error):
                raise unavailable(f"ClickHouse does not answer: {clip(str(error))}") from error
            raise

    def _kind(self, name: str) -> Kind:
        try:
            return self._domain.kind(name)
        except KeyError:
            names = ", ".join(k.name for k in self._domain.kinds)
            raise invalid_field("kind", name, f"must be one of {names}") from None


def _equal(wanted: dict[str, Any], **filters: str) -> list[str]:
    """A term for each filter that is not empty; its value goes into `wanted`."""
    wanted |= {name: value for name, value in filters.items() if value}
    return [f"{name} = {{{name}:String}}" for name, value in filters.items() if value]


def _time_terms(wanted: dict[str, Any], request: Any) -> list[str]:
    terms = []
    for name, sign in (("start_time", ">="), ("end_time", "<")):
        if request.HasField(name):
            time = getattr(request, name)
            # Stored times are whole milliseconds; rounding up keeps both bounds exact.
            wanted[f"bound_{name}"] = time.seconds * 1000 + math.ceil(time.nanos / 1_000_000)
            terms.append(f"start_time {sign} fromUnixTimestamp64Milli({{bound_{name}:Int64}})")
    return terms


def _window_of(city: str, kind: str, measures: Sequence[str], row: Sequence[Any]) -> Window:
    name, entity_id, start_ms, end_ms, revision, *values = row
    window = Window(city=city, kind=kind, window=name, entity_id=entity_id, revision=revision)
    window.start_time.FromMilliseconds(start_ms)
    window.end_time.FromMilliseconds(end_ms)
    for measure, value in zip(measures, values, strict=True):
        if not math.isnan(value):
            window.measures[measure] = value
    return window


def _signal_of(city: str, domain: str, row: Sequence[Any]) -> Signal:
    (id, kind, type, entity_id, window, start_ms, end_ms, state, severity, score, *place_and_more) = row
    latitude, longitude, h3_cell, evidence, revision, detector_version, model, attributes = place_and_more
    signal = Signal(
        id=id,
        city=city,
        domain=domain,
        kind=kind,
        type=type,
        entity_id=entity_id,
        window=window,
        state=f"SIGNAL_STATE_{state.upper()}",
        severity=f"SEVERITY_{severity.upper()}",
        score=score,
        revision=revision,
        detector_version=detector_version,
        model=model,
        attributes=attributes,
    )
    signal.start_time.FromMilliseconds(start_ms)
    signal.end_time.FromMilliseconds(end_ms)
    if not math.isnan(latitude):
        signal.position.latitude, signal.position.longitude, signal.position.h3_cell = latitude, longitude, h3_cell
    for item in evidence:
        figures = item if isinstance(item, Mapping) else dict(zip(_EVIDENCE, item, strict=True))
        signal.evidence.add(**figures)
    return signal


_EVIDENCE = ("measure", "value", "threshold", "expected")
