"""Workers under measurement: real processes, what their metrics and logs tell, and what they take."""

from __future__ import annotations

import json
import os
import sys
import time
import urllib.error
import urllib.request
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

import psutil

from deploy.local.ports import free_port
from deploy.local.process import Child
from deploy.local.servers import Endpoints

REPOSITORY = Path(__file__).resolve().parents[2]
OBSERVATIONS = "urban_observations_total"
WATERMARK = "urban_watermark_timestamp_seconds"


@dataclass
class Page:
    """What a worker's metrics said at one moment."""

    at_s: float  # time.time()
    samples: dict[str, float] = field(default_factory=dict)  # by name and labels, as Prometheus writes them

    def total(self, name: str) -> float:
        """All samples of a name added up."""
        return sum(value for key, value in self.samples.items() if key.partition("{")[0] == name)

    def by_partition(self, name: str) -> dict[int, float]:
        found = {}
        for key, value in self.samples.items():
            if key.startswith(name + "{"):
                found[int(key.partition('partition="')[2].partition('"')[0])] = value
        return found


class Worker:
    """One processor, or another role of a service."""

    def __init__(
        self, module: str, endpoints: Endpoints, folder: Path, name: str, role: str = "processor", **settings: str
    ) -> None:
        self.port, self.name = free_port(0), name
        environment = {
            **{k: v for k, v in os.environ.items() if not k.startswith("URBAN_")},
            "URBAN_KAFKA": endpoints.kafka,
            "URBAN_CLICKHOUSE": endpoints.clickhouse,
            "URBAN_METRICS_PORT": str(self.port),
            **settings,
        }
        argv = [sys.executable, "-m", module, role]
        self.began_s = time.time()
        self.child = Child.start(name, argv, folder / f"{name}.log", env=environment, cwd=REPOSITORY)
        self._process = psutil.Process(self.child.pid)

    def look(self) -> Page | None:
        """Its metrics; None while it does not answer."""
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/metrics", timeout=10) as answer:
                lines = answer.read().decode().splitlines()
        except (urllib.error.URLError, OSError):
            if self.child.poll() not in (None, 0, -9):
                raise SystemExit(f"{self.name} ended\n{self.child.tail(40)}") from None
            return None
        page = Page(time.time())
        for line in lines:
            if line.startswith("urban_"):
                key, _, value = line.rpartition(" ")
                page.samples[key] = float(value)
        return page

    def cpu_s(self) -> float:
        told = self._process.cpu_times()
        return float(told.user + told.system)

    def pss_mb(self) -> float:
        """Its memory, of what it shares with others its share."""
        return float(self._process.memory_full_info().pss) / 1e6

    def told(self, event: str) -> list[dict[str, object]]:
        """Its log lines of one event, each with its time in `at_s`."""
        found: list[dict[str, object]] = []
        for line in self.child.log.read_text(encoding="utf-8").splitlines():
            if line.startswith("{") and (said := json.loads(line)).get("event") == event:
                found.append({**said, "at_s": datetime.fromisoformat(str(said["timestamp"])).timestamp()})
        return found

    def offsets(self, event: str = "partition_restored") -> dict[int, int]:
        """Offsets by partition that an event told last."""
        return {int(str(said["partition"])): int(str(said["offset"])) for said in self.told(event)}
