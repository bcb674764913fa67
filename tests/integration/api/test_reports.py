"""Observations come through gRPC into real Kafka: acknowledged, numbered, in the partition that anyone would pick."""

from __future__ import annotations

import asyncio

import confluent_kafka
import grpc
import pytest
from google.protobuf import descriptor_pool, json_format
from google.protobuf.message_factory import GetMessageClass
from google.protobuf.timestamp_pb2 import Timestamp
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha.proto_reflection_descriptor_database import ProtoReflectionDescriptorDatabase

from deploy.local.servers import Endpoints
from services.runtime.log import FROM_END
from services.runtime.partitioner import partition_of
from tests.contract.calls import PATIENCE_SECONDS, collect
from tests.contract.domains import MONDAY_MS
from tests.integration.api.replicas import read_parts, reading, replica
from tests.integration.api.topics import make_topic
from urban.traffic.v1.road_flow_pb2 import RoadFlow, RoadFlowFrame
from urban.traffic.v1.service_pb2 import ReportFramesRequest, ReportRequest

ENTITIES = [f"seg-{i:03d}" for i in range(64)]


def frame(sequence: int, rows: int = 64) -> ReportFramesRequest:
    message = RoadFlowFrame(
        header={"city": "auckland", "source_id": "gateway", "sequence": sequence},
        entity_ids=ENTITIES,
        entity=[i % 64 for i in range(rows)],
        base_time_ms=MONDAY_MS,
        time_offset_ms=range(rows),
        period_s=60,
        speed_kmh=[float(i % 100) for i in range(rows)],
    )
    return ReportFramesRequest(road_flow=message)


async def test_what_is_acknowledged_is_in_kafka_each_entity_in_its_partition(servers: Endpoints):
    async with reading(servers, FROM_END) as reader, replica(servers) as client:
        answers, error = await collect(
            client.ReportFrames(iter([frame(n) for n in range(1, 201)]), timeout=PATIENCE_SECONDS)
        )
        assert error is None
        assert [(a.index, a.sequence, a.accepted) for a in answers] == [(n - 1, n, 64) for n in range(1, 201)]
        parts = await read_parts(reader, 200 * 64)
    for partition, part in parts:
        assert {partition_of(part.entity_ids[e], 4) for e in part.entity} == {partition}
        assert part.clock_ms == MONDAY_MS + 63 + 60_000
    for partition in range(4):
        assert [p.frame.sequence for p in parts if p.partition == partition] == list(range(1, 201))


async def test_a_frame_sent_to_two_replicas_keeps_its_number_in_every_part(servers: Endpoints):
    """A gateway that is unsure sends again, to whom it reaches; downstream folds (source, sequence) once."""
    async with (
        reading(servers, FROM_END) as reader,
        replica(servers, instance="one") as one,
        replica(servers, instance="two") as two,
    ):
        for client in (one, two):
            answers, _ = await collect(client.ReportFrames(iter([frame(7)]), timeout=PATIENCE_SECONDS))
            assert answers[0].accepted == 64
        parts = await read_parts(reader, 2 * 64)
    numbers = sorted((p.partition, p.frame.source_id, p.frame.sequence) for p in parts)
    assert numbers == sorted([(p, "gateway", 7) for p in range(4)] * 2)
    for partition in range(4):
        once, again = (p.frame for p in parts if p.partition == partition)
        assert once.entity.tolist() == again.entity.tolist()
        assert once.time_ms.tolist() == again.time_ms.tolist()


async def test_single_rows_are_in_kafka_when_they_are_acknowledged(servers: Endpoints):
    time = Timestamp(seconds=MONDAY_MS // 1000)
    rows = [
        ReportRequest(parent="cities/auckland", road_flow=RoadFlow(entity_id=e, time=time, speed_kmh=50))
        for e in ENTITIES
    ]
    async with reading(servers, FROM_END) as reader, replica(servers) as client:
        answer = await client.Report(iter(rows), timeout=PATIENCE_SECONDS)
        assert (answer.accepted, answer.rejected) == (64, 0)
        parts = await read_parts(reader, 64)
    assert sorted(p.frame.entity_ids[e] for p in parts for e in p.frame.entity) == ENTITIES


async def test_heartbeats_come_into_every_idle_partition(servers: Endpoints):
    async with reading(servers, FROM_END) as reader, replica(servers) as client:
        clock = ReportFramesRequest(replay_clock={"city": "auckland", "time_ms": MONDAY_MS})
        await collect(client.ReportFrames(iter([clock]), timeout=PATIENCE_SECONDS))
        told: set[int] = set()
        async with asyncio.timeout(PATIENCE_SECONDS):
            while told != set(range(4)):
                told |= {r.partition for r in await reader.read(1.0) if r.key is None}


async def test_another_client_of_kafka_picks_the_same_partition(servers: Endpoints):
    await make_topic(servers.kafka, "partitioner-check", 7)
    found: dict[str, int] = {}

    def delivered(error: object, message: confluent_kafka.Message) -> None:
        assert error is None
        key, partition = message.key(), message.partition()
        assert isinstance(key, bytes)
        assert partition is not None
        found[key.decode()] = partition

    def produce() -> None:
        settings = {"bootstrap.servers": servers.kafka, "partitioner": "murmur2"}
        producer = confluent_kafka.Producer(settings)
        for i in range(1000):
            producer.produce("partitioner-check", b"", key=f"entity-{'x' * (i % 30)}{i}", on_delivery=delivered)
        producer.flush(PATIENCE_SECONDS)

    await asyncio.to_thread(produce)
    assert len(found) == 1000
    assert found == {entity_id: partition_of(entity_id, 7) for entity_id in found}


async def test_a_client_that_knows_nothing_finds_and_calls_the_service(servers: Endpoints):
    """Only reflection: no module of ours is used to build the call."""
    async with replica(servers) as client:
        answer = await asyncio.to_thread(_report_by_reflection, client.port)
    assert answer == {"accepted": "1"}


def _report_by_reflection(port: int) -> dict[str, object]:
    with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
        database = ProtoReflectionDescriptorDatabase(channel)
        assert "urban.traffic.v1.TrafficService" in database.get_services()
        pool = descriptor_pool.DescriptorPool(database)
        method = pool.FindServiceByName("urban.traffic.v1.TrafficService").FindMethodByName("Report")
        row = {"entityId": "seg-1", "time": "2024-06-03T10:00:00Z", "periodS": 60, "speedKmh": 42.0}
        request = json_format.ParseDict(
            {"parent": "cities/auckland", "roadFlow": row}, GetMessageClass(method.input_type)()
        )
        call = channel.stream_unary(
            "/urban.traffic.v1.TrafficService/Report",
            request_serializer=lambda r: r.SerializeToString(),
            response_deserializer=GetMessageClass(method.output_type).FromString,
        )
        return dict(json_format.MessageToDict(call(iter([request]), timeout=PATIENCE_SECONDS)))


@pytest.mark.parametrize("service", ["", "urban.traffic.v1.TrafficService"])
async def test_health_is_told_for_the_server_and_the_service(servers: Endpoints, service: str):
    async with replica(servers) as client:
        stub = health_pb2_grpc.HealthStub(client.channel)
        answer = await stub.Check(health_pb2.HealthCheckRequest(service=service), timeout=PATIENCE_SECONDS)
    assert answer.status == health_pb2.HealthCheckResponse.SERVING
