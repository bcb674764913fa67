"""What the start of each role costs: `python -m tests.benchmarks.startup`.

From the start of the process until its gRPC health says SERVING, on running servers whose topics and tables exist. The
modules and what they cost are those of `-X importtime`, in a run apart, as it makes imports slower.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import statistics
import sys
import tempfile
import time
from collections import defaultdict
from pathlib import Path
from typing import Any

import grpc
import psutil
from grpc_health.v1 import health_pb2, health_pb2_grpc

from deploy.local.kafka import KafkaSettings
from deploy.local.ports import free_port
from deploy.local.process import Child
from deploy.local.servers import Endpoints, LocalServers, ServerSettings
from services.runtime.logs import configure_logs

REPOSITORY = Path(__file__).resolve().parents[2]
ROLES = (
    ("traffic", "api"),
    ("traffic", "processor"),
    ("traffic", "archiver"),
    ("traffic", "all"),
    ("correlation", "all"),
)
POLL_S = 0.01
PATIENCE_S = 60.0
# Then the memory of a process that has nothing to do is looked at.
IDLE_S = 2.0
TOP = 12
# import time: self [us] | cumulative | imported package
_LINE = re.compile(r"import time:\s+(\d+) \|\s+(\d+) \| (\s*)(\S+)")


def start(service: str, role: str, endpoints: Endpoints, folder: Path, *options: str) -> dict[str, Any]:
    """One start: seconds until SERVING, processor time until then, memory when idle; the log as `log`."""
    port = free_port(0)
    environment = {
        **{k: v for k, v in os.environ.items() if not k.startswith("URBAN_")},
        "URBAN_KAFKA": endpoints.kafka,
        "URBAN_CLICKHOUSE": endpoints.clickhouse,
        "URBAN_GRPC_PORT": str(port),
    }
    argv = [sys.executable, *options, "-m", f"services.{service}", role]
    began_s = time.monotonic()
    child = Child.start(f"{service}-{role}", argv, folder / f"{service}-{role}.log", env=environment, cwd=REPOSITORY)
    try:
        process = psutil.Process(child.pid)
        with grpc.insecure_channel(
            f"127.0.0.1:{port}", options=(("grpc.initial_reconnect_backoff_ms", 100),)
        ) as channel:
            _wait_until_serving(channel, child, began_s)
        serving_s, spent = time.monotonic() - began_s, process.cpu_times()
        time.sleep(IDLE_S)
        rss = process.memory_info().rss
    finally:
        child.stop(60.0)
    return {"serving_s": serving_s, "cpu_s": spent.user + spent.system, "rss_mb": rss / 1e6, "log": child.log}


def _wait_until_serving(channel: grpc.Channel, child: Child, began_s: float) -> None:
    stub = health_pb2_grpc.HealthStub(channel)
    while True:
        try:
            if (
                stub.Check(health_pb2.HealthCheckRequest(), timeout=1.0).status
                == health_pb2.HealthCheckResponse.SERVING
            ):
                return
        except grpc.RpcError:
            pass
        if child.poll() is not None or time.monotonic() - began_s > PATIENCE_S:
            sys.exit(f"{child.name} did not come up\n{child.tail(40)}")
        time.sleep(POLL_S)


def imports_of(log: Path) -> dict[str, Any]:
    """Modules that a process imported in its life, and what their imports took by themselves, by package."""
    lines = [m for line in log.read_text(encoding="utf-8").splitlines() if (m := _LINE.match(line))]
    by_package: dict[str, int] = defaultdict(int)
    for line in lines:
        by_package[line[4].partition(".")[0]] += int(line[1])
    top = sorted(by_package.items(), key=lambda item: -item[1])[:TOP]
    return {
        "modules": len(lines),
        "import_ms": round(sum(int(line[1]) for line in lines) / 1000),
        "top_import_ms": {name: round(us / 1000, 1) for name, us in top},
        "pandas": "pandas" in by_package,
    }


def measure(service: str, role: str, endpoints: Endpoints, folder: Path, rounds: int) -> dict[str, Any]:
    """The median of some starts, and the imports of another one."""
    starts = [start(service, role, endpoints, folder) for _ in range(rounds)]
    traced = start(service, role, endpoints, folder, "-X", "importtime")
    middle = {key: statistics.median(s[key] for s in starts) for key in ("serving_s", "cpu_s", "rss_mb")}
    return {
        "serving_s": round(middle["serving_s"], 2),
        "range_s": [round(f(s["serving_s"] for s in starts), 2) for f in (min, max)],
        "cpu_s": round(middle["cpu_s"], 2),
        "idle_rss_mb": round(middle["rss_mb"]),
        **imports_of(traced["log"]),
        "load_average": round(os.getloadavg()[0], 1),
    }


def as_markdown(found: dict[str, dict[str, Any]]) -> str:
    """One line for each role."""
    lines = [
        "| role | until SERVING, s | range | processor time, s | idle RSS, MB | modules | imports, ms | load average |",
        "|---|---:|---|---:|---:|---:|---:|---:|",
    ]
    for role, told in found.items():
        low, high = told["range_s"]
        lines.append(
            f"| {role} | {told['serving_s']} | {low} to {high} | {told['cpu_s']} | {told['idle_rss_mb']}"
            f" | {told['modules']} | {told['import_ms']} | {told['load_average']} |"
        )
    return "\n".join(lines)


def tell(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def main() -> None:
    """Prints the result as JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3, help="starts of each role; the median is told")
    parser.add_argument("--cache", type=Path, default=REPOSITORY / ".urban" / "cache", help="folder of downloads")
    given = parser.parse_args()
    configure_logs("console", "warning")
    server = ServerSettings(kafka=KafkaSettings(first_port=0), clickhouse_port=0, cache=given.cache)
    found = {}
    with tempfile.TemporaryDirectory() as name, LocalServers(Path(name), server, progress=tell) as endpoints:
        for service in sorted({service for service, _ in ROLES}):
            start(service, "all", endpoints, Path(name))  # makes the topics and tables
        for service, role in ROLES:
            found[f"{service} {role}"] = measure(service, role, endpoints, Path(name), given.rounds)
            tell(f"{service} {role}: {found[f'{service} {role}']}")
    tell(as_markdown(found))
    print(json.dumps({"rounds": given.rounds, "roles": found}, indent=2))


if __name__ == "__main__":
    main()
