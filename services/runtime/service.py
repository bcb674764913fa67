"""One service process: its roles in one event loop, ready when all are, stopped gracefully, loud when one fails."""

from __future__ import annotations

import asyncio
import importlib
import json
import logging
import os
import signal
import sys
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import structlog
import uvloop
from prometheus_client import REGISTRY

from services.core.kind import Domain
from services.runtime import metrics, tracing
from services.runtime.catalogue import Topic, domain_topics, shared_topics
from services.runtime.clickhouse import ClickHouse
from services.runtime.grpc_server import GrpcServer
from services.runtime.kafka_connection import mend_connections
from services.runtime.kafka_security import secure_kafka
from services.runtime.logs import configure_logs
from services.runtime.memory import give_back, leave_out_pandas, look_seldom
from services.runtime.migrations import has_schema
from services.runtime.readiness import Probe, Readiness, kafka_probe
from services.runtime.role import Role, end
from services.runtime.settings import Settings
from services.runtime.topics import ensure_topics

log = structlog.get_logger(__name__)

ALL = "all"
API = "api"
_ROLES = {
    API: ("services.runtime.api", "ApiRole"),
    "processor": ("services.runtime.roles", "ProcessorRole"),
    "archiver": ("services.runtime.roles", "ArchiverRole"),
}
# Longer than a worker needs for its last checkpoints and a server for its open calls.
STOP_TIMEOUT_S = 45.0


def main(domain: Domain, arguments: Sequence[str] | None = None) -> int:
    """`python -m services.<domain> all|api|processor|archiver`; the exit status of the process."""
    settings = Settings()  # type: ignore[call-arg]  # every field has a default
    names = chosen_roles(domain.name, list(_ROLES), sys.argv[1:] if arguments is None else arguments)
    topics = (*domain_topics(domain), *shared_topics((domain,)))
    roles = {name: _class_of(name)(domain, settings) for name in names}
    return run_service(domain.name, settings, roles, topics)


def _class_of(role: str) -> Callable[[Domain, Settings], Role]:
    """Imported by name: an api needs nothing of what a processor needs, Faust above all."""
    module, name = _ROLES[role]
    made: Callable[[Domain, Settings], Role] = getattr(importlib.import_module(module), name)
    return made


def chosen_roles(service: str, known: Sequence[str], arguments: Sequence[str]) -> Sequence[str]:
    """The roles that the command line asks for; ends the process with status 2 where it asks for none."""
    if len(arguments) == 1 and arguments[0] in (ALL, *known):
        return known if arguments[0] == ALL else arguments
    print(f"usage: python -m services.{service} {'|'.join((ALL, *known))}", file=sys.stderr)
    raise SystemExit(2)


def settle() -> None:
    """What a process of the city does before it works."""
    leave_out_pandas()
    mend_connections()
    look_seldom()


def trace(name: str, settings: Settings) -> None:
    """Sends spans to where the settings say, in the name of a process."""
    if settings.otlp:
        # Imported here: who sends none shall not pay for it.
        otlp = importlib.import_module("services.runtime.otlp")
        tracing.use(otlp.OtlpTracer(settings.otlp, name, settings.instance, settings.trace_ratio))


def run_service(service: str, settings: Settings, roles: Mapping[str, Role], topics: Sequence[Topic]) -> int:
    """Run the roles until SIGTERM or SIGINT (exit status 0), or until one of them fails (1).

    The role `api`, if there is one, serves gRPC by itself and tells its `server`; else a server is started that answers
    health alone. `topics` are created where they are missing, and the service's own schema is brought up to date.
    """
    configure_logs(settings.log_format, settings.log_level, service=service, instance=settings.instance)
    settle()
    secure_kafka(settings.kafka_tls)
    trace(service if len(roles) > 1 else f"{service}-{next(iter(roles))}", settings)
    process = _Process(service, settings, roles, topics)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        status = runner.run(process.run())
        if process.hangs:
            # Clients of a Kafka that is away wait for it, threads among them, and Python would wait for those. Nothing
            # is lost: what was not stored is covered by no checkpoint, and what was not written is not acknowledged.
            logging.shutdown()
            os._exit(status)
    tracing.stop()
    return status


class _Process:
    def __init__(self, service: str, settings: Settings, roles: Mapping[str, Role], topics: Sequence[Topic]) -> None:
        self._service, self._settings, self._roles, self._topics = service, settings, roles, topics
        self._health: GrpcServer | None = None
        self._connections = AsyncExitStack()
        self._started: list[str] = []
        self.hangs = False  # something did not stop in time

    async def run(self) -> int:
        asked = asyncio.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(number, asked.set)
        REGISTRY.register(metrics.ProcessMemory())
        server, metrics_port = metrics.serve(self._settings.metrics_host, self._settings.metrics_port)
        status = 0
        try:
            status = await self._work(asked, metrics_port)
        except Exception as error:
            log.error("service_failed", error=repr(error), exc_info=error)
            status = 1
        finally:
            async with self._in_time():
                status = max(status, await self._stop())
            server.shutdown()
        status = 1 if self.hangs else status
        log.info("service_stopped", status=status)
        return status

    async def _work(self, asked: asyncio.Event, metrics_port: int) -> int:
        waiting = asyncio.create_task(asked.wait())
        working = asyncio.create_task(self._start_and_wait(metrics_port))
        giving_back = asyncio.create_task(give_back())
        try:
            await asyncio.wait([waiting, working], return_when=asyncio.FIRST_COMPLETED)
            if working.done() and not asked.is_set():
                working.result()
        finally:
            async with self._in_time():
                await end(waiting, working, giving_back)
        return 0

    @asynccontextmanager
    async def _in_time(self) -> AsyncIterator[None]:
        """What is not done in the time for a stop is left as it is."""
        try:
            async with asyncio.timeout(STOP_TIMEOUT_S):
                yield
        except TimeoutError:
            log.error("stop_took_too_long", seconds=STOP_TIMEOUT_S)
            self.hangs = True

    async def _start_and_wait(self, metrics_port: int) -> None:
        await asyncio.gather(
            ensure_topics(self._settings.kafka, self._topics),
            has_schema(self._settings, self._service),
        )
        await asyncio.gather(*(self._start(name, role) for name, role in self._roles.items()))
        server = await self._grpc_server()
        readiness = Readiness(await self._needs(), server.mark_ready)
        self._tell_ready(server.port, metrics_port)
        waits = {asyncio.create_task(role.wait(), name=name) for name, role in self._roles.items()}
        waits.add(asyncio.create_task(readiness.run(), name="readiness"))
        try:
            done, _ = await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        finally:
            await end(*waits)
        for task in done:
            task.result()
            raise RuntimeError(f"role {task.get_name()} ended by itself")

    async def _start(self, name: str, role: Role) -> None:
        await role.start()
        self._started.append(name)
        log.info("role_ready", role=name)

    async def _grpc_server(self) -> GrpcServer:
        if API in self._roles:
            server: GrpcServer = getattr(self._roles[API], "server")  # noqa: B009 (of that role only)
            return server
        self._health = GrpcServer.of(self._settings, [])
        await self._health.start()
        return self._health

    async def _needs(self) -> dict[str, Probe]:
        """What must answer for the process to be ready. An api takes observations without ClickHouse."""
        needs = {"kafka": kafka_probe(self._settings.kafka)}
        if self._roles.keys() - {API}:
            clickhouse = await ClickHouse.of(self._settings)
            self._connections.push_async_callback(clickhouse.close)
            needs["clickhouse"] = clickhouse.ping
        return needs

    def _tell_ready(self, grpc_port: int, metrics_port: int) -> None:
        told = {"grpc": grpc_port, "metrics": metrics_port, "pid": os.getpid()}
        log.info("service_ready", **told)
        if self._settings.ready_file:
            # Whole or not at all: somebody waits for it.
            draft = Path(f"{self._settings.ready_file}.{os.getpid()}")
            draft.write_text(json.dumps(told))
            draft.replace(self._settings.ready_file)

    async def _stop(self) -> int:
        """Clients are turned away first, then the others finish; 1 if one of them failed at it."""
        if self._health is not None:
            await self._health.mark_stopping()
        order = sorted(self._started, key=lambda name: name != API)
        status = 0
        for name in order:
            # A task of its own: where a library's cancelled task shows through, it must not look like ours.
            stopping = asyncio.create_task(self._roles[name].stop(), name=f"stop {name}")
            await asyncio.wait([stopping])
            error = asyncio.CancelledError() if stopping.cancelled() else stopping.exception()
            if error is not None:
                log.error("role_failed_to_stop", role=name, error=repr(error), exc_info=error)
                status = 1
        if self._health is not None:
            await self._health.stop()
        await self._connections.aclose()
        return status
