"""A client of a domain's service, built from its descriptor, and services to call, over a log in memory."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any

import grpc
from google.protobuf.message_factory import GetMessageClass
from google.rpc import error_details_pb2, status_pb2
from grpc_status import rpc_status

from services.core.frame import Frame
from services.core.kind import Domain
from services.runtime.api import ApiRole
from services.runtime.catalogue import domain_topics, observations, shared_topics
from services.runtime.codec import decode_record
from services.runtime.contracts import service_of
from services.runtime.fakes import MemoryLog
from services.runtime.settings import Settings
from tests.contract.domains import BY_KIND

# A bound for what never happens; a busy machine gets there in time.
PATIENCE_SECONDS = 60.0


class Client:
    """Calls the methods of a domain's service by name; requests may be bytes."""

    def __init__(
        self, domain: str, port: int, options: Sequence[tuple[str, Any]] = (), channel: grpc.aio.Channel | None = None
    ) -> None:
        self.port = port
        self.channel = channel or grpc.aio.insecure_channel(f"127.0.0.1:{port}", options=list(options))
        self._methods = service_of(domain).methods_by_name
        self._service = service_of(domain).full_name

    def request(self, method: str) -> Any:
        """Class of a method's requests."""
        return GetMessageClass(self._methods[method].input_type)

    def __getattr__(self, name: str) -> Any:
        method = self._methods[name]
        shape = f"{'stream' if method.client_streaming else 'unary'}_{'stream' if method.server_streaming else 'unary'}"
        return getattr(self.channel, shape)(
            f"/{self._service}/{name}",
            request_serializer=lambda r: r if isinstance(r, bytes) else r.SerializeToString(),
            response_deserializer=GetMessageClass(method.output_type).FromString,
        )


class NothingStored:
    """ClickHouse without a row."""

    async def query(self, sql: str, parameters: Mapping[str, Any] | None = None) -> Sequence[Sequence[Any]]:
        return ()


def memory_log(domain: Domain) -> MemoryLog:
    """The topics of one domain, empty."""
    return MemoryLog({topic.name: topic.partitions for topic in (*domain_topics(domain), *shared_topics((domain,)))})


def make_role(domain: Domain, log: MemoryLog, **facts: Any) -> ApiRole:
    """A replica of the api role over a log in memory, not started. `facts`: settings that are not the usual ones."""
    settings = Settings(instance="api-under-test", **facts)
    return ApiRole(domain, settings, writer=log, open_reader=log.reader, clickhouse=NothingStored())


@asynccontextmanager
async def serving(domain: Domain, log: MemoryLog, **facts: Any) -> AsyncIterator[Client]:
    """A started replica, and a client of it."""
    role = make_role(domain, log, **facts)
    await role.start(drain_seconds=0.5)
    client = Client(domain.name, role.port)
    try:
        yield client
    finally:
        await client.channel.close(None)
        await role.stop()


def observations_in(log: MemoryLog, kind: str = "road_flow") -> list[Frame]:
    """The frames of a kind that were written, heartbeats left out; each must be readable."""
    contract = BY_KIND[kind]
    records = [record for partition in log.records(observations(contract.domain, kind)) for record in partition]
    decoded = [decode_record(contract, r.value, r.headers, r.timestamp_ms, r.offset) for r in records]
    frames = [frame for found in decoded for frame in found if isinstance(frame, Frame)]
    assert len(frames) == len(records)
    return [frame for frame in frames if not frame.heartbeat]


async def collect(call: Any) -> tuple[list[Any], grpc.aio.AioRpcError | None]:
    """All responses of a stream, and the error that ended it, if one did."""
    found = []
    try:
        async for response in call:
            found.append(response)
    except grpc.aio.AioRpcError as error:
        return found, error
    return found, None


def details_of(error: grpc.aio.AioRpcError) -> status_pb2.Status:
    """The google.rpc.Status of a refused call."""
    status = rpc_status.from_call(error)  # type: ignore[arg-type]  # it asks for no more than this has
    assert status is not None
    return status


def info_of(error: grpc.aio.AioRpcError) -> error_details_pb2.ErrorInfo:
    """The reason of a refused call, for programs."""
    info = error_details_pb2.ErrorInfo()
    assert details_of(error).details[0].Unpack(info)
    return info


def violations_of(error: grpc.aio.AioRpcError) -> list[tuple[str, str]]:
    """Field and description of every violation that a refused call names."""
    request = error_details_pb2.BadRequest()
    for detail in details_of(error).details:
        if detail.Is(request.DESCRIPTOR):
            detail.Unpack(request)
    return [(violation.field, violation.description) for violation in request.field_violations]
