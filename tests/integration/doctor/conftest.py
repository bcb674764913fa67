"""A whole city by the wall clock, started once for all tests of the doctor: each puts right what it has broken."""

from __future__ import annotations

import asyncio
import json
import os
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from deploy.local.kafka import KafkaSettings
from deploy.local.process import Child
from deploy.local.servers import LocalServers, ServerSettings
from services.cli.addresses import Addresses, ServiceAddress
from services.cli.checkup.examination import Examination, examine
from services.cli.domains import find_domains, service_names
from services.runtime.migrations import migrate

REPOSITORY = Path(__file__).resolve().parents[3]
# Seven processes start at once, and the machine may be busy.
START_S = 240.0
SETTLE_S = 150.0
# Its roles are processes of their own, so that one of them can be ended without the others.
APART = "security"
ROLES = ("api", "processor", "archiver")


class Ward:
    """The city, and what is needed to break it."""

    def __init__(self, kafka: str, clickhouse: str, folder: Path) -> None:
        self.kafka, self.clickhouse, self._folder = kafka, clickhouse, folder
        self._children: dict[str, Child] = {}

    def start_all(self) -> None:
        for name in service_names():
            for role in ROLES if name == APART else ("all",):
                self.start(name, role)
        for name in service_names():
            self.address(name)
        migrate(self.clickhouse)

    def start(self, service: str, role: str) -> None:
        """Start a role; `address` waits until it is ready."""
        file = self._ready_file(service, role)
        file.unlink(missing_ok=True)
        env = {
            **{name: value for name, value in os.environ.items() if not name.startswith("URBAN_")},
            "URBAN_KAFKA": self.kafka,
            "URBAN_CLICKHOUSE": self.clickhouse,
            "URBAN_CHECKPOINT_SECONDS": "0.5",
            "URBAN_READY_FILE": str(file),
            "URBAN_CANARY_SECONDS": "1",
            "URBAN_UNKNOWN_ENTITIES": '{"traffic.parking": "quarantine"}',
        }
        name = f"{service}-{role}"
        argv = [sys.executable, "-m", f"services.{service}", role]
        self._children[name] = Child.start(name, argv, self._folder / f"{name}.log", env=env, cwd=REPOSITORY)

    def end(self, service: str, role: str) -> None:
        """SIGTERM, and wait."""
        assert self._children[f"{service}-{role}"].stop(30) == 0

    def address(self, service: str, role: str = "") -> ServiceAddress:
        """Where a role listens; waits until it is ready. That of the api where roles are apart."""
        role = role or ("api" if service == APART else "all")
        file, child = self._ready_file(service, role), self._children[f"{service}-{role}"]
        deadline = time.monotonic() + START_S
        while not file.is_file() or not file.read_text():
            assert child.poll() is None, child.tail()
            assert time.monotonic() < deadline, child.tail()
            time.sleep(0.1)
        ports = json.loads(file.read_text())
        return ServiceAddress(f"127.0.0.1:{ports['grpc']}", f"http://127.0.0.1:{ports['metrics']}/metrics")

    @property
    def addresses(self) -> Addresses:
        return Addresses(self.kafka, self.clickhouse, {name: self.address(name) for name in service_names()})

    async def look(self, addresses: Addresses | None = None) -> Examination:
        return await examine(addresses or self.addresses, find_domains(), "wall")

    async def until(self, *checks: str) -> Examination:
        """Look until exactly these checks have found something: what was broken or mended shows within seconds."""
        deadline = time.monotonic() + SETTLE_S
        while True:
            found = await self.look()
            if sorted(finding.check for finding in found.findings) == sorted(checks):
                return found
            assert time.monotonic() < deadline, f"expected {checks}, found {found.findings}"
            await asyncio.sleep(0.5)

    def kill(self) -> None:
        for child in self._children.values():
            child.kill()
        for child in self._children.values():
            child.wait(30)

    def _ready_file(self, service: str, role: str) -> Path:
        return self._folder / f"{service}-{role}.json"


@pytest.fixture(scope="module")
def ward(tmp_path_factory: pytest.TempPathFactory, download_cache: Path) -> Iterator[Ward]:
    settings = ServerSettings(
        kafka=KafkaSettings(first_port=0), clickhouse_port=0, clickhouse_fsync=False, cache=download_cache
    )
    folder = tmp_path_factory.mktemp("doctor")
    with LocalServers(folder / "servers", settings) as endpoints:
        ward = Ward(endpoints.kafka, endpoints.clickhouse, folder)
        try:
            ward.start_all()
            yield ward
        finally:
            ward.kill()
