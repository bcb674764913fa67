"""One call in, one trace out: gRPC, Kafka, windows, ClickHouse, signals, an incident; and nothing else is changed."""

from __future__ import annotations

import asyncio
import json
import os
import signal
from collections.abc import Iterator
from typing import Any

import pytest
from aiokafka import AIOKafkaProducer

from deploy.local.process import Child
from services.core.frame import Frame
from services.runtime import catalogue
from services.runtime.codec import encode_frame
from services.runtime.entities import entity_name
from services.runtime.migrations import ensure_schema
from services.runtime.partitioner import partition_of
from services.runtime.topics import ensure_topics
from services.traffic.domain import ROAD_FLOW, TRAFFIC
from tests.collector import Collector, ToldSpan
from tests.contract.calls import PATIENCE_SECONDS, Client, collect
from tests.integration.processor.city import (
    CONTRACT,
    MINUTE_MS,
    NAME,
    PARTITIONS,
    START_MS,
    WAIT_S,
    City,
    Flow,
    flows,
    frame_of,
    frames_by_minute,
    plain_windows,
    same,
)
from tests.integration.tracing.clickhouse_headers import WatchedClickHouse

# Four services start, one after the other.
pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

TOPIC = catalogue.observations("traffic", "road_flow")
TRACE, CALLER = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
SAMPLED, UNSAMPLED = (("traceparent", f"00-{TRACE}-{CALLER}-{flags}") for flags in ("01", "00"))
# Two segments that stand still beside each other, in two partitions.
JAMMED = ["segment-0", "segment-1"]
RULE = """
rule: jam
version: 1
about: Two segments at once.
title: Jam at {jam}
severity: moderate
signals:
  - {name: jam, domain: traffic, kind: road_flow, type: congestion}
radius_m: 500
within_s: 600
when: {count: jam, at_least: 2}
links:
  - {between: [jam, jam], radius_m: 500}
settled_after_s: 3600
"""


def jammed_minute(minute: int) -> Frame:
    return frame_of([Flow(e, START_MS + minute * MINUTE_MS, 300.0, 5.0) for e in JAMMED], sequence=minute + 1)


def message_of(frame: Frame) -> Any:
    return CONTRACT.frame.FromString(encode_frame(CONTRACT, frame))


def place_of(client: Client, entity_id: str, number: int) -> Any:
    """Segments some 50 m apart."""
    name = entity_name(NAME, "traffic", entity_id)
    position = {"latitude": -36.85 + number * 0.0005, "longitude": 174.76}
    entity = {"name": name, "type": "road_segment", "position": position}
    return client.request("UpsertEntity")(entity=entity)


async def started(city: City, role: str, service: str = "traffic", **settings: str) -> tuple[Child, int]:
    """A role that is ready, and the port of its gRPC server."""
    ready = city.folder / f"{service}-{role}-{len(city.children)}.json"
    child = city.start(role, service, URBAN_READY_FILE=str(ready), **settings)

    async def is_ready() -> bool:
        assert child.poll() is None, child.tail(30)
        return ready.exists()

    await city.until(is_ready, f"{service} {role} is ready")
    return child, json.loads(ready.read_text())["grpc"]


async def stopped(*children: Child) -> None:
    """All of them end in order."""
    statuses = await asyncio.gather(*(asyncio.to_thread(child.stop, WAIT_S) for child in children))
    assert statuses == [0] * len(children), "\n".join(child.tail(20) for child in children)


class Trace:
    """The spans of the call's trace."""

    def __init__(self, spans: list[ToldSpan]) -> None:
        self.spans = spans

    def named(self, name: str) -> list[ToldSpan]:
        found = [span for span in self.spans if span.name == name]
        assert found, f"no {name} among {sorted({span.name for span in self.spans})}"
        return found

    def one(self, name: str) -> ToldSpan:
        (found,) = self.named(name)
        return found

    def linked(self, span: ToldSpan) -> set[str]:
        """Ids of the spans that a span is linked to; all are of this trace, and the first is its parent."""
        assert {trace for trace, _ in span.links} == {TRACE}
        assert span.parent_id == span.links[0][1]
        return {span_id for _, span_id in span.links}


def ids(spans: list[ToldSpan]) -> set[str]:
    return {span.span_id for span in spans}


async def test_one_call_is_one_trace_from_grpc_to_rows_and_incident(city: City, collector: Collector):
    (rules := city.folder / "rules").mkdir()
    (rules / "jam.yaml").write_text(RULE)
    await city.prepare()
    await ensure_topics(city.kafka, catalogue.shared_topics((TRAFFIC,)))
    await ensure_schema(city.clickhouse_url, "correlation")
    settings = {
        "URBAN_OTLP": collector.url,
        "URBAN_TRACE_RATIO": "0",
        "OTEL_BSP_SCHEDULE_DELAY": "200",
        "URBAN_CLOCK": "replay",
        "URBAN_RULES": str(rules),
    }
    async with WatchedClickHouse(city.clickhouse_url).running() as front:
        assert isinstance(front, WatchedClickHouse)
        settings["URBAN_CLICKHOUSE"] = front.url
        roles = [("processor", "correlation"), ("processor", "traffic"), ("archiver", "traffic"), ("api", "traffic")]
        all_started = [await started(city, *role, **settings) for role in roles]
        children, client = [child for child, _ in all_started], Client("traffic", all_started[-1][1])
        try:
            await report(client)
            await city.until(lambda: has_incident(city), "the incident")
        finally:
            await client.channel.close(None)
        await stopped(*reversed(children))
        assert front.without > 0
    await collector.until(lambda: bool(collector.named("INSERT correlation.incidents")), "the span of the last rows")

    # Nothing of the calls that were not sampled, and all of the one that was, in one trace.
    assert {span.trace_id for span in collector.spans} == {TRACE}
    assert not [span.name for span in collector.spans if span.failed]
    trace = Trace(collector.spans)
    assert_the_frame_is_followed(trace, await city.query(PLACES))
    assert_the_windows_are_linked(trace)
    assert_the_incident_is_linked(trace)
    for table in ("traffic.road_flow", "traffic.road_flow_windows", "traffic.signals", "correlation.incidents"):
        inserts = trace.named(f"INSERT {table}")
        assert front.parents[f"INSERT INTO {table}"] == {f"00-{TRACE}-{span.span_id}-01" for span in inserts}
    await assert_headers_name_the_spans(city, trace)
    same(await city.windows(), plain_windows(all_rows(), START_MS + 10 * MINUTE_MS))


PLACES = f"SELECT DISTINCT kafka_partition, kafka_offset FROM traffic.road_flow WHERE sequence = {1 + 2}"


def all_rows() -> list[Flow]:
    return [Flow(e, START_MS + minute * MINUTE_MS, 300.0, 5.0) for minute in range(5) for e in JAMMED]


async def report(client: Client) -> None:
    """Five minutes of a jam, the third of which is sampled; then the clock goes on."""
    for number, entity_id in enumerate(JAMMED):
        await client.UpsertEntity(place_of(client, entity_id, number), timeout=PATIENCE_SECONDS)
    request = client.request("ReportFrames")

    def clock(minutes: int) -> Iterator[Any]:
        yield request(replay_clock={"city": NAME, "time_ms": START_MS + minutes * MINUTE_MS})

    await collect(client.ReportFrames(clock(0), timeout=PATIENCE_SECONDS))
    for minute in range(5):
        metadata = (SAMPLED,) if minute == 2 else (UNSAMPLED,) if minute % 2 else ()
        sent = iter([*clock(minute + 1), request(road_flow=message_of(jammed_minute(minute)))])
        answers, error = await collect(client.ReportFrames(sent, timeout=PATIENCE_SECONDS, metadata=metadata))
        assert error is None
        assert [answer.accepted for answer in answers] == [len(JAMMED)]
    for minutes in (10, 15, 90):
        await collect(client.ReportFrames(clock(minutes), timeout=PATIENCE_SECONDS))


async def has_incident(city: City) -> bool:
    """The incident and all of the rows before it are stored."""
    rows = await city.query("SELECT count() FROM traffic.road_flow FINAL")
    return rows == [(10,)] and bool(await city.query("SELECT 1 FROM correlation.incidents LIMIT 1"))


def assert_the_frame_is_followed(trace: Trace, places: list[tuple[Any, ...]]) -> None:
    """From the call to the log, and from there to whoever reads it, each told by partition and offset."""
    call = trace.one("urban.traffic.v1.TrafficService/ReportFrames")
    send = trace.one(f"send {TOPIC}")
    assert (call.service, call.kind, call.parent_id) == ("traffic-api", "server", CALLER)
    assert (send.service, send.kind, send.parent_id) == ("traffic-api", "producer", call.span_id)
    parts = {partition_of(entity_id, PARTITIONS) for entity_id in JAMMED}
    assert len(parts) == send.attributes["messaging.batch.message_count"] == 2
    for name, service in (("process", "traffic-processor"), ("archive", "traffic-archiver")):
        found = trace.named(f"{name} {TOPIC}")
        assert {(s.service, s.kind, s.parent_id) for s in found} == {(service, "consumer", send.span_id)}
        # By its place the rows of the frame are found.
        assert {s.place for s in found} == set(places)
        assert {partition for partition, _ in places} == parts


def assert_the_windows_are_linked(trace: Trace) -> None:
    processed = ids(trace.named(f"process {TOPIC}"))
    told: list[ToldSpan] = []
    for window in ROAD_FLOW.windows:
        of_window = trace.named(f"tell {window.name} windows")
        assert set().union(*map(trace.linked, of_window)) == processed, window.name
        told += of_window
    sent = trace.named("send outbox of traffic")
    assert set().union(*map(trace.linked, sent)) >= ids(told)
    inserts = [*trace.named("INSERT traffic.road_flow_windows"), *trace.named("INSERT traffic.signals")]
    assert {(s.service, s.kind) for s in inserts} == {("traffic-processor", "client")}
    assert {s.parent_id for s in inserts} <= ids(sent)
    stored = trace.named("store traffic.road_flow")
    assert set().union(*map(trace.linked, stored)) == ids(trace.named(f"archive {TOPIC}"))
    assert {s.parent_id for s in trace.named("INSERT traffic.road_flow")} == ids(stored)


def assert_the_incident_is_linked(trace: Trace) -> None:
    signals = trace.named(f"process {catalogue.SIGNALS}")
    assert {(s.service, s.kind) for s in signals} == {("correlation-processor", "consumer")}
    assert {s.parent_id for s in signals} <= ids(trace.named("tell 5m windows"))
    told = trace.named("tell incidents")
    assert set().union(*map(trace.linked, told)) == ids(signals)
    sent = trace.named("send outbox of correlation")
    assert set().union(*map(trace.linked, sent)) == ids(told)
    assert {s.parent_id for s in trace.named("INSERT correlation.incidents")} <= ids(sent)


async def assert_headers_name_the_spans(city: City, trace: Trace) -> None:
    """Of records that came of the sampled frame; others have no such header."""
    by_topic = {
        TOPIC: ids(trace.named(f"send {TOPIC}")),
        catalogue.SIGNALS: ids(trace.named("tell 5m windows")),
        catalogue.INCIDENTS: ids(trace.named("tell incidents")),
    }
    for topic, spans in by_topic.items():
        told = [dict(record.headers).get("traceparent") for record in await city.read(topic)]
        parents = {parent.decode() for parent in told if parent is not None}
        assert parents == {f"00-{TRACE}-{span_id}-01" for span_id in spans}, topic
    unsampled = [dict(r.headers).get("traceparent") for r in await city.read(TOPIC)].count(None)
    assert unsampled >= 4 * len(JAMMED)


async def test_a_processor_that_dies_comes_to_the_same_whatever_the_headers_and_wherever_the_collector(city: City):
    """The collector is away all the time, every frame is sampled, and the windows are those of a plain count."""
    await city.prepare()
    rows = flows(20, segments=30)
    frames = frames_by_minute(rows)
    half = len(frames) // 2
    # Nobody listens there.
    settings = {"URBAN_OTLP": "http://127.0.0.1:9", "OTEL_BSP_MAX_QUEUE_SIZE": "512"}
    first = city.start("processor", **settings)
    await send_traced(city, frames[:half])
    await city.until_handled()
    os.kill(first.pid, signal.SIGKILL)
    await send_traced(city, frames[half:], first_number=half)
    # What was sent again: each is folded once, with a header or without.
    await city.send(frames[half:])
    second = city.start("processor", **settings)
    await city.close_windows(START_MS + 20 * MINUTE_MS + ROAD_FLOW.disorder_ms)
    await city.until_handled()
    same(await city.windows(), plain_windows(rows, START_MS + 20 * MINUTE_MS))
    repeated = sum(len(frame) for _, frame in frames[half:])
    assert await city.ledger() == (len(rows) + repeated, len(rows), repeated, 0, 0)
    await stopped(second)


async def send_traced(city: City, frames: list[tuple[int, Frame]], first_number: int = 0) -> None:
    """Each frame with a sampled trace of its own."""
    async with AIOKafkaProducer(bootstrap_servers=city.kafka, enable_idempotence=True, acks="all") as producer:
        for number, (partition, frame) in enumerate(frames, first_number + 1):
            headers = [("traceparent", f"00-{number:032x}-{number:016x}-01".encode())]
            value = encode_frame(CONTRACT, frame)
            await producer.send(TOPIC, value, key=b"k", partition=partition, headers=headers)
        await producer.flush()


@pytest.mark.parametrize("service", ["traffic", "correlation"])
async def test_no_role_imports_opentelemetry_where_tracing_is_off(city: City, service: str):
    """As Python itself tells what a process imports, all roles of a service being in one."""
    child, _ = await started(city, "all", service, PYTHONPROFILEIMPORTTIME="1")
    await stopped(child)
    imported = {line.rpartition("|")[2].strip() for line in child.log.read_text().splitlines() if "|" in line}
    assert "services.runtime.tracing" in imported
    assert [name for name in imported if name.split(".")[0] == "opentelemetry" or name == "requests"] == []
