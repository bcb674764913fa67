"""Observations per CPU-second of a whole processor, from Kafka to ClickHouse: `python -m tests.benchmarks.processor`.

A backlog of `road_flow` frames (30,000 segments, 256 observations a frame, every 10 s of event time) is worked off by
one process `python -m services.traffic processor` on the embedded servers. CPU time is that of the processor alone.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import psutil

from deploy.local.kafka import KafkaSettings
from deploy.local.servers import Endpoints, LocalServers, ServerSettings
from services.core.frame import Frame
from services.core.kind import MINUTE_MS
from services.runtime.catalogue import OBSERVATION_PARTITIONS, domain_topics, observations, shared_topics
from services.runtime.codec import encode_frame, encode_heartbeat
from services.runtime.contracts import FrameContract
from services.runtime.logs import configure_logs
from services.runtime.migrations import ensure_schema
from services.runtime.partitioner import partitions_of
from services.runtime.producer import KafkaWriter
from services.runtime.topics import ensure_topics
from services.traffic.domain import ROAD_FLOW, TRAFFIC

REPOSITORY = Path(__file__).resolve().parents[2]
ENTITIES = 30_000
ROWS = 256
STEP_MS = 10_000
START_MS = 1_700_438_400_000
CITY = "auckland"
PATIENCE_S = 600.0


@dataclass(frozen=True)
class Spent:
    """What the processor took for the whole backlog."""

    cpu_s: float
    wall_s: float
    windows: int
    peak_rss_mb: float


def make_frames(minutes: int) -> Iterator[tuple[int, Frame]]:
    """Partition and frame, in the order of event time: every segment reports every 10 s."""
    chance = np.random.default_rng(7)
    ids = [f"segment-{i:06d}" for i in range(ENTITIES)]
    partition = partitions_of(ids, OBSERVATION_PARTITIONS)
    groups = [
        (p, tuple(mine[first : first + ROWS]))
        for p in range(OBSERVATION_PARTITIONS)
        for mine in [[ids[i] for i in np.flatnonzero(partition == p)]]
        for first in range(0, len(mine), ROWS)
    ]
    for step in range(minutes * MINUTE_MS // STEP_MS):
        now_ms = START_MS + step * STEP_MS
        for gateway, (p, group) in enumerate(groups):
            n = len(group)
            columns = {
                "flow_veh_h": chance.uniform(100, 2_000, n).astype("<f4"),
                "speed_kmh": chance.uniform(28, 80, n).astype("<f4"),
                "occupancy": chance.uniform(0, 1, n).astype("<f4"),
                "heavy_share": np.full(n, np.nan, "<f4"),
            }
            yield (
                p,
                Frame(
                    city=CITY,
                    entity_ids=group,
                    entity=np.arange(n, dtype=np.uint32),
                    time_ms=np.full(n, now_ms, np.int64),
                    period_s=STEP_MS // 1000,
                    columns=columns,
                    source_id=f"gateway-{gateway}",
                    sequence=step + 1,
                    clock_ms=now_ms + STEP_MS,
                ),
            )


async def fill(endpoints: Endpoints, minutes: int) -> int:
    """Puts the backlog on the topic; the number of observations."""
    await ensure_topics(endpoints.kafka, (*domain_topics(TRAFFIC), *shared_topics((TRAFFIC,))))
    await ensure_schema(endpoints.clickhouse, TRAFFIC.name)
    contract, topic, sent = FrameContract.of(TRAFFIC.name, ROAD_FLOW), observations(TRAFFIC.name, ROAD_FLOW.name), 0
    writer = KafkaWriter(endpoints.kafka)
    await writer.start()
    try:
        for partition, frame in make_frames(minutes):
            await writer.send(topic, encode_frame(contract, frame), partition=partition)
            sent += len(frame)
        end_ms = START_MS + minutes * MINUTE_MS + ROAD_FLOW.disorder_ms
        for partition in range(OBSERVATION_PARTITIONS):
            await writer.send(topic, encode_heartbeat(contract, CITY, end_ms), partition=partition)
        await writer.flush()
    finally:
        await writer.stop()
    return sent


def run_processor(endpoints: Endpoints, folder: Path, observations_sent: int, without_unusual: bool) -> Spent:
    """Starts a processor on the backlog and waits until it has folded everything."""
    ready = folder / "ready.json"
    settings = {
        "URBAN_KAFKA": endpoints.kafka,
        "URBAN_CLICKHOUSE": endpoints.clickhouse,
        "URBAN_READY_FILE": str(ready),
        "URBAN_WITHOUT_UNUSUAL": '["*"]' if without_unusual else "[]",
    }
    log = (folder / "processor.log").open("wb")
    argv = [sys.executable, "-m", "services.traffic", "processor"]
    began = time.monotonic()
    with subprocess.Popen(argv, cwd=REPOSITORY, env=settings, stderr=log) as process:
        try:
            told = psutil.Process(process.pid)
            peak, folded, windows = 0, 0.0, 0.0
            while folded < observations_sent:
                if process.poll() is not None or time.monotonic() - began > PATIENCE_S:
                    sys.exit(f"the processor did not come to the end; see {log.name}")
                time.sleep(0.2)
                peak = max(peak, told.memory_info().rss)
                if ready.exists():
                    page = read_metrics(json.loads(ready.read_text())["metrics"])
                    folded = add_up(page, "urban_observations_total{")
                    windows = add_up(page, "urban_windows_total{")
            cpu = told.cpu_times()
            return Spent(cpu.user + cpu.system, time.monotonic() - began, int(windows), peak / 1e6)
        finally:
            process.terminate()
            process.wait(30)
            log.close()


def read_metrics(port: int) -> list[str]:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=10) as answer:
        lines: list[str] = answer.read().decode().splitlines()
    return lines


def add_up(page: list[str], prefix: str) -> float:
    return sum(float(line.rsplit(" ", 1)[1]) for line in page if line.startswith(prefix))


def measure(minutes: int, cache: Path, without_unusual: bool) -> dict[str, object]:
    """Runs the benchmark once on servers of its own."""
    server = ServerSettings(kafka=KafkaSettings(first_port=0), clickhouse_port=0, cache=cache)
    with tempfile.TemporaryDirectory() as name, LocalServers(Path(name), server, progress=tell) as endpoints:
        sent = asyncio.run(fill(endpoints, minutes))
        tell(f"{sent:,} observations are on the topic")
        spent = run_processor(endpoints, Path(name), sent, without_unusual)
    return {
        "benchmark": "processor, Kafka to ClickHouse, start of the process included",
        "kind": "traffic.road_flow",
        "without_unusual": without_unusual,
        "entities": ENTITIES,
        "rows_per_frame": ROWS,
        "observations": sent,
        "window_rows": spent.windows,
        "cpu_s": round(spent.cpu_s, 2),
        "wall_s": round(spent.wall_s, 2),
        "observations_per_cpu_s": round(sent / spent.cpu_s),
        "peak_rss_mb": round(spent.peak_rss_mb),
    }


def tell(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def main() -> None:
    """Prints the result as JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=int, default=10, help="event time of the backlog")
    parser.add_argument("--cache", type=Path, default=REPOSITORY / ".urban" / "cache", help="folder of downloads")
    parser.add_argument("--without-unusual", action="store_true", help="nothing is judged as unusual")
    given = parser.parse_args()
    configure_logs("console", "warning")
    print(json.dumps(measure(given.minutes, given.cache, given.without_unusual), indent=2))


if __name__ == "__main__":
    main()
