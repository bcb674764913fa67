"""`make bench-peers`: every engine on the same observations, from the same broker, in the same run.

For each encoding the topic is written once; then the engines take turns, each with a fresh process, a fresh group and
fresh results, as often as repetitions are asked for. A run ends when all results are there, or when none came for a
while. Results that are not those of a plain count disqualify the figure.

All of it takes one or two hours. Each run is in the JSON as soon as it has ended, and `--go-on` goes on with a JSON
that is there.
"""

from __future__ import annotations

import argparse
import importlib
import json
import statistics
import sys
import tempfile
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from deploy.local.kafka import KafkaSettings
from deploy.local.servers import Endpoints, LocalServers, ServerSettings
from services.runtime.catalogue import observations
from services.runtime.logs import configure_logs
from tests.benchmarks.__main__ import describe_machine
from tests.benchmarks.job.domain import BENCHMARK, READING
from tests.benchmarks.job.encoding import Encoding, records
from tests.benchmarks.job.expected import Windows, entities, expected
from tests.benchmarks.job.observations import ROWS_PER_FRAME, Job
from tests.benchmarks.peers.engine import Engine, Run, Sink
from tests.benchmarks.peers.log import make_topic, write
from tests.benchmarks.peers.report import as_markdown
from tests.benchmarks.peers.trial import Trial, try_once

REPOSITORY = Path(__file__).resolve().parents[3]
MODULES = ("ours", "clickhouse_only", "kafka_streams", "flink", "quix", "bytewax", "faust_stock")
TOPIC = observations(BENCHMARK.name, READING.name)


def find_engines() -> list[Engine]:
    """Every engine of the modules here, in their order."""
    return [
        engine
        for name in MODULES
        if (Path(__file__).parent / f"{name}.py").exists()
        for engine in importlib.import_module(f"tests.benchmarks.peers.{name}").ENGINES
    ]


Turn = tuple[int, Engine, Sink]


def measure(turns: Sequence[Turn], job: Job, encoding: Encoding, at: Endpoints, keep: Callable[[Trial], None]) -> None:
    """These turns on one encoding, with a job of one size."""
    wanted, names = expected(job), entities(job)
    tell(f"{encoding}: writing {job.observations:,} observations")
    make_topic(at.kafka, TOPIC)
    size = write(at.kafka, TOPIC, encoding, records(job, encoding))
    tell(f"{encoding}: {size / job.observations:.1f} bytes an observation, {len(wanted):,} windows expected")
    for repetition, engine, sink in turns:
        keep(_try(engine, sink, job, encoding, repetition, at, wanted, names))


def turns_left(engines: Sequence[Engine], encoding: Encoding, repetitions: int, done: Iterable[Trial]) -> list[Turn]:
    """Who is still to run, one after the other in each repetition."""
    past = {(trial.repetition, trial.engine, trial.sink) for trial in done if trial.encoding == encoding}
    every = ((turn, engine, sink) for turn in range(repetitions) for engine in engines for sink in engine.sinks)
    return [turn for turn in every if (turn[0], turn[1].name, turn[2]) not in past]


def _try(
    engine: Engine,
    sink: Sink,
    job: Job,
    encoding: Encoding,
    repetition: int,
    at: Endpoints,
    wanted: Windows,
    names: list[str],
) -> Trial:
    with tempfile.TemporaryDirectory(prefix="urban-bench-") as folder:
        run = Run(
            engine=engine.name,
            encoding=encoding,
            sink=sink,
            repetition=repetition,
            kafka=at.kafka,
            clickhouse=at.clickhouse,
            topic=TOPIC,
            folder=Path(folder),
            rows=len(wanted),
        )
        trial = try_once(engine, run, job, at, wanted, names)
    steady = trial.steady.get("observations_per_cpu_s", 0)
    tell(
        f"{engine.name}, {encoding}, {sink}: {trial.observations_per_cpu_s:,} a CPU-second ({steady:,} steady),"
        f" {trial.wall_s:.1f} s; {'correct' if trial.correct else trial.troubles}"
    )
    return trial


class Book:
    """What was measured, in a file that is whole after every run."""

    def __init__(self, path: Path, engines: Sequence[Engine], *, go_on: bool) -> None:
        """`go_on`: with what the file has already."""
        before = json.loads(path.read_text(encoding="utf-8")) if go_on and path.is_file() else {}
        self.trials = [Trial.from_json(trial) for trial in before.get("trials", ())]
        self._path = path
        self._engines = before.get("engines", {}) | {
            e.name: {"version": e.version(), **e.settings, "remarks": e.remarks} for e in engines
        }
        # One for each time that it was gone on with.
        self._machines = [*before.get("machines", ()), describe_machine()]

    def keep(self, trial: Trial) -> None:
        self.trials.append(trial)
        document = {
            "machines": self._machines,
            "engines": self._engines,
            "summary": summarise(self.trials),
            "trials": [trial.as_json() for trial in self.trials],
        }
        self._path.parent.mkdir(parents=True, exist_ok=True)
        draft = self._path.with_suffix(".draft")
        draft.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")
        draft.replace(self._path)


def summarise(trials: Iterable[Trial]) -> list[dict[str, object]]:
    """Median and range over the repetitions of each engine, encoding and sink."""
    groups: dict[tuple[str, str, str], list[Trial]] = {}
    for trial in trials:
        groups.setdefault((trial.encoding, trial.engine, trial.sink), []).append(trial)
    rows = []
    # Some were gone on with days later: a reader wants them by encoding all the same.
    encodings, engines = [*Encoding], [engine.name for engine in find_engines()]
    order = sorted(groups, key=lambda group: (encodings.index(Encoding(group[0])), engines.index(group[1]), group[2]))
    for encoding, engine, sink in order:
        of_group = groups[encoding, engine, sink]
        total = [t.observations_per_cpu_s for t in of_group]
        steady = [t.steady["observations_per_cpu_s"] for t in of_group if t.steady]
        rows.append(
            {
                "encoding": encoding,
                "engine": engine,
                "sink": sink,
                "observations": of_group[0].observations,
                "observations_per_cpu_s": round(statistics.median(total)),
                "range": [min(total), max(total)],
                "steady_observations_per_cpu_s": round(statistics.median(steady)) if steady else None,
                "wall_s": round(statistics.median(t.wall_s for t in of_group), 1),
                "peak_rss_mb": round(max(t.peak_rss_mb for t in of_group)),
                "correct": all(t.correct for t in of_group),
                "troubles": sorted({trouble for t in of_group for trouble in t.troubles}),
            }
        )
    return rows


def tell(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def main() -> int:
    """Writes the JSON and prints the table; exit status 1 where our own results were wrong."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.peers", description=__doc__)
    parser.add_argument("--engine", action="append", help="an engine; may be repeated (default: all)")
    parser.add_argument("--encoding", action="append", choices=[*Encoding], help="may be repeated (default: all)")
    parser.add_argument("--observations", type=int, default=8_000_000, help="of the encoding with frames")
    parser.add_argument("--singles", type=int, default=4_000_000, help="of the encodings with one a record")
    parser.add_argument("--repetitions", type=int, default=3)
    parser.add_argument("--output", type=Path, default=REPOSITORY / "build" / "peers.json")
    parser.add_argument("--cache", type=Path, default=REPOSITORY / ".urban" / "cache", help="folder of downloads")
    parser.add_argument("--go-on", action="store_true", help="keep the runs that --output has already")
    given = parser.parse_args()
    configure_logs("console", "warning")
    engines = [e for e in find_engines() if not given.engine or e.name in given.engine]
    book = Book(given.output, engines, go_on=given.go_on)
    server = ServerSettings(kafka=KafkaSettings(first_port=0), clickhouse_port=0, cache=given.cache)
    with tempfile.TemporaryDirectory() as name, LocalServers(Path(name), server, progress=tell) as at:
        for encoding in [Encoding(e) for e in given.encoding or Encoding]:
            whole = given.observations if encoding is Encoding.FRAMES else given.singles
            able = [e for e in engines if encoding in e.encodings]
            for size in sorted({min(e.observations or whole, whole) for e in able}, reverse=True):
                of_size = [e for e in able if min(e.observations or whole, whole) == size]
                job = Job(size // ROWS_PER_FRAME * ROWS_PER_FRAME)
                if turns := turns_left(of_size, encoding, given.repetitions, book.trials):
                    measure(turns, job, encoding, at, book.keep)
    rows = summarise(book.trials)
    print(as_markdown(rows))
    return 0 if all(row["correct"] for row in rows if row["engine"] == "urban-brain") else 1


if __name__ == "__main__":
    sys.exit(main())
