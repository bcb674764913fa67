"""The one gRPC server set-up of every service: health, reflection, limits, deadlines, errors, graceful stop."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any

import grpc
import structlog
from google.protobuf.descriptor import MethodDescriptor, ServiceDescriptor
from google.protobuf.message import DecodeError
from google.protobuf.message_factory import GetMessageClass
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection
from grpc_status import rpc_status

from services.runtime import tracing
from services.runtime.certificates import Certificates
from services.runtime.errors import CallError, invalid_field, out_of_range, resource_exhausted, unavailable
from services.runtime.log import LogError, OffsetGoneError, RecordTooLargeError
from services.runtime.settings import Settings

log = structlog.get_logger(__name__)

MAX_RECEIVE_BYTES = 4 << 20
MAX_SEND_BYTES = 16 << 20
# A call that is still open so long after the start of the stop is cancelled.
DRAIN_SECONDS = 10.0

# The name under which health tells that the process lives, whatever it waits for.
LIVE = "live"

OPTIONS: Sequence[tuple[str, int]] = (
    ("grpc.max_receive_message_length", MAX_RECEIVE_BYTES),
    ("grpc.max_send_message_length", MAX_SEND_BYTES),
    ("grpc.max_concurrent_streams", 1024),
    # Two servers on one port would share the calls without a word.
    ("grpc.so_reuseport", 0),
    # A peer that is gone is noticed within 80 s; a client may ask every 10 s.
    ("grpc.keepalive_time_ms", 60_000),
    ("grpc.keepalive_timeout_ms", 20_000),
    ("grpc.keepalive_permit_without_calls", 1),
    ("grpc.http2.min_ping_interval_without_data_ms", 10_000),
    ("grpc.http2.min_recv_ping_interval_without_data_ms", 10_000),
)

Context = grpc.aio.ServicerContext[Any, Any]
# (request or iterator of requests, context) -> awaitable of a response, or asynchronous iterator of responses, or
# awaitable of nothing where the responses were written to the context
Method = Callable[[Any, Context], Any]


@dataclass(frozen=True)
class Service:
    """What a server serves: a service of the contracts, and a function for each of its methods.

    A function takes the request, or an asynchronous iterator of requests, and the context; it is a coroutine that
    gives the response, or an asynchronous generator of responses, as the method says; one that minds how fast its
    responses are taken may be a coroutine that writes them to the context. Those named in `raw` take requests as bytes.
    An exception of services/runtime/errors.py becomes the status that it says; LogError becomes UNAVAILABLE,
    OffsetGoneError OUT_OF_RANGE, and an unknown one INTERNAL with a log line.
    """

    descriptor: ServiceDescriptor
    methods: Mapping[str, Method]
    raw: frozenset[str] = frozenset()

    def __post_init__(self) -> None:
        named = set(self.descriptor.methods_by_name)
        if named != set(self.methods):
            differ = sorted(named ^ set(self.methods))
            raise TypeError(f"{self.descriptor.full_name}: methods without a function, or the reverse: {differ}")


class GrpcServer:
    """A server of some services. `start` binds; `stop` lets calls end."""

    def __init__(
        self, host: str, port: int, services: Sequence[Service], *, certificates: str = "", probe_port: int = 0
    ) -> None:
        """`port` 0: any free one.

        `certificates`: a folder (certificates.py) with which it speaks TLS to those alone who have a certificate of the
        same authority. `probe_port`: there it answers health, and nothing else, to anybody and in the clear, as probes
        of Kubernetes have no certificate; 0: nowhere.
        """
        self._host, self._address, self._probe_port = host, f"{host}:{port}", probe_port
        self._certificates = certificates
        self._services = services
        self._server: grpc.aio.Server | None = None
        self._probes: grpc.aio.Server | None = None
        self.port = 0  # bound port, after the start

    @classmethod
    def of(cls, settings: Settings, services: Sequence[Service]) -> GrpcServer:
        """That of a service."""
        return cls(
            settings.grpc_host,
            settings.grpc_port,
            services,
            certificates=settings.grpc_tls,
            probe_port=settings.probe_port,
        )

    async def start(self) -> None:
        """Binds and serves. RuntimeError where the address is taken."""
        server = grpc.aio.server(options=OPTIONS)
        self._health = health.aio.HealthServicer()  # type: ignore[attr-defined]  # not in its stubs
        server.add_generic_rpc_handlers(tuple(_handlers_of(service) for service in self._services))
        health_pb2_grpc.add_HealthServicer_to_server(self._health, server)
        names = [service.descriptor.full_name for service in self._services]
        reflection.enable_server_reflection((*names, health.SERVICE_NAME, reflection.SERVICE_NAME), server)
        if self._certificates:
            self.port = server.add_secure_port(self._address, server_credentials(self._certificates))
        else:
            self.port = server.add_insecure_port(self._address)
        await server.start()
        self._server = server
        if self._probe_port:
            self._probes = grpc.aio.server(options=OPTIONS)
            health_pb2_grpc.add_HealthServicer_to_server(self._health, self._probes)
            self._probes.add_insecure_port(f"{self._host}:{self._probe_port}")
            await self._probes.start()
        self._names = ("", *names)
        await self._health.set(LIVE, health_pb2.HealthCheckResponse.SERVING)
        await self.mark_ready(True)

    async def mark_ready(self, ready: bool) -> None:
        """Health says of every service whether calls are welcome; of LIVE it says SERVING until the stop."""
        status = health_pb2.HealthCheckResponse
        for name in self._names:
            await self._health.set(name, status.SERVING if ready else status.NOT_SERVING)

    async def mark_stopping(self) -> None:
        """Health says NOT_SERVING from now on, so that nobody sends new calls here."""
        await self._health.enter_graceful_shutdown()

    async def stop(self, drain_seconds: float = DRAIN_SECONDS) -> None:
        """NOT_SERVING, no new calls, time for the open ones, then cancelled."""
        if self._server is not None:
            server, self._server = self._server, None
            await self.mark_stopping()
            await server.stop(drain_seconds)
        if self._probes is not None:
            probes, self._probes = self._probes, None
            await probes.stop(None)


def server_credentials(folder: str) -> grpc.ServerCredentials:
    """Of this folder; who calls needs a certificate of its authority. Other files hold from the next handshake on."""
    certificates = Certificates(folder)

    def configuration() -> grpc.ServerCertificateConfiguration:
        authority, certificate, key = certificates.read()
        return grpc.ssl_server_certificate_configuration([(key, certificate)], root_certificates=authority)

    def renewed() -> grpc.ServerCertificateConfiguration | None:
        return configuration() if certificates.renewed() else None

    return grpc.dynamic_ssl_server_credentials(
        configuration(),
        renewed,  # type: ignore[arg-type]  # None is what it asks for where nothing has changed
        require_client_authentication=True,
    )


def _handlers_of(service: Service) -> grpc.GenericRpcHandler[Any, Any]:
    handlers = {
        name: _handler_of(service.descriptor.methods_by_name[name], method, name in service.raw)
        for name, method in service.methods.items()
    }
    return grpc.method_handlers_generic_handler(service.descriptor.full_name, handlers)


def _handler_of(descriptor: MethodDescriptor, method: Method, raw: bool) -> Any:
    """Requests come in as bytes and are read here, so that one that cannot be read is refused like any other."""
    request_class = GetMessageClass(descriptor.input_type)
    read = _reader_of(request_class, descriptor.input_type.name)
    many_requests, many_responses = descriptor.client_streaming, descriptor.server_streaming
    waits = many_responses and not many_requests

    def begin(request: Any, context: Context) -> Any:
        if waits and context.time_remaining() is None:
            raise invalid_field("grpc-timeout", "", f"{descriptor.name} would wait for ever: set a deadline")
        if raw:
            return method(request, context)
        return method(_read_all(request, read) if many_requests else read(request), context)

    async def one(request: Any, context: Context) -> Any:
        try:
            return await begin(request, context)
        except Exception as error:  # noqa: BLE001 (the edge of the process: becomes a status, and a log line)
            await _abort(descriptor, error, context)

    async def many(request: Any, context: Context) -> AsyncIterator[Any]:
        try:
            answering = begin(request, context)
            if inspect.isawaitable(answering):
                await answering
                return
            async for response in answering:
                yield response
        except Exception as error:  # noqa: BLE001 (the edge of the process: becomes a status, and a log line)
            await _abort(descriptor, error, context)

    make = {
        (False, False): grpc.unary_unary_rpc_method_handler,
        (False, True): grpc.unary_stream_rpc_method_handler,
        (True, False): grpc.stream_unary_rpc_method_handler,
        (True, True): grpc.stream_stream_rpc_method_handler,
    }[many_requests, many_responses]
    answer: Any = many if many_responses else one
    if tracing.on():
        answer = _traced_many(descriptor, many) if many_responses else _traced_one(descriptor, one)
    return make(answer, None, lambda response: response.SerializeToString())


def _traced_one(descriptor: MethodDescriptor, method: Method) -> Method:
    service, name = descriptor.containing_service.full_name, descriptor.name

    async def one(request: Any, context: Context) -> Any:
        with tracing.serving(service, name, context.invocation_metadata() or ()):
            return await method(request, context)

    return one


def _traced_many(descriptor: MethodDescriptor, method: Method) -> Method:
    service, name = descriptor.containing_service.full_name, descriptor.name

    async def many(request: Any, context: Context) -> AsyncIterator[Any]:
        with tracing.serving(service, name, context.invocation_metadata() or ()):
            async with aclosing(method(request, context)) as responses:
                async for response in responses:
                    yield response

    return many


def _reader_of(request_class: Any, name: str) -> Callable[[bytes], Any]:
    def read(data: bytes) -> Any:
        try:
            return request_class.FromString(data)
        except DecodeError as error:
            raise invalid_field("request", f"{len(data)} bytes", f"no {name}: {error}") from None

    return read


async def _read_all(requests: AsyncIterator[bytes], read: Callable[[bytes], Any]) -> AsyncIterator[Any]:
    async for data in requests:
        yield read(data)


async def _abort(descriptor: MethodDescriptor, error: Exception, context: Context) -> None:
    if isinstance(error, grpc.aio.AbortError):
        raise error
    if isinstance(error, grpc.aio.InternalError):
        # A response could not be handed over: the caller went away at that moment, so there is nobody to answer.
        raise asyncio.CancelledError
    if isinstance(error, RecordTooLargeError):
        # Not UNAVAILABLE: the caller would send it again and again.
        error = resource_exhausted("record", f"{error.size_bytes} bytes", f"must be at most {error.limit_bytes} bytes")
    elif isinstance(error, LogError):
        error = unavailable(str(error))
    elif isinstance(error, OffsetGoneError):
        error = out_of_range("resume_token", str(error))
    elif not isinstance(error, CallError):
        log.exception("call failed", method=descriptor.full_name, exc_info=error)
        error = CallError(grpc.StatusCode.INTERNAL, "INTERNAL", f"{descriptor.name} failed: {type(error).__name__}")
    assert isinstance(error, CallError)
    status = rpc_status.to_status(error.status())
    tracing.tell_status(status.code.value[0], str(error))
    await context.abort(status.code, status.details, status.trailing_metadata)
