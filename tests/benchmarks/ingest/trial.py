"""One api process, one set of callers, and what each process took until everything was acknowledged."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import psutil

from deploy.local.process import Child
from deploy.local.servers import Endpoints
from tests.benchmarks.ingest.written import end_offsets, read_since

REPOSITORY = Path(__file__).resolve().parents[3]
PATIENCE_S = 120.0


@dataclass(frozen=True)
class Scenario:
    """How the callers call."""

    name: str
    call: str
    rows: int  # observations of a request
    streams: int
    in_flight: int  # requests of each stream that are not answered yet
    seconds: float = 6.0
    rate: int = 0  # observations a second; 0: as many as are taken

    def arguments(self) -> list[str]:
        return [
            *("--call", self.call, "--rows", str(self.rows), "--streams", str(self.streams)),
            *("--in-flight", str(self.in_flight), "--seconds", str(self.seconds), "--rate", str(self.rate)),
        ]

    def lasting(self, seconds: float) -> Scenario:
        return replace(self, seconds=seconds)


class Api:
    """`python -m services.traffic api` of a checkout, as in production."""

    def __init__(self, endpoints: Endpoints, folder: Path, checkout: Path) -> None:
        ready = folder / "ready.json"
        ready.unlink(missing_ok=True)
        environment = {
            **{k: v for k, v in os.environ.items() if not k.startswith("URBAN_")},
            "URBAN_KAFKA": endpoints.kafka,
            "URBAN_CLICKHOUSE": endpoints.clickhouse,
            "URBAN_READY_FILE": str(ready),
        }
        argv = [sys.executable, "-m", "services.traffic", "api"]
        self.child = Child.start("api", argv, folder / "api.log", env=environment, cwd=checkout)
        deadline = time.monotonic() + PATIENCE_S
        while not ready.exists():
            if self.child.poll() is not None or time.monotonic() > deadline:
                sys.exit(f"the api did not start\n{self.child.tail(40)}")
            time.sleep(0.05)
        self.address = f"127.0.0.1:{json.loads(ready.read_text())['grpc']}"


def measure(scenario: Scenario, endpoints: Endpoints, folder: Path, checkout: Path = REPOSITORY) -> dict[str, Any]:
    """The figures of one run; ends the program where the topic does not hold just what was acknowledged."""
    api = Api(endpoints, folder, checkout)
    first = asyncio.run(end_offsets(endpoints.kafka))
    watched = {"api": api.child.pid, "broker": next(p for n, p in endpoints.pids.items() if n.startswith("kafka"))}
    try:
        told, spent = _call(scenario, api.address, watched)
    finally:
        api.child.stop()
    written = asyncio.run(read_since(endpoints.kafka, first))
    warm, measured = told["warm"], told["measured"]
    acknowledged = (warm["accepted"] + measured["accepted"], warm["flow_bits"] + measured["flow_bits"])
    if acknowledged != (written.observations, written.flow_bits):
        sys.exit(f"{scenario.name}: acknowledged {acknowledged}, in the topic {written}: no figures")
    latency = np.percentile(measured["latency_ms"], (50, 99))
    return {
        "observations": measured["accepted"],
        "requests": measured["requests"],
        "wall_s": round(measured["wall_s"], 2),
        "observations_per_s": round(measured["accepted"] / measured["wall_s"]),
        "observations_per_api_cpu_s": round(measured["accepted"] / spent["api"]),
        "api_cpu_s": round(spent["api"], 2),
        "client_cpu_s": round(measured["cpu_s"], 2),
        "broker_cpu_s": round(spent["broker"], 2),
        "latency_ms": {"p50": round(float(latency[0]), 1), "p99": round(float(latency[1]), 1)},
        "request_bytes_per_observation": round(measured["request_bytes"] / measured["accepted"], 1),
        "observations_per_record": round(written.observations / written.records, 1),
        "load_average": round(os.getloadavg()[0], 1),
    }


def _call(scenario: Scenario, address: str, watched: dict[str, int]) -> tuple[dict[str, Any], dict[str, float]]:
    """What the callers told, and CPU-seconds of the processes watched meanwhile."""
    argv = [sys.executable, "-m", "tests.benchmarks.ingest.client", address, *scenario.arguments()]
    with subprocess.Popen(argv, cwd=REPOSITORY, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as client:
        assert client.stdin is not None
        assert client.stdout is not None
        try:
            if client.stdout.readline().strip() != "ready":
                sys.exit(f"{scenario.name}: the callers did not come through their warm-up")
            before = {name: cpu_s(pid) for name, pid in watched.items()}
            client.stdin.write("go\n")
            client.stdin.flush()
            answer = client.stdout.readline()
            spent = {name: cpu_s(pid) - before[name] for name, pid in watched.items()}
        finally:
            client.stdin.close()
            if client.poll() is None:
                client.wait(PATIENCE_S)
    if not answer:
        sys.exit(f"{scenario.name}: the callers failed")
    told: dict[str, Any] = json.loads(answer)
    return told, spent


def cpu_s(pid: int) -> float:
    """User and system time of a process so far."""
    told = psutil.Process(pid).cpu_times()
    return float(told.user + told.system)
