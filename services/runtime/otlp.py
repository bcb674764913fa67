"""Spans by OpenTelemetry's SDK to a collector, by OTLP over HTTP. Imported only where URBAN_OTLP says so.

What ends waits in a bounded queue, from which a thread sends it: whoever works waits for nobody, and where the
collector is away the oldest spans are dropped and counted. HTTP and not gRPC, as a second channel of gRPC would share
the threads of the server's.
"""

from __future__ import annotations

import os
import random
from collections.abc import Callable, Sequence
from typing import Any

from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.environment_variables import OTEL_TRACES_SAMPLER
from opentelemetry.sdk.resources import OTELResourceDetector, Resource
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult
from opentelemetry.sdk.trace.sampling import ALWAYS_ON, ParentBased
from opentelemetry.trace import Link, SpanContext, SpanKind, Status, StatusCode
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from services.runtime import metrics
from services.runtime.tracing import Attributes, Kind, Origin

SCOPE = "urban-brain"
PATH = "/v1/traces"
# For what is in the queue at the end of a process. A collector that is away must not hold it.
STOP_TIMEOUT_S = 3.0

_KINDS: dict[Kind, SpanKind] = {
    "server": SpanKind.SERVER,
    "client": SpanKind.CLIENT,
    "producer": SpanKind.PRODUCER,
    "consumer": SpanKind.CONSUMER,
    "internal": SpanKind.INTERNAL,
}
_PROPAGATOR = TraceContextTextMapPropagator()


class OtlpSpan:
    """One span that is told of."""

    def __init__(self, span: trace.Span) -> None:
        self._span = span
        context = span.get_span_context()
        self.trace_id, self.span_id = trace.format_trace_id(context.trace_id), trace.format_span_id(context.span_id)
        parent = f"00-{self.trace_id}-{self.span_id}-{int(context.trace_flags):02x}"
        self.origin = Origin(parent, context.trace_state.to_header(), context)

    def tell(self, attributes: Attributes) -> None:
        self._span.set_attributes(attributes)

    def fail(self, reason: str) -> None:
        self._span.set_status(Status(StatusCode.ERROR, reason))

    def end(self) -> None:
        self._span.end()


class OtlpTracer:
    """Sends spans to one collector."""

    def __init__(self, url: str, service: str, instance: str, ratio: float) -> None:
        """`url` of the collector, http://host:4318; `ratio` of the traces that begin here are told of.

        What OpenTelemetry's own variables say goes before it: OTEL_TRACES_SAMPLER, OTEL_SERVICE_NAME,
        OTEL_RESOURCE_ATTRIBUTES; and those of the exporter (OTEL_EXPORTER_OTLP_HEADERS, _CERTIFICATE, _COMPRESSION,
        _TIMEOUT) and of the queue (OTEL_BSP_*) hold.
        """
        self._processor = _CountingProcessor(_CountingExporter(OTLPSpanExporter(endpoint=_endpoint(url))))
        told = {"service.namespace": "urban-brain", "service.name": service, "service.instance.id": instance}
        # The SDK takes 25 µs to find that a span is not sampled, for each of the many frames that are not: so chance is
        # asked here. None: as OpenTelemetry's own variable says.
        theirs = OTEL_TRACES_SAMPLER in os.environ
        self._ratio = 1.0 if theirs else ratio
        self._provider = TracerProvider(
            sampler=None if theirs else ParentBased(ALWAYS_ON),
            resource=Resource.create(told).merge(OTELResourceDetector().detect()),
            shutdown_on_exit=False,
        )
        self._provider.add_span_processor(self._processor)
        self._tracer = self._provider.get_tracer(SCOPE)

    def begin(
        self, name: str, kind: Kind, parent: Origin | None, links: Sequence[Origin], attributes: Attributes
    ) -> OtlpSpan | None:
        context = Context()
        if parent is None:
            if random.random() >= self._ratio:
                return None
        else:
            context = trace.set_span_in_context(trace.NonRecordingSpan(_known(parent)), context)
        span = self._tracer.start_span(
            name,
            context,
            kind=_KINDS[kind],
            attributes=attributes,
            links=[Link(_known(origin)) for origin in links],
            record_exception=False,
            set_status_on_exception=False,
        )
        return OtlpSpan(span) if span.is_recording() else None

    def stop(self) -> None:
        self._processor.stop(STOP_TIMEOUT_S)


class _CountingExporter(SpanExporter):
    """Tells the metrics what became of the spans that left the queue."""

    def __init__(self, exporter: SpanExporter) -> None:
        self._exporter = exporter

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        result = self._exporter.export(spans)
        metrics.TRACE_SPANS.labels("exported" if result is SpanExportResult.SUCCESS else "lost").inc(len(spans))
        return result

    def shutdown(self) -> None:
        self._exporter.shutdown()

    def force_flush(self, timeout_millis: int = 30_000) -> bool:
        return self._exporter.force_flush(timeout_millis)


class _CountingProcessor(BatchSpanProcessor):
    """Tells the metrics what had no room in the queue; the private names are pinned by tests/contract/test_otlp.py."""

    def __init__(self, exporter: SpanExporter) -> None:
        super().__init__(exporter)
        self._batch_processor._metrics = _Drops()

    def stop(self, timeout_s: float) -> None:
        self._batch_processor.shutdown(timeout_millis=int(timeout_s * 1000))
        left = len(self._batch_processor._queue)
        if left:
            metrics.TRACE_SPANS.labels("lost").inc(left)


class _Drops:
    """What the SDK tells of its queue."""

    def register_queue_size(self, get_queue_size: Callable[[], int]) -> None: ...

    def drop_items(self, count: int, error_type: str = "queue_full") -> None:
        metrics.TRACE_SPANS.labels("dropped").inc(count)

    def finish_items(self, count: int) -> None: ...


def _endpoint(url: str) -> str:
    return url if url.endswith(PATH) else f"{url.rstrip('/')}{PATH}"


def _known(origin: Origin) -> SpanContext:
    if isinstance(origin.known, SpanContext):
        return origin.known
    carrier: dict[str, Any] = origin.texts
    return trace.get_current_span(_PROPAGATOR.extract(carrier, Context())).get_span_context()
