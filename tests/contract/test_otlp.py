"""Spans leave by the real exporter for a real receiver; one that is away or slow holds nobody, and all are counted."""

from __future__ import annotations

import asyncio
import inspect
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager

import pytest
from opentelemetry.sdk._shared_internal import BatchProcessor

from services.runtime import metrics, otlp, tracing
from services.runtime.otlp import OtlpTracer
from services.runtime.tracing import Origin
from tests.collector import Collector, ToldSpan, collecting

CALLER = Origin("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01", "vendor=opaque")
RESULTS = ("exported", "lost", "dropped")


@pytest.fixture
async def collector(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Collector]:
    # The least that the exporter waits for others.
    monkeypatch.setenv("OTEL_BSP_SCHEDULE_DELAY", "20")
    async with collecting() as made:
        yield made


@contextmanager
def tracer_to(url: str, ratio: float = 1.0) -> Iterator[OtlpTracer]:
    tracer = OtlpTracer(url, "traffic-api", "replica-1", ratio)
    tracing.use(tracer)
    try:
        yield tracer
    finally:
        tracing.stop()


@contextmanager
def counting() -> Iterator[Callable[[], dict[str, float]]]:
    def now() -> dict[str, float]:
        return {result: metrics.TRACE_SPANS.labels(result)._value.get() for result in RESULTS}

    before = now()
    yield lambda: {result: count - before[result] for result, count in now().items()}


async def only(collector: Collector) -> ToldSpan:
    await collector.until(lambda: bool(collector.spans), "a span")
    (span,) = collector.spans
    return span


async def test_a_span_arrives_with_its_ids_parent_links_and_facts(collector):
    other = Origin("00-aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa-bbbbbbbbbbbbbbbb-01")
    with tracer_to(collector.url):
        span = tracing.begin_of("store", "internal", [CALLER, other, CALLER], {"rows": 3, "names": ["a", "b"]})
        assert span is not None
        assert span.origin.traceparent == f"00-{span.trace_id}-{span.span_id}-01"
        assert span.origin.tracestate == "vendor=opaque"
        span.end()
        told = await only(collector)
    assert (told.service, told.name, told.kind) == ("traffic-api", "store", "internal")
    assert (told.trace_id, told.span_id) == (span.trace_id, span.span_id)
    assert (told.trace_id, told.parent_id) == ("4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7")
    assert told.links == ((told.trace_id, told.parent_id), ("a" * 32, "b" * 16))
    assert told.attributes == {"rows": 3, "names": ["a", "b"]}
    assert told.failed == ""
    assert told.end_ns >= told.start_ns


async def test_what_fails_says_so(collector):
    with tracer_to(collector.url):
        with pytest.raises(ValueError, match="odd"), tracing.within(tracing.begin("fold", "consumer", CALLER)):
            raise ValueError("odd")
        told = await only(collector)
    assert told.failed == "ValueError: odd"


@pytest.mark.parametrize(("ratio", "expected"), [(0.0, 0), (1.0, 200), (0.25, None)])
async def test_the_ratio_holds_for_traces_that_begin_here_and_for_no_others(collector, ratio, expected):
    with tracer_to(collector.url, ratio):
        begun = [tracing.begin_trace("call", "server") for _ in range(200)]
        assert tracing.begin("fold", "consumer", CALLER) is not None
        assert tracing.begin("fold", "consumer", None) is None
    told = sum(span is not None for span in begun)
    if expected is None:
        assert 0 < told < 200
    else:
        assert told == expected


async def test_opentelemetrys_own_variables_go_before_ours(collector, monkeypatch):
    monkeypatch.setenv("OTEL_TRACES_SAMPLER", "always_off")
    monkeypatch.setenv("OTEL_SERVICE_NAME", "somebody-else")
    with tracer_to(collector.url):
        assert tracing.begin("fold", "consumer", CALLER) is None
    monkeypatch.delenv("OTEL_TRACES_SAMPLER")
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_COMPRESSION", "gzip")
    with tracer_to(collector.url):
        with tracing.within(tracing.begin_trace("call", "server")):
            pass
        assert (await only(collector)).service == "somebody-else"


async def test_a_url_with_the_path_is_taken_as_it_is(collector):
    with tracer_to(f"{collector.url}{otlp.PATH}"):
        with tracing.within(tracing.begin_trace("call", "server")):
            pass
        await only(collector)


async def test_what_is_in_the_queue_leaves_at_the_end(collector, monkeypatch):
    monkeypatch.setenv("OTEL_BSP_SCHEDULE_DELAY", "60000")
    with counting() as counts:
        with tracer_to(collector.url):
            with tracing.within(tracing.begin_trace("call", "server")):
                pass
            # The receiver answers on this very loop, and the stop waits for it.
            await asyncio.to_thread(tracing.stop)
        assert len(collector.spans) == 1
        assert counts() == {"exported": 1, "lost": 0, "dropped": 0}


async def test_a_collector_that_refuses_costs_its_spans_only(collector):
    collector.status = 400
    with counting() as counts, tracer_to(collector.url):
        for _ in range(3):
            with tracing.within(tracing.begin_trace("call", "server")):
                pass
        await collector.until(lambda: counts()["lost"] == 3, "three lost spans")
        assert counts() == {"exported": 0, "lost": 3, "dropped": 0}


async def test_a_collector_that_is_away_holds_nobody_and_every_span_is_counted(monkeypatch):
    monkeypatch.setenv("OTEL_BSP_MAX_QUEUE_SIZE", "50")
    monkeypatch.setenv("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", "10")
    monkeypatch.setenv("OTEL_BSP_SCHEDULE_DELAY", "20")
    async with silent() as url:
        with counting() as counts:
            with tracer_to(url):
                for _ in range(500):
                    with tracing.within(tracing.begin_trace("call", "server")):
                        pass
                assert counts()["dropped"] >= 500 - 50 - 10
                began = time.monotonic()
            # Bounded: the limit is a way out of a hang, not a budget.
            assert time.monotonic() - began < otlp.STOP_TIMEOUT_S + 30
            # What the thread holds when the process ends is in none of the counts: one request at most.
            assert 500 - 10 <= sum(counts().values()) <= 500
            assert counts()["exported"] == 0


@asynccontextmanager
async def silent() -> AsyncIterator[str]:
    """Takes connections and never answers."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while await reader.read(1 << 16):
            pass
        writer.close()

    async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"


def test_the_private_names_that_count_the_queue_are_there():
    """What services/runtime/otlp.py takes from the SDK without being offered it."""
    source = inspect.getsource(BatchProcessor)
    assert "self._metrics.drop_items(1)" in source
    assert "self._queue = collections.deque([], max_queue_size)" in source
    assert "timeout_millis" in inspect.signature(BatchProcessor.shutdown).parameters
