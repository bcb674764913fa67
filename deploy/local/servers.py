"""Starts Apache Kafka and the ClickHouse engine together, waits until both serve, and stops both at once."""

from __future__ import annotations

import http.client
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from urllib.parse import quote

from deploy.local.kafka import KafkaCluster, KafkaError, KafkaSettings
from deploy.local.ports import LOOPBACK, free_port
from deploy.local.process import Child
from deploy.local.root import RootLock, remove_endpoints, write_endpoints

READY_TIMEOUT_S = 90.0
STOP_TIMEOUT_S = 10.0
POLL_INTERVAL_S = 0.05
START_ATTEMPTS = 3  # a port that was free a moment ago may be taken when the server comes to it
PORT_TAKEN = ("Address already in use", "address already in use", "Address in use")
REPOSITORY = Path(__file__).resolve().parents[2]

Progress = Callable[[str], None]


class ServerError(RuntimeError):
    """A server did not start, or ended by itself; the message holds its last log lines."""


@dataclass(frozen=True)
class Endpoints:
    """Where the servers are. `clickhouse` is empty when it was not asked for."""

    kafka: str  # bootstrap servers, `127.0.0.1:9092`
    clickhouse: str  # `http://127.0.0.1:8123`
    root: Path
    pids: Mapping[str, int]


@dataclass(frozen=True)
class ServerSettings:
    """What to start, and where. A preferred port of 0 means any free one."""

    kafka: KafkaSettings = field(default_factory=KafkaSettings)
    clickhouse: bool = True
    clickhouse_port: int = 8123
    clickhouse_memory_mib: int = 2048
    clickhouse_body_mib: int = 512
    clickhouse_fsync: bool = True
    cache: Path | None = None  # of downloads; `root`/cache when None

    def __post_init__(self) -> None:
        if not 0 <= self.clickhouse_port < 65536:
            raise ValueError(f"clickhouse_port must be 0 to 65535, not {self.clickhouse_port}")


class LocalServers:
    """The servers of one root folder (`.urban`), for the time between `start` and `stop`; also a context manager."""

    def __init__(self, root: Path, settings: ServerSettings | None = None, progress: Progress = print) -> None:
        self.root = root.absolute()
        self.settings = settings or ServerSettings()
        self.kafka: KafkaCluster | None = None
        self.clickhouse: Child | None = None
        self._clickhouse_port = 0
        self._lock: RootLock | None = None
        self._progress = progress

    def start(self) -> Endpoints:
        """Start both and wait until they serve; on any failure nothing is left running.

        Raises `RootInUseError` when another process has started servers in this root, `ServerError`, `KafkaError`,
        `JarError` or `JavaNotFoundError` when a server does not come up.
        """
        self._lock = RootLock.take(self.root)
        try:
            cache = self.settings.cache or self.root / "cache"
            lock_fd = self._lock.file_descriptor
            if self.settings.clickhouse:
                self._start_clickhouse(lock_fd)
            self.kafka = KafkaCluster(self.root, cache, self.settings.kafka, self._progress, pass_fds=(lock_fd,))
            self._start_kafka(self.kafka)
            self._wait_for_clickhouse(lock_fd)
            endpoints = self.endpoints()
            self._tell_of_other_ports()
            write_endpoints(self.root, kafka=endpoints.kafka, clickhouse=endpoints.clickhouse)
        except BaseException:
            self.stop()
            raise
        return endpoints

    def endpoints(self) -> Endpoints:
        """Addresses and process ids as they are now."""
        if self.kafka is None:
            raise ServerError("the servers are not started")
        pids = {child.name: child.pid for child in self.children()}
        url = f"http://{LOOPBACK}:{self._clickhouse_port}" if self.settings.clickhouse else ""
        return Endpoints(self.kafka.bootstrap, url, self.root, pids)

    def children(self) -> list[Child]:
        """The processes of all servers that were started."""
        brokers = list(self.kafka.children.values()) if self.kafka else []
        return [*brokers, *([self.clickhouse] if self.clickhouse else [])]

    def check(self) -> None:
        """Raise `ServerError` naming a server that has ended by itself, with its last log lines."""
        for child in self.children():
            status = child.poll()
            if status is not None:
                raise ServerError(f"{child.name} ended with status {status} ({child.log})\n{child.tail()}")

    def stop(self, timeout_s: float = STOP_TIMEOUT_S) -> None:
        """Stop all servers at the same time, by force after `timeout_s` seconds. Ctrl-C does not interrupt it."""
        with _interrupts_told(self._progress):
            children = self.children()
            if self._lock is not None:
                remove_endpoints(self.root)
            # All at once: the last node of a cluster would wait for a quorum that is gone.
            for child in children:
                child.terminate()
            deadline = time.monotonic() + timeout_s
            for child in children:
                child.stop(max(0.0, deadline - time.monotonic()))
            self.kafka = self.clickhouse = None
            if self._lock is not None:
                self._lock.release()
                self._lock = None

    def __enter__(self) -> Endpoints:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def _start_kafka(self, kafka: KafkaCluster) -> None:
        for attempt in range(1, START_ATTEMPTS + 1):
            try:
                kafka.start()
                kafka.wait_until_ready(READY_TIMEOUT_S)
                return
            except KafkaError:
                logs = "".join(child.tail(200) for child in kafka.children.values())
                if attempt == START_ATTEMPTS or not any(sign in logs for sign in PORT_TAKEN):
                    raise
                for child in kafka.children.values():
                    child.kill()
                    child.wait()

    def _start_clickhouse(self, lock_fd: int) -> None:
        self._clickhouse_port = free_port(self.settings.clickhouse_port)
        data = self.root / "clickhouse"
        data.mkdir(parents=True, exist_ok=True)
        argv = [sys.executable, "-m", "deploy.local.clickhouse", "--data", str(data)]
        argv += ["--port", str(self._clickhouse_port), "--memory-mib", str(self.settings.clickhouse_memory_mib)]
        argv += ["--body-mib", str(self.settings.clickhouse_body_mib)]
        argv += [] if self.settings.clickhouse_fsync else ["--no-fsync"]
        path = os.pathsep.join(filter(None, (str(REPOSITORY), os.environ.get("PYTHONPATH"))))
        environment = os.environ | {"PYTHONPATH": path}
        log = self.root / "logs" / "clickhouse.log"
        # Its folder is the working directory, so that nothing the engine writes by a relative path lands elsewhere.
        self.clickhouse = Child.start("clickhouse", argv, log, env=environment, cwd=data, pass_fds=(lock_fd,))

    def _wait_for_clickhouse(self, lock_fd: int) -> None:
        deadline = time.monotonic() + READY_TIMEOUT_S
        attempts = 1
        data = self.root / "clickhouse"
        while self.clickhouse is not None and not _answers(self._clickhouse_port, data):
            child = self.clickhouse
            status = child.poll()
            if status is not None:
                log = child.tail(200)
                if attempts == START_ATTEMPTS or not any(sign in log for sign in PORT_TAKEN):
                    raise ServerError(f"clickhouse ended with status {status} ({child.log})\n{child.tail()}")
                attempts += 1
                self._start_clickhouse(lock_fd)
            elif time.monotonic() > deadline:
                raise ServerError(f"clickhouse: not ready after {READY_TIMEOUT_S:.0f} s\n{child.tail()}")
            time.sleep(POLL_INTERVAL_S)

    def _tell_of_other_ports(self) -> None:
        if self.kafka and (wanted := self.settings.kafka.first_port):
            given = self.kafka.ports[1].broker
            if given != wanted:
                self._progress(f"kafka: port {wanted} is busy, using {given}")
        wanted = self.settings.clickhouse_port
        if self.clickhouse and wanted and self._clickhouse_port != wanted:
            self._progress(f"clickhouse: port {wanted} is busy, using {self._clickhouse_port}")


def _answers(port: int, data: Path) -> bool:
    """Whether ClickHouse on this port answers `/ping` and runs a query on the data in this folder.

    Another one may have taken the port a moment ago; it also answers, and ours is about to end.
    """
    query = quote("SELECT path FROM system.disks WHERE name = 'default' FORMAT TSVRaw")
    connection = http.client.HTTPConnection(LOOPBACK, port, timeout=5.0)
    try:
        connection.request("GET", "/ping")
        if connection.getresponse().read() != b"Ok.\n":
            return False
        connection.request("GET", f"/?query={query}")
        path = Path(connection.getresponse().read().decode("utf-8", "replace").strip())
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()
    return path.is_relative_to(data)


@contextmanager
def _interrupts_told(progress: Progress) -> Iterator[None]:
    """Answer Ctrl-C with a word instead of breaking off; elsewhere than in the main thread it never arrives."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def tell(_number: int, _frame: object) -> None:
        progress("stopping already, a moment")

    before = {number: signal.signal(number, tell) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
