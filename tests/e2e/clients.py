"""Clients that are not ours: a Kafka consumer of another make, and a gRPC client that knows only reflection."""

from __future__ import annotations

import time
from typing import Any

import grpc
import pytest
from confluent_kafka import Consumer
from google.protobuf import descriptor_pool, message_factory
from grpc_reflection.v1alpha.proto_reflection_descriptor_database import ProtoReflectionDescriptorDatabase

from services.cli.addresses import Addresses
from tests.e2e.conftest import PATIENCE_S


def read_record(addresses: Addresses, incident_id: str) -> tuple[bytes, dict[str, bytes]]:
    """An incident's newest record, read by a consumer of another make."""
    consumer = Consumer(
        {"bootstrap.servers": addresses.kafka, "group.id": "somebody-else", "auto.offset.reset": "earliest"}
    )
    consumer.subscribe(["urban.incidents.v1"])
    deadline = time.monotonic() + PATIENCE_S
    try:
        while time.monotonic() < deadline:
            record = consumer.poll(1.0)
            if record is not None and not record.error() and record.key() == incident_id.encode():
                headers: Any = record.headers()
                return record.value() or b"", dict(headers)
    finally:
        consumer.close()
    pytest.fail(f"incident {incident_id} is not on the topic")


def list_by_reflection(addresses: Addresses) -> list[str]:
    """Ids of the incidents, by a client that knows no contract but what the service tells."""
    with grpc.insecure_channel(addresses.service("correlation").grpc) as channel:
        pool = descriptor_pool.DescriptorPool(ProtoReflectionDescriptorDatabase(channel))
        method = pool.FindServiceByName("urban.correlation.v1.CorrelationService").methods_by_name["ListIncidents"]
        request, response = (message_factory.GetMessageClass(t) for t in (method.input_type, method.output_type))
        call = channel.unary_unary(
            "/urban.correlation.v1.CorrelationService/ListIncidents", request.SerializeToString, response.FromString
        )
        return [listed.id for listed in call(request(parent="cities/auckland"), timeout=30).incidents]
