"""A collector of traces for tests: takes OTLP over HTTP on loopback, reads the real messages, and keeps the spans."""

from __future__ import annotations

import asyncio
import gzip
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any, NamedTuple

from aiohttp import web
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue
from opentelemetry.proto.trace.v1 import trace_pb2

PATIENCE_S = 60.0
_POLL_S = 0.02


class ToldSpan(NamedTuple):
    """One span as it arrived."""

    service: str
    name: str
    kind: str  # server, producer …
    trace_id: str
    span_id: str
    parent_id: str  # "": it began its trace
    links: Sequence[tuple[str, str]]  # trace and span
    attributes: Mapping[str, Any]
    failed: str  # "": it did not fail
    start_ns: int
    end_ns: int

    @property
    def place(self) -> tuple[int, int]:
        """Partition and offset of the record that it is about."""
        return int(self.attributes["messaging.destination.partition.id"]), self.attributes["messaging.kafka.offset"]


class Collector:
    """Keeps what it is sent; answers with `status`."""

    def __init__(self) -> None:
        self.spans: list[ToldSpan] = []
        self.status = 200
        self.requests = 0
        self.port = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def named(self, name: str) -> list[ToldSpan]:
        """The spans of that name."""
        return [span for span in self.spans if span.name == name]

    async def until(self, holds: Callable[[], bool], what: str) -> None:
        """Wait until something holds."""
        try:
            async with asyncio.timeout(PATIENCE_S):
                while not holds():  # noqa: ASYNC110 (what is waited for happens in other threads and processes)
                    await asyncio.sleep(_POLL_S)
        except TimeoutError:
            names = sorted({f"{span.service}: {span.name}" for span in self.spans})
            raise AssertionError(f"{what}: not within {PATIENCE_S:g} s; there are {names}") from None

    async def take(self, request: web.Request) -> web.Response:
        body = await request.read()
        if request.headers.get("Content-Encoding") == "gzip":
            body = gzip.decompress(body)
        self.requests += 1
        assert request.headers["Content-Type"] == "application/x-protobuf"
        if self.status == 200:
            self.spans += _spans_in(ExportTraceServiceRequest.FromString(body))
        answer = ExportTraceServiceResponse().SerializeToString()
        return web.Response(status=self.status, body=answer, content_type="application/x-protobuf")


@asynccontextmanager
async def collecting() -> AsyncIterator[Collector]:
    """A collector on a free port."""
    collector = Collector()
    app = web.Application(client_max_size=64 << 20)
    app.router.add_post("/v1/traces", collector.take)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=1.0, auto_decompress=False)
    await runner.setup()
    try:
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        assert runner.addresses
        collector.port = runner.addresses[0][1]
        yield collector
    finally:
        await runner.cleanup()


def _spans_in(request: ExportTraceServiceRequest) -> list[ToldSpan]:
    return [
        ToldSpan(
            service=_values(of_resource.resource.attributes)["service.name"],
            name=span.name,
            kind=trace_pb2.Span.SpanKind.Name(span.kind).removeprefix("SPAN_KIND_").lower(),
            trace_id=span.trace_id.hex(),
            span_id=span.span_id.hex(),
            parent_id=span.parent_span_id.hex(),
            links=tuple((link.trace_id.hex(), link.span_id.hex()) for link in span.links),
            attributes=_values(span.attributes),
            failed=span.status.message or "failed" if span.status.code == trace_pb2.Status.STATUS_CODE_ERROR else "",
            start_ns=span.start_time_unix_nano,
            end_ns=span.end_time_unix_nano,
        )
        for of_resource in request.resource_spans
        for of_scope in of_resource.scope_spans
        for span in of_scope.spans
    ]


def _values(pairs: Any) -> dict[str, Any]:
    return {pair.key: _value(pair.value) for pair in _key_values(pairs)}


def _key_values(pairs: Any) -> Sequence[KeyValue]:
    return list(pairs)


def _value(value: AnyValue) -> Any:
    name = value.WhichOneof("value")
    assert name is not None
    told = getattr(value, name)
    return [_value(item) for item in told.values] if name == "array_value" else told
