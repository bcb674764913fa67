"""One run of one engine: started, watched until its results are there, ended, and compared."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from deploy.local.servers import Endpoints
from tests.benchmarks.job.domain import HOP_MS, WINDOW_MS
from tests.benchmarks.job.expected import Windows, differences
from tests.benchmarks.job.observations import CLOSING, Job
from tests.benchmarks.peers.engine import RESULT_TOPIC, Engine, Run, Sink
from tests.benchmarks.peers.log import Results, make_topic
from tests.benchmarks.peers.table import Rows
from tests.benchmarks.peers.usage import Course, Usage

REPOSITORY = Path(__file__).resolve().parents[3]
LOOK_S = 0.5
# Windows of each entity that are open when the last observation has come.
LAST_WINDOWS = WINDOW_MS // HOP_MS - 1
# Without a new row for so long, no more will come.
SILENCE_S = 90.0
LONGEST_S = 900.0
STOP_S = 60.0
LAST_LINES = 15


@dataclass(frozen=True)
class Trial:
    """What one run came to."""

    engine: str
    encoding: str
    sink: str
    repetition: int
    observations: int
    cpu_s: float  # of the engine's processes, from their start to the last result
    wall_s: float  # the same, by the clock
    peak_rss_mb: float
    rows: int
    correct: bool
    troubles: list[str]
    steady: dict[str, float] = field(default_factory=dict)

    @property
    def observations_per_cpu_s(self) -> int:
        return round(self.observations / self.cpu_s) if self.cpu_s else 0

    @classmethod
    def from_json(cls, told: Mapping[str, Any]) -> Trial:
        """The reverse of `as_json`."""
        return cls(**{name: value for name, value in told.items() if name != "observations_per_cpu_s"})

    def as_json(self) -> dict[str, object]:
        """As JSON has it."""
        return {**asdict(self), "observations_per_cpu_s": self.observations_per_cpu_s}


def try_once(engine: Engine, run: Run, job: Job, at: Endpoints, wanted: Windows, names: Sequence[str]) -> Trial:
    """Run an engine once, and compare what it came to."""
    make_topic(run.kafka, RESULT_TOPIC)
    if engine.prepare is not None:
        engine.prepare(run)
    results = _results_of(engine, run)
    command = engine.command(run)
    server = Usage.of(at.pids["clickhouse"]) if engine.counts_clickhouse_cpu else None
    server_before_s = server.look() if server else 0.0
    log = run.folder / "engine.log"
    troubles: list[str] = []
    with log.open("wb") as lines:
        process = subprocess.Popen(
            command.argv, cwd=REPOSITORY, env={**os.environ, **command.environment}, stdout=lines, stderr=lines
        )
        usage, course = Usage.of(process.pid), Course()
        try:
            cpu_s = _watch(process, usage, course, results, run.rows, troubles)
        finally:
            process.terminate()
            try:
                process.wait(STOP_S)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
    if server is not None:
        cpu_s += server.look() - server_before_s
    found = results.read()
    results.close()
    troubles += differences(_without_closing(found), wanted, list(names))
    if troubles:
        print(_last_lines(log), file=sys.stderr)
    last = course.samples[-1]
    return Trial(
        engine=engine.name,
        encoding=run.encoding,
        sink=run.sink,
        repetition=run.repetition,
        observations=job.observations,
        cpu_s=round(cpu_s, 2),
        wall_s=round(last.wall_s, 2),
        peak_rss_mb=round(usage.peak_rss_mb, 1),
        rows=len(found),
        correct=not troubles,
        troubles=troubles,
        steady=course.steady(run.rows - LAST_WINDOWS * len(names), job.observations) or {},
    )


def _results_of(engine: Engine, run: Run) -> Results | Rows:
    if run.sink is Sink.KAFKA:
        return Results(run.kafka, RESULT_TOPIC)
    rows = Rows(run.clickhouse, engine.results_sql)
    rows.make_table()
    return rows


def _watch(
    process: subprocess.Popen[bytes],
    usage: Usage,
    course: Course,
    results: Results | Rows,
    wanted: int,
    troubles: list[str],
) -> float:
    """Until all rows are there, no more come, or the process ends; its CPU-seconds then."""
    cpu_s, rows, moved_s = 0.0, 0, time.monotonic()
    while rows < wanted:
        time.sleep(LOOK_S)
        cpu_s, before, rows = usage.look(), rows, results.count()
        course.add(cpu_s, rows)
        now_s = time.monotonic()
        moved_s = now_s if rows > before else moved_s
        if process.poll() is not None:
            troubles.append(f"the process ended with status {process.returncode}")
            break
        if now_s - moved_s > SILENCE_S or now_s - course.began_s > LONGEST_S:
            troubles.append(f"{rows} of {wanted} rows after {now_s - course.began_s:.0f} s, then none came")
            break
    return cpu_s


def _without_closing(found: pa.Table) -> pa.Table:
    return found.filter(pc.invert(pc.starts_with(found["entity_id"].cast(pa.string()), CLOSING)))


def _last_lines(log: Path) -> str:
    return "\n".join(log.read_text(errors="replace").splitlines()[-LAST_LINES:])
