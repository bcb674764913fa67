"""The city of docker-compose.yml as podman-compose starts it, on free ports, with its own .env."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path

from deploy.local.ports import free_port
from services.cli.domains import service_names
from tests.deploy.compose import COMPOSE, read_example
from tests.deploy.roles import roles
from tests.images.engine import Engine, wait_for
from tests.images.machine import ROOT
from tests.images.prometheus import Prometheus

PROJECT = "urban-test"
PASSWORD = "test8city"
ROLES = [f"{service}-{role}" for service, role in roles()]
SERVERS = ("kafka", "clickhouse")
PROMETHEUS = "prometheus"
# Sixteen processes begin at once on whatever the machine has.
READY_TIMEOUT_S = 1800.0
STOP_TIMEOUT_S = 60
# Below those that the system gives to clients: a server that is started minutes later is to find its port still free.
FIRST_PORT = 20_000 + os.getpid() % 100 * 100


class ComposedCity:
    """All containers of one city; data stay in its volumes until the storage is wiped."""

    def __init__(self, engine: Engine, image: str, folder: Path, told: Mapping[str, str]) -> None:
        """`told` are lines of .env beside those that .env.example has."""
        self._engine = engine
        ports: dict[str, int] = {}
        for name in (*service_names(), *SERVERS, PROMETHEUS):
            ports[name] = free_port(FIRST_PORT, list(ports.values()))
        self._ports = ports
        lines = read_example() | {
            "CITY_IMAGE": image,
            "CLICKHOUSE_PASSWORD": PASSWORD,
            **{f"CITY_{name.upper()}_PORT": str(port) for name, port in ports.items()},
            **told,
        }
        self._variables = folder / "env"
        self._variables.write_text("".join(f"{name}='{value}'\n" for name, value in lines.items()))

    def up(self) -> float:
        """Start everything as a person would; the seconds until every role is healthy."""
        began = time.monotonic()
        self._compose("up", "--detach", "--no-build")
        # Each is asked until it was healthy once: a question starts a process, on a machine that has enough to do.
        waiting = list(ROLES)

        def are_healthy() -> bool:
            while waiting and self.is_healthy(waiting[0]):
                waiting.pop(0)
            return not waiting

        wait_for("the city", are_healthy, READY_TIMEOUT_S, [lambda: self._why(waiting)])
        return time.monotonic() - began

    def up_without_servers(self) -> None:
        """Start every role where there is no Kafka and no ClickHouse, not even as a name."""
        self._compose("up", "--detach", "--no-build", "--no-deps", *ROLES)

    def up_prometheus(self) -> Prometheus:
        """Start Prometheus beside the city, as its profile does."""
        self._compose("--profile", "monitoring", "up", "--detach", "--no-build", PROMETHEUS)
        return Prometheus(f"http://127.0.0.1:{self._ports[PROMETHEUS]}")

    def down(self) -> dict[str, int]:
        """Stop and remove the containers, whose data stay; the exit status of each by its service.

        Compose stops what depends first, as the file has it. podman-compose stops all at once, so it is told twice.
        """
        self._compose("stop", "--timeout", str(STOP_TIMEOUT_S), *ROLES)
        self._compose("stop", "--timeout", str(STOP_TIMEOUT_S))
        containers = self.containers()
        ended = {name: int(self._engine.state(found)["ExitCode"]) for name, found in containers.items()}
        for name in ROLES:
            if ended[name]:
                print(f"{name} ended with {ended[name]}:", self._engine.logs(containers[name]), sep="\n")
        self._compose("--profile", "monitoring", "down")
        return ended

    def kill(self, service: str) -> None:
        """End the first process of a container at once, as a lack of memory would."""
        os.kill(int(self._engine.state(self.containers()[service])["Pid"]), signal.SIGKILL)

    def has_ended(self, service: str) -> bool:
        """Whether a container has come to its end by itself, and well."""
        state = self._engine.state(self.containers()[service])
        return not state["Running"] and state["ExitCode"] == 0

    def is_healthy(self, service: str) -> bool:
        """What the health check of the image says of a service; one that is not there is not healthy."""
        container = self.containers().get(service)
        return container is not None and self._engine.healthy(container)

    def restarts(self) -> dict[str, int]:
        """How often the container of each role was started again by itself; one question for all."""
        containers = self.containers()
        form = ["inspect", "--format", "{{.RestartCount}}", *(containers[name] for name in ROLES)]
        told = self._engine.run("podman", "container", *form).stdout.split()
        return dict(zip(ROLES, map(int, told), strict=True))

    def memory_mib(self) -> dict[str, int]:
        """Resident memory of the processes of each container, in MiB."""
        found = {}
        for service, container in self.containers().items():
            top = self._engine.run("podman", "top", container, "rss", check=False).stdout.split()[1:]
            found[service] = sum(map(int, top)) // 1024
        return found

    def containers(self) -> dict[str, str]:
        """State of every container of the city by the name of its service."""
        form = '{{index .Labels "com.docker.compose.service"}} {{.ID}}'
        lines = self._engine.run("podman", "ps", "--all", "--format", form).stdout.splitlines()
        return dict(line.split() for line in lines)

    def urban(self, *arguments: str, typed: str = "") -> subprocess.CompletedProcess[str]:
        """The command `urban` of this checkout, which comes in by the published ports like any client."""
        services = {name: f"127.0.0.1:{self._ports[name]}" for name in service_names()}
        environment = {name: value for name, value in os.environ.items() if not name.startswith("URBAN_")} | {
            "URBAN_KAFKA": f"localhost:{self._ports['kafka']}",
            "URBAN_CLICKHOUSE": f"http://urban:{PASSWORD}@127.0.0.1:{self._ports['clickhouse']}",
            "URBAN_SERVICES": json.dumps(services),
        }
        command = [sys.executable, "-m", "services.cli.main", *arguments]
        return subprocess.run(
            command, env=environment, input=typed, capture_output=True, text=True, cwd=ROOT, timeout=300
        )

    def inside(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """The command `urban` as the compose file has it, in a container of its own."""
        return self._compose("--profile", "cli", "run", "--rm", "-T", "urban", *arguments, check=False)

    def rows(self, statement: str) -> list[list[str]]:
        """What ClickHouse answers, as text; empty where it, or the table, is not there yet."""
        done = self.urban("sql", "--format", "json", statement)
        return [] if done.returncode else [list(map(str, row.values())) for row in json.loads(done.stdout)]

    def _compose(self, *command: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        program = str(Path(sys.executable).with_name("podman-compose"))
        options = ["--project-name", PROJECT, "--file", str(COMPOSE), "--env-file", str(self._variables)]
        return self._engine.run(program, *options, *command, check=check, timeout_s=1200.0)

    def _why(self, waiting: list[str]) -> str:
        containers = self.containers()
        logs = [self._engine.logs(containers[name]) for name in (*waiting[:2], *SERVERS) if name in containers]
        return "\n".join([f"not healthy: {waiting}", *logs])
