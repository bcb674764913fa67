"""The processes of a city on this machine: servers, services and feed, started, watched and stopped together."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Collection, Mapping
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from pathlib import Path

from deploy.local.process import Child
from deploy.local.root import reset, write_endpoints
from deploy.local.servers import REPOSITORY, LocalServers, ServerError, ServerSettings
from services.cli.addresses import Addresses, ServiceAddress
from services.cli.domains import service_names
from services.feeds.position import Progress as FeedProgress

LOOPBACK = "127.0.0.1"
TIME_ZONES = {"auckland": "Pacific/Auckland", "beijing": "Asia/Shanghai"}
PROGRAMMES = {"beijing": "cn-2012"}
FED_DOMAINS = ("community", "traffic")
SCENARIO_SERVICES = (*FED_DOMAINS, "security", "environment", "correlation")
READY_TIMEOUT_S = 120.0
STOP_TIMEOUT_S = 20.0
POLL_INTERVAL_S = 0.05
TAIL_LINES = 20

Say = Callable[[str], None]


class ProcessEndedError(RuntimeError):
    """A process of the city ended by itself; the message names it and holds its last log lines."""


@dataclass(frozen=True)
class CitySettings:
    """Where a city lives and what feeds it."""

    root: Path
    feed: bool = True
    replayed: bool = False  # the clock is that of `urban replay`, also without the feed
    speed: float | None = None  # event seconds a second; None: the feed's own
    until: datetime | None = None  # event time at which the feed ends
    cache: Path | None = None  # of downloads; None: root/cache
    scenario: int | None = None  # seed of an invented city that is fed beside the other; None: there is none

    def __post_init__(self) -> None:
        if self.scenario is not None and not self.feed:
            raise ValueError(
                "--scenario goes on beside the replay of Auckland; without that, use --replay and `urban scenario`"
            )

    @property
    def clock(self) -> str:
        """The city's clock: that of the replay, or the wall's."""
        return "replay" if self.feed or self.replayed else "wall"

    @property
    def feed_file(self) -> Path:
        return self.root / "feed.json"

    @property
    def truth_file(self) -> Path:
        """What happens in the scenario, one happening a line."""
        return self.root / "truth.jsonl"


class City:
    """All processes of one city, from `start` to `stop`."""

    def __init__(self, settings: CitySettings, say: Say) -> None:
        self.settings = settings
        self.addresses: Addresses | None = None
        self.feed: Child | None = None
        self._services: dict[str, Child] = {}
        self._servers = LocalServers(settings.root, ServerSettings(cache=settings.cache), say)
        self._say = say

    def start(self) -> Addresses:
        """Start the servers, then the services, and wait for all. The feed is started by `start_feed`.

        Raises ProcessEndedError, TimeoutError, DomainError, or what the servers raise.
        """
        names = service_names()  # before anything starts: it says what a domain lacks
        self._say("starting Apache Kafka and the ClickHouse engine")
        endpoints = self._servers.start()
        self._say(f"starting {', '.join(names)}")
        services = Addresses(endpoints.kafka, endpoints.clickhouse)
        for name in names:
            self._start_service(name, services)
        self.addresses = replace(services, services=self._wait_until_ready(self._services))
        self._tell_addresses()
        return self.addresses

    def restart(self, name: str) -> None:
        """Start a service that has ended again, at the address that it had, and wait until it is ready."""
        if self.addresses is None:
            raise ValueError("the services are not started")
        self._start_service(name, self.addresses)
        ready = self._wait_until_ready([name])
        self.addresses = replace(self.addresses, services={**self.addresses.services, **ready})
        self._tell_addresses()

    def service(self, name: str) -> Child:
        """The process of a service."""
        return self._services[name]

    def start_feed(self) -> None:
        """Start the replay, where it stopped the last time."""
        if self.addresses is None:
            raise ValueError("the services are not started")
        argv = [sys.executable, "-m", "services.feeds", "--position", str(self.settings.feed_file)]
        for domain in FED_DOMAINS if self.settings.scenario is None else SCENARIO_SERVICES:
            argv += [f"--{domain}", self.addresses.service(domain).grpc]
        if self.settings.scenario is not None:
            argv += ["--scenario", str(self.settings.scenario), "--truth", str(self.settings.truth_file)]
        if self.settings.speed is not None:
            argv += ["--speed", str(self.settings.speed)]
        if self.settings.until is not None:
            argv += ["--until", self.settings.until.isoformat()]
        self.feed = Child.start("feed", argv, self._log("feed"), env=self._environment())

    def feed_progress(self) -> FeedProgress | None:
        """How far the feed has come; None before it says so."""
        path = self.settings.feed_file
        return FeedProgress(**json.loads(path.read_text())) if path.is_file() else None

    def feed_ended(self) -> bool:
        """Whether the replay has come to its end."""
        return self.feed is not None and self.feed.poll() == 0

    def stop_feed(self) -> None:
        """Ask the feed to end, wait for what is in flight."""
        if self.feed is not None:
            self.feed.stop(STOP_TIMEOUT_S)
            self.feed = None

    def check(self) -> None:
        """Raise ProcessEndedError where a process has ended that was to run on."""
        feed = [] if self.feed is None else [self.feed]
        for child in (*self._services.values(), *feed):
            status = child.poll()
            # The feed may come to its end at any moment: what one look found of it is all that counts.
            if status is not None and not (status == 0 and child is self.feed):
                ended = f"was ended by signal {-status}" if status < 0 else f"ended with status {status}"
                raise ProcessEndedError(
                    f"{child.name} {ended}; its last lines ({child.log}):\n{child.tail(TAIL_LINES)}"
                )
        try:
            self._servers.check()
        except ServerError as error:
            raise ProcessEndedError(str(error)) from error

    def pids(self) -> dict[str, int]:
        """Process ids by name, of whatever runs."""
        feed = {"feed": self.feed} if self.feed is not None else {}
        children = {**{child.name: child for child in self._servers.children()}, **self._services, **feed}
        return {name: child.pid for name, child in children.items() if child.poll() is None}

    def stop_services(self) -> None:
        """SIGTERM to all services at once; they drain, checkpoint and end. By force after a while."""
        running = {name: child for name, child in self._services.items() if child.poll() is None}
        for child in running.values():
            child.terminate()
        deadline = time.monotonic() + STOP_TIMEOUT_S
        for name, child in running.items():
            try:
                # One SIGTERM each: a second one would hit a process whose own handler is gone already.
                status = child.wait(max(0.0, deadline - time.monotonic()))
            except subprocess.TimeoutExpired:
                child.kill()
                status = child.wait()
            # While the city starts, a service may be hit before it listens to signals.
            if status != 0 and self.addresses is not None:
                self._say(f"{name} ended with status {status} when it was stopped ({child.log})")
        self._services = {}

    def stop(self) -> None:
        """Stop whatever runs, the feed first and the servers last."""
        try:
            self.stop_feed()
            self.stop_services()
        finally:
            self._servers.stop()

    def kill(self) -> None:
        """End everything at once; what was acknowledged is in the log."""
        for child in (*filter(None, (self.feed,)), *self._services.values(), *self._servers.children()):
            child.kill()
        self._servers.stop(0.0)

    def _start_service(self, name: str, addresses: Addresses) -> None:
        self._ready_file(name).unlink(missing_ok=True)
        environment = self._environment() | {
            "URBAN_KAFKA": addresses.kafka,
            "URBAN_CLICKHOUSE": addresses.clickhouse,
            "URBAN_CLOCK": self.settings.clock,
            "URBAN_TIME_ZONES": json.dumps(TIME_ZONES),
            "URBAN_PROGRAMMES": json.dumps(PROGRAMMES),
            "URBAN_INSTANCE": name,
            "URBAN_READY_FILE": str(self._ready_file(name)),
        }
        if name in addresses.services:
            environment["URBAN_GRPC_PORT"] = addresses.services[name].grpc.rpartition(":")[2]
        argv = [sys.executable, "-m", f"services.{name}", "all"]
        self._services[name] = Child.start(name, argv, self._log(name), env=environment)

    def _wait_until_ready(self, names: Collection[str]) -> dict[str, ServiceAddress]:
        deadline = time.monotonic() + READY_TIMEOUT_S
        ready: dict[str, ServiceAddress] = {}
        while missing := [name for name in names if name not in ready]:
            self.check()
            for name in missing:
                if (found := _read_ready(self._ready_file(name))) is not None:
                    ready[name] = found
            if time.monotonic() > deadline:
                raise TimeoutError(
                    f"not ready after {READY_TIMEOUT_S:.0f} s: {', '.join(missing)}; the last lines of {missing[0]}:\n"
                    f"{self._services[missing[0]].tail(TAIL_LINES)}"
                )
            time.sleep(POLL_INTERVAL_S)
        return {name: ready[name] for name in names}

    def _tell_addresses(self) -> None:
        if self.addresses is not None:
            services = {name: asdict(value) for name, value in self.addresses.services.items()}
            write_endpoints(self.settings.root, services=services)

    def _environment(self) -> dict[str, str]:
        # What the caller's shell says about another deployment must not reach this city's processes.
        kept = {name: value for name, value in os.environ.items() if not name.startswith("URBAN_")}
        path = os.pathsep.join(filter(None, (str(REPOSITORY), kept.get("PYTHONPATH"))))
        return kept | {"PYTHONPATH": path, "PYTHONUNBUFFERED": "1"}

    def _ready_file(self, name: str) -> Path:
        return self.settings.root / f"{name}.ready.json"

    def _log(self, name: str) -> Path:
        return self.settings.root / "logs" / f"{name}.log"


def claim(settings: CitySettings, fresh: bool) -> None:
    """Make the root ready for this clock. ValueError where its data were made by another one; `fresh` wipes them."""
    path = settings.root / "clock"
    if fresh:
        reset(settings.root)
    settings.root.mkdir(parents=True, exist_ok=True)
    before = path.read_text().strip() if path.is_file() else settings.clock
    if before != settings.clock:
        raise ValueError(
            f"the data in {settings.root} were made by the {before} clock, and the {settings.clock} clock would find "
            "them all late or all from the future: use --fresh (it wipes them), or another --root"
        )
    path.write_text(settings.clock + "\n")


def _read_ready(path: Path) -> ServiceAddress | None:
    try:
        found: Mapping[str, int] = json.loads(path.read_text())
    except (FileNotFoundError, json.JSONDecodeError):
        return None
    metrics = f"http://{LOOPBACK}:{found['metrics']}/metrics"
    return ServiceAddress(f"{LOOPBACK}:{found['grpc']}", metrics, found["pid"])
