"""The correlation service as its own process, on servers of its own: it reads a topic that every domain writes to."""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

import pytest

from deploy.local.kafka import KafkaSettings
from deploy.local.process import Child
from deploy.local.servers import Endpoints, LocalServers, ServerSettings
from tests.integration.conftest import REPOSITORY

T = TypeVar("T")
PATIENCE_S = 60.0


def wait_until(look: Callable[[], T], what: str) -> T:
    """What `look` gives as soon as it is not empty; fails after a minute."""
    until = time.monotonic() + PATIENCE_S
    while not (found := look()):
        assert time.monotonic() < until, f"waited a minute for {what}"
        time.sleep(0.05)
    return found


@pytest.fixture(scope="module")
def own_servers(tmp_path_factory: pytest.TempPathFactory, download_cache: Path) -> Iterator[Endpoints]:
    """Kafka and ClickHouse that nobody else writes to."""
    settings = ServerSettings(
        kafka=KafkaSettings(first_port=0), clickhouse_port=0, clickhouse_fsync=False, cache=download_cache
    )
    with LocalServers(tmp_path_factory.mktemp("correlation"), settings) as endpoints:
        yield endpoints


@dataclass
class Service:
    """`python -m services.correlation all`, which may be killed and started again."""

    servers: Endpoints
    folder: Path
    child: Child | None = None
    port: int = 0
    starts: int = field(default=0)
    settings: dict[str, str] = field(default_factory=dict)  # beside those below

    def start(self) -> None:
        """Returns when it is ready."""
        ready, log = self.folder / f"ready-{self.starts}.json", self.folder / "correlation.log"
        self.starts += 1
        env = os.environ | {
            "URBAN_KAFKA": self.servers.kafka,
            "URBAN_CLICKHOUSE": self.servers.clickhouse,
            "URBAN_READY_FILE": str(ready),
            "URBAN_CHECKPOINT_SECONDS": "0.5",
            "URBAN_SESSION_TIMEOUT_SECONDS": "6",
            **self.settings,
        }
        argv = [sys.executable, "-m", "services.correlation", "all"]
        child = self.child = Child.start("correlation", argv, log, env=env, cwd=REPOSITORY)

        def look() -> bool:
            assert child.poll() is None, child.tail(40)
            return ready.exists()

        wait_until(look, "the service")
        self.port = json.loads(ready.read_text())["grpc"]

    def kill(self) -> None:
        """kill -9."""
        assert self.child is not None
        os.kill(self.child.pid, signal.SIGKILL)
        wait_until(lambda: self.child is not None and self.child.poll() is not None, "the end of the process")

    def let_commands_find(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Tells `urban` by its environment where this service and its servers are."""
        monkeypatch.setenv("URBAN_KAFKA", self.servers.kafka)
        monkeypatch.setenv("URBAN_CLICKHOUSE", self.servers.clickhouse)
        monkeypatch.setenv("URBAN_SERVICES", json.dumps({"correlation": f"127.0.0.1:{self.port}"}))

    def stop(self) -> int:
        """SIGTERM; gives the exit status."""
        assert self.child is not None
        return self.child.stop(60)


@pytest.fixture(scope="module")
def service(own_servers: Endpoints, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """The running service."""
    made = Service(own_servers, tmp_path_factory.mktemp("service"))
    made.start()
    yield made
    assert made.stop() == 0, made.child.tail(40) if made.child else ""
