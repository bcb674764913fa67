"""How many bytes an observation takes in Kafka, and it and a window in ClickHouse, as production writes them."""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import clickhouse_connect
import psutil
from clickhouse_connect.driver.client import Client

from deploy.local.servers import Endpoints
from services.runtime.catalogue import windows as windows_topic
from services.runtime.producer import MAX_BATCH_BYTES
from tests.benchmarks.job.domain import BENCHMARK
from tests.benchmarks.job.encoding import Encoding, records
from tests.benchmarks.job.observations import Job
from tests.benchmarks.job.tables import OBSERVATIONS, WINDOWS
from tests.benchmarks.observing import tell
from tests.benchmarks.peers.log import make_topic, write
from tests.benchmarks.scale.cases import Case, make_job
from tests.benchmarks.scale.trial import COMPRESSION, LOOK_S, MODULE, PATIENCE_S, STOP_S, TOPIC, prepare, try_case
from tests.benchmarks.workers import Worker

ROWS_PER_FRAME = (1_024, 256, 64, 16, 4)
# The extremes: records that come one by one, and those of a backlog or a busy gateway.
BATCHES: Mapping[str, Mapping[str, int]] = {
    "each_record_by_itself": {"batch.num.messages": 1, "linger.ms": 0},
    "full_batches": {"batch.size": MAX_BATCH_BYTES},
}
# Where only bytes are counted.
ENTITIES, REPORTS = 16_384, 4
# A worker that takes no more than this in such a time waits for something to do.
IDLE_S, IDLE_CPU_S = 4.0, 0.1


def measure_sizes(at: Endpoints, quick: bool) -> dict[str, Any]:
    """Bytes in the log by encoding and batches, and bytes in tables by column."""
    topics = [(Encoding.FRAMES, rows) for rows in ROWS_PER_FRAME] + [(Encoding.PROTOBUF, 256), (Encoding.JSON, 256)]
    in_kafka = []
    for encoding, rows in topics:
        job = make_job(REPORTS, entities=ENTITIES, rows=rows)
        measured = {batches: _bytes_in_log(at, job, encoding, batches) for batches in BATCHES}
        row = {"encoding": encoding.value, "observations_per_record": rows if encoding is Encoding.FRAMES else 1}
        in_kafka.append({**row, **measured})
        tell(f"bytes in Kafka: {in_kafka[-1]}")
    return {"kafka_bytes_per_observation": in_kafka, **_sizes_of_tables(at, quick)}


def _bytes_in_log(at: Endpoints, job: Job, encoding: Encoding, batches: str) -> float:
    make_topic(at.kafka, TOPIC, job.partitions)
    write(at.kafka, TOPIC, encoding, records(job, encoding), {"compression.type": COMPRESSION, **BATCHES[batches]})
    return round(_log_bytes(at, TOPIC, job.partitions) / (job.observations + job.partitions), 1)


def _log_bytes(at: Endpoints, topic: str, partitions: int) -> int:
    """What a topic's segments hold. By partition: folders of topics that were deleted may still be there, renamed."""
    folders = [at.root / "kafka" / "node-1" / "data" / f"{topic}-{number}" for number in range(partitions)]
    return sum(log.stat().st_size for folder in folders for log in folder.glob("*.log"))


def _sizes_of_tables(at: Endpoints, quick: bool) -> dict[str, Any]:
    """Windows as a processor stores them, observations as an archiver does; merged, as they are in the end."""
    job = make_job(10 if quick else 40)
    try_case(Case("sizes", 0, job), at)
    with clickhouse_connect.get_client(dsn=at.clickhouse, autogenerate_session_id=False) as client:
        windows = _table(client, WINDOWS)
        in_kafka = round(_log_bytes(at, windows_topic(BENCHMARK.name), job.partitions) / windows["rows"], 1)
        archiver = _archive(at, job, client)
        return {
            "clickhouse": {"windows": windows, "observations": _table(client, OBSERVATIONS)},
            "kafka_bytes_per_window": in_kafka,
            "archiver": archiver,
        }


def _archive(at: Endpoints, job: Job, client: Client) -> dict[str, Any]:
    """What the real archiver takes for the same observations. SystemExit where it does not store each once."""
    prepare(job, at)
    warm_up = make_job(1)
    wanted = job.observations + job.partitions
    rows = warm_up.observations + warm_up.partitions
    clickhouse = psutil.Process(at.pids["clickhouse"])
    with tempfile.TemporaryDirectory(prefix="urban-scale-") as folder:
        worker = Worker(MODULE, at, Path(folder), "archiver", role="archiver")
        try:
            # The first insert imports what it needs.
            _write(at, warm_up)
            _wait_for_rows(worker, rows)
            idle, before = _rest(worker, clickhouse)
            _write(at, job)
            rows += wanted
            _wait_for_rows(worker, rows)
            spent = before.until(_Spent.now(worker, clickhouse)).above(idle)
            pss_mb = worker.pss_mb()
        finally:
            worker.child.stop(STOP_S)
    sql = f"SELECT count(), uniqExact(kafka_partition, kafka_offset, kafka_index) FROM {OBSERVATIONS}"
    ((found, different),) = client.query(sql).result_rows
    if not found == different == rows:
        sys.exit(f"archiver: {found} rows, {different} different ones, of {rows} observations")
    return {
        "cpu_ns_per_observation": round(spent.worker_s / wanted * 1e9),
        "clickhouse_cpu_ns_per_observation": round(spent.clickhouse_s / wanted * 1e9),
        "pss_mb": round(pss_mb),
    }


def _write(at: Endpoints, job: Job) -> None:
    write(at.kafka, TOPIC, Encoding.FRAMES, records(job, Encoding.FRAMES), {"compression.type": COMPRESSION})


@dataclass(frozen=True)
class _Spent:
    """CPU-seconds at a moment, or between two; `at_s` is that moment, or the time between them."""

    at_s: float
    worker_s: float
    clickhouse_s: float

    @classmethod
    def now(cls, worker: Worker, clickhouse: psutil.Process) -> _Spent:
        told = clickhouse.cpu_times()
        return cls(time.monotonic(), worker.cpu_s(), told.user + told.system)

    def until(self, end: _Spent) -> _Spent:
        return _Spent(end.at_s - self.at_s, end.worker_s - self.worker_s, end.clickhouse_s - self.clickhouse_s)

    def above(self, idle: _Spent) -> _Spent:
        """Without what would have been spent in the same time with nothing to do."""
        share = self.at_s / idle.at_s
        return _Spent(self.at_s, self.worker_s - share * idle.worker_s, self.clickhouse_s - share * idle.clickhouse_s)


def _rest(worker: Worker, clickhouse: psutil.Process) -> tuple[_Spent, _Spent]:
    """Wait until a worker has nothing to do: what it and the engine take then in some seconds, and had taken."""
    before = _Spent.now(worker, clickhouse)
    while True:
        time.sleep(IDLE_S)
        now = _Spent.now(worker, clickhouse)
        idle, before = before.until(now), now
        if idle.worker_s < IDLE_CPU_S:
            return idle, now


def _wait_for_rows(worker: Worker, wanted: int) -> None:
    began_s = time.monotonic()
    while (page := worker.look()) is None or page.total("urban_archived_observations_total") < wanted:
        if time.monotonic() - began_s > PATIENCE_S:
            sys.exit(f"archiver: not done within {PATIENCE_S:g} s\n{worker.child.tail(40)}")
        time.sleep(LOOK_S)


def _table(client: Client, table: str) -> dict[str, Any]:
    client.command(f"OPTIMIZE TABLE {table} FINAL")
    database, name = table.split(".")
    mine = f"database = '{database}' AND table = '{name}' AND active"
    ((rows, size),) = client.query(f"SELECT sum(rows), sum(bytes_on_disk) FROM system.parts WHERE {mine}").result_rows
    sql = f"SELECT column, sum(column_bytes_on_disk) FROM system.parts_columns WHERE {mine} GROUP BY column ORDER BY 1"
    columns = client.query(sql).result_rows
    return {
        "rows": rows,
        "bytes_per_row": round(size / rows, 2),
        "bytes_per_row_of_column": {column: round(of_column / rows, 2) for column, of_column in columns},
    }
