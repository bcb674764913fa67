"""The server set-up: every failure becomes a status that says what a client can do, and stopping is announced."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from structlog.testing import capture_logs

from services.runtime.contracts import service_of
from services.runtime.errors import (
    CallError,
    Violation,
    failed_precondition,
    invalid_argument,
    not_found,
    out_of_range,
    unavailable,
)
from services.runtime.grpc_server import GrpcServer, Method, Service
from services.runtime.log import LogError, OffsetGoneError
from tests.contract.calls import PATIENCE_SECONDS, Client, collect, details_of, violations_of
from urban.common.v1.service_pb2 import (
    ListEntitiesRequest,
    ListEntitiesResponse,
    WatchSignalsRequest,
    WatchSignalsResponse,
)

CALLERS = 60

TRAFFIC = service_of("traffic")
SERVING = health_pb2.HealthCheckResponse.SERVING
NOT_SERVING = health_pb2.HealthCheckResponse.NOT_SERVING


async def _unused(request: Any, context: Any) -> Any:
    raise AssertionError("not called in this test")


def service(**methods: Method) -> Service:
    return Service(TRAFFIC, {name: methods.get(name, _unused) for name in TRAFFIC.methods_by_name})


@asynccontextmanager
async def serving(**methods: Method) -> AsyncIterator[tuple[GrpcServer, Client]]:
    server = GrpcServer("127.0.0.1", 0, [service(**methods)])
    await server.start()
    client = Client("traffic", server.port)
    try:
        yield server, client
    finally:
        await client.channel.close(None)
        await server.stop(0.5)


def failing(error: Exception) -> Method:
    async def call(request: Any, context: Any) -> Any:
        raise error

    return call


ERRORS: list[tuple[Exception, grpc.StatusCode, str]] = [
    (LogError("no broker"), grpc.StatusCode.UNAVAILABLE, "no broker"),
    (OffsetGoneError("offset 5 is gone"), grpc.StatusCode.OUT_OF_RANGE, "resume_token: offset 5 is gone"),
    (not_found("cities/x/incidents/y"), grpc.StatusCode.NOT_FOUND, "cities/x/incidents/y does not exist"),
    (failed_precondition("incident", "is resolved"), grpc.StatusCode.FAILED_PRECONDITION, "is resolved"),
    (out_of_range("token", "too old"), grpc.StatusCode.OUT_OF_RANGE, "token: too old"),
    (unavailable("later"), grpc.StatusCode.UNAVAILABLE, "later"),
]


@pytest.mark.parametrize(("error", "code", "message"), ERRORS, ids=[type(e).__name__ + c.name for e, c, _ in ERRORS])
async def test_an_error_becomes_its_status(error: Exception, code: grpc.StatusCode, message: str):
    async with serving(ListEntities=failing(error)) as (_, client):
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await client.ListEntities(ListEntitiesRequest(), timeout=PATIENCE_SECONDS)
    assert (caught.value.code(), caught.value.details()) == (code, message)
    status = details_of(caught.value)
    assert (status.code, status.message) == (code.value[0], message)
    assert len(status.details) >= 1


async def test_an_unknown_error_is_internal_and_logged_and_tells_no_secret():
    async with serving(ListEntities=failing(ZeroDivisionError("password=x"))) as (_, client):
        with capture_logs() as logged, pytest.raises(grpc.aio.AioRpcError) as caught:
            await client.ListEntities(ListEntitiesRequest(), timeout=PATIENCE_SECONDS)
    assert caught.value.code() is grpc.StatusCode.INTERNAL
    assert caught.value.details() == "ListEntities failed: ZeroDivisionError"
    (entry,) = logged
    assert (entry["log_level"], entry["method"]) == ("error", "urban.traffic.v1.TrafficService.ListEntities")
    assert isinstance(entry["exc_info"], ZeroDivisionError)


async def test_an_error_in_a_stream_comes_behind_what_was_sent():
    async def call(request: Any, context: Any) -> AsyncIterator[Any]:
        yield TRAFFIC_RESPONSE
        raise LogError("no broker")

    async with serving(WatchSignals=call) as (_, client):
        found, error = await collect(client.WatchSignals(WatchSignalsRequest(), timeout=PATIENCE_SECONDS))
    assert len(found) == 1
    assert error is not None
    assert error.code() is grpc.StatusCode.UNAVAILABLE


TRAFFIC_RESPONSE = ListEntitiesResponse()


@pytest.mark.parametrize("method", ["ListEntities", "Report"])
async def test_bytes_that_are_no_request_are_invalid(method: str):
    async def call(requests: Any, context: Any) -> Any:
        async for _ in requests:
            pass

    async with serving(Report=call) as (_, client):
        request: Any = iter([b"\xff\xff"]) if method == "Report" else b"\xff\xff"
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await getattr(client, method)(request, timeout=PATIENCE_SECONDS)
    assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    ((field, description),) = violations_of(caught.value)
    assert field == "request"
    assert description.startswith("2 bytes: no ")


def test_a_method_without_a_function_is_found_at_the_start():
    with pytest.raises(TypeError, match="ListWindows"):
        Service(TRAFFIC, {name: _unused for name in TRAFFIC.methods_by_name if name != "ListWindows"})
    with pytest.raises(TypeError, match="Other"):
        Service(TRAFFIC, {**dict.fromkeys(TRAFFIC.methods_by_name, _unused), "Other": _unused})


async def test_a_port_that_is_taken_is_an_error():
    async with serving() as (server, _):
        with pytest.raises(RuntimeError, match=str(server.port)):
            await GrpcServer("127.0.0.1", server.port, [service()]).start()


async def test_who_stops_says_so_first_and_lets_open_calls_end():
    entered, leave = asyncio.Event(), asyncio.Event()

    async def slow(request: Any, context: Any) -> ListEntitiesResponse:
        entered.set()
        await leave.wait()
        return ListEntitiesResponse(next_page_token="done")

    async with serving(ListEntities=slow) as (server, client):
        stub = health_pb2_grpc.HealthStub(client.channel)
        watch = stub.Watch(health_pb2.HealthCheckRequest(service=TRAFFIC.full_name), timeout=PATIENCE_SECONDS)
        assert (await watch.read()).status == SERVING
        call = asyncio.ensure_future(client.ListEntities(ListEntitiesRequest(), timeout=PATIENCE_SECONDS))
        await entered.wait()
        stopping = asyncio.create_task(server.stop(PATIENCE_SECONDS))
        assert (await watch.read()).status == NOT_SERVING
        watch.cancel()
        leave.set()
        assert (await call).next_page_token == "done"
        await stopping


MAKERS: list[Callable[[], CallError]] = [
    lambda: invalid_argument(Violation(f"field[{i}]", "v" * 400, "r" * 50) for i in range(10_000)),
    lambda: invalid_argument([Violation("f\n" * 500, "é" * 5000, "wrong")]),
]


@pytest.mark.parametrize("make", MAKERS)
def test_details_stay_small_whatever_they_tell(make: Callable[[], CallError]):
    assert len(make().status().SerializeToString()) < 8192


async def test_callers_that_go_away_while_a_response_waits_for_them_are_no_failure(caplog: pytest.LogCaptureFixture):
    """What gRPC tells of first, that the caller has gone or that it could not send, is chance: so many of them."""

    async def watch(request: Any, context: Any) -> None:
        while True:
            await context.write(WatchSignalsResponse(resume_token="t" * 1_000_000))

    async with serving(WatchSignals=watch) as (_, client):
        with capture_logs() as logged:
            calls = [client.WatchSignals(WatchSignalsRequest(), timeout=PATIENCE_SECONDS) for _ in range(CALLERS)]
            for call in calls:
                await call.read()
                call.cancel()
                time.sleep(0.01)  # noqa: ASYNC251 (holds the event loop on purpose; gRPC's threads go on)
            await asyncio.sleep(0.1)
    assert logged == []
    assert caplog.records == []
