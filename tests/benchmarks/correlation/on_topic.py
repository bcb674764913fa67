"""From a signal on its topic to its incident on its own: `python -m tests.benchmarks.correlation.on_topic`.

Kafka, ClickHouse and the correlation's processor as in a deployment; a writer that does not wait, with a plan to the
millisecond; a subscriber that notes when it has what. Prints JSON; README.md tells what is measured.
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
import threading
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

from confluent_kafka import Consumer, Producer, TopicPartition

from deploy.local.kafka import KafkaSettings
from deploy.local.servers import Endpoints, LocalServers, ServerSettings
from services.core.correlation.incident import Incident
from services.core.correlation.rulebook import Rulebook
from services.core.geometry import cell_of
from services.core.signals import Signal
from services.correlation.intake import read_signal_record
from services.correlation.rules import load_rules
from services.correlation.wire import IncidentWriter
from services.runtime.catalogue import INCIDENTS, OBSERVATION_PARTITIONS, SIGNALS
from services.runtime.logs import configure_logs
from services.runtime.records import signal_record, watermark_record
from tests.benchmarks.__main__ import describe_machine
from tests.benchmarks.correlation.load import Load, signals_of
from tests.benchmarks.latency.figures import percentiles
from tests.benchmarks.observing import tell, until
from tests.benchmarks.pages import write_part
from tests.benchmarks.tables import markdown
from tests.benchmarks.workers import REPOSITORY, Worker
from urban.correlation.v1.incident_pb2 import INCIDENT_STATE_OPEN
from urban.correlation.v1.incident_pb2 import Incident as IncidentMessage

HERE = Path(__file__).parent
JSON_FILE = HERE.parent / "correlation_on_topic.json"
MARK = "on_topic"
BUDGET_MS = 250.0
SIGNALS_PER_CITY, PLANTED = 200, 0.2
# Windows end so often: evenly, and all of a second at once.
MOMENTS = (20, 1)
# Seconds that are checked and not counted: connections open, caches fill.
WARM_S = 5
HEAD_START_S = 3.0
PATIENCE_S = 60.0
SILENCE_MS = 60_000


class Due(NamedTuple):
    """What is written at one moment: the signals of windows that end then, and behind them that time has passed it."""

    at_ms: int
    records: tuple[bytes, ...]


def plan(signals_per_s: int, seconds: int, moments_per_s: int, start_ms: int) -> list[Due]:
    """The signals of cities as in `load`, spread over the moments in their order, and a report of each kind."""
    rules = load_rules()
    kinds = sorted({(s.domain, s.kind) for rule in rules for s in rule.selectors})
    wanted, moments = signals_per_s * seconds, seconds * moments_per_s
    load = Load("ordinary", -(-wanted // SIGNALS_PER_CITY), SIGNALS_PER_CITY, 200.0, 1, PLANTED)
    signals = signals_of(load, rules)[:wanted]
    due: list[Due] = []
    for number in range(moments):
        at_ms = start_ms + number * 1000 // moments_per_s
        mine = signals[number * wanted // moments : (number + 1) * wanted // moments]
        passed = dict.fromkeys(range(OBSERVATION_PARTITIONS), at_ms)
        records = [signal_record(_ending(signal, at_ms))[1] for signal in mine]
        due.append(Due(at_ms, (*records, *(watermark_record(*kind, "bench", passed) for kind in kinds))))
    return due


def _ending(signal: Signal, end_ms: int) -> Signal:
    start_ms = end_ms - (signal.end_ms - signal.start_ms)
    return replace(signal, start_ms=start_ms, end_ms=end_ms, h3_cell=cell_of(signal.latitude, signal.longitude))


class IncidentWatch:
    """Subscribes to the incidents with another make of client; a thread of its own."""

    def __init__(self, kafka: str) -> None:
        self._consumer = Consumer(
            {"bootstrap.servers": kafka, "group.id": "on-topic", "enable.auto.commit": False, "fetch.wait.max.ms": 100}
        )
        self.arrived: list[tuple[float, bytes]] = []  # time in ms, value
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def start(self) -> None:
        self._consumer.assign([TopicPartition(INCIDENTS, 0, 0)])
        self._thread.start()

    def stop(self) -> None:
        self._ended.set()
        self._thread.join()
        self._consumer.close()

    def _watch(self) -> None:
        while not self._ended.is_set():
            for message in self._consumer.consume(500, 0.02):
                if message.error() is not None:
                    raise RuntimeError(str(message.error()))
                self.arrived.append((time.time() * 1000, message.value() or b""))


def write(kafka: str, due: Sequence[Due]) -> list[float]:
    """Writes each at its time, whatever becomes of those before; how long after it each was handed over, in ms."""
    producer = Producer({"bootstrap.servers": kafka, "enable.idempotence": True, "linger.ms": 0})
    behind_ms: list[float] = []
    for one in due:
        if (early_s := one.at_ms / 1000 - time.time()) > 0:
            time.sleep(early_s)
        for record in one.records:
            producer.produce(SIGNALS, record, partition=0)
        producer.poll(0)
        behind_ms.append(time.time() * 1000 - one.at_ms)
    if producer.flush(PATIENCE_S):
        raise SystemExit("Kafka did not take everything")
    return behind_ms


def undisturbed(due: Sequence[Due]) -> dict[tuple[str, int], tuple[bytes, int]]:
    """By incident and revision: the version that the pure core tells, and the moment that leads to it, in ms."""
    rules, writer = load_rules(), IncidentWriter()
    sources = {(s.domain, s.kind): OBSERVATION_PARTITIONS for rule in rules for s in rule.selectors}
    book = Rulebook(rules, sources, silence_ms=SILENCE_MS)
    found: dict[tuple[str, int], tuple[bytes, int]] = {}
    for one in due:
        versions: list[Incident] = []
        for value in one.records:
            versions += book.take(read_signal_record(value), one.at_ms)
        found |= {(i.id, i.revision): (writer.message(i), one.at_ms) for i in versions}
    return found


def run(endpoints: Endpoints, folder: Path, signals_per_s: int, seconds: int, moments_per_s: int) -> dict[str, Any]:
    """One load. SystemExit where a version is missing, or is not that of an undisturbed correlator."""
    worker = Worker("services.correlation", endpoints, folder, "correlation")
    try:
        until(lambda: worker.look() is not None and len(worker.offsets()) == 1, "the correlation")
        watch = IncidentWatch(endpoints.kafka)
        watch.start()
        made = time.time()
        plan(signals_per_s, seconds + WARM_S, moments_per_s, 0)  # to know how long it takes to make
        now = time.time()
        start_ms = int((now + 2 * (now - made) + HEAD_START_S) * 1000)
        due = plan(signals_per_s, seconds + WARM_S, moments_per_s, start_ms)
        if time.time() * 1000 > start_ms:
            raise SystemExit("the plan was not made in time")
        cpu_s = worker.cpu_s()
        behind_ms = write(endpoints.kafka, due)
        cores, load_average = (worker.cpu_s() - cpu_s) / (seconds + WARM_S), os.getloadavg()[0]
        expected = undisturbed(due)
        until(lambda: len(watch.arrived) >= len(expected), f"{len(expected):,} versions of incidents")
        watch.stop()
    finally:
        worker.child.stop(PATIENCE_S)
    samples = compare(watch.arrived, expected, start_ms + WARM_S * 1000)
    return {
        "signals_per_s": signals_per_s,
        "moments_per_s": moments_per_s,
        "seconds": seconds,
        "versions_compared": len(expected),
        "signal_to_incident": percentiles([(sample, 1) for sample in samples], seconds * moments_per_s),
        "writer_behind": percentiles([(max(behind, 0.0), 1) for behind in behind_ms], len(behind_ms)),
        "cores": round(cores, 3),
        "load_average": round(load_average, 1),
    }


def compare(
    arrived: Sequence[tuple[float, bytes]], expected: dict[tuple[str, int], tuple[bytes, int]], first_ms: int
) -> list[float]:
    """Latencies in ms of what was due from a moment on; SystemExit where not each version came, once and as expected.

    Versions by which others take an incident's place are compared and not counted.
    """
    samples: list[float] = []
    waiting = dict(expected)
    for at_ms, value in arrived:
        message = IncidentMessage.FromString(value)
        told, moment_ms = waiting.pop((message.id, message.revision), (b"", 0))
        if told != value:
            raise SystemExit(f"{message.name}, revision {message.revision}: not as an undisturbed correlator tells it")
        if moment_ms >= first_ms and message.state == INCIDENT_STATE_OPEN:
            samples.append(at_ms - moment_ms)
    if waiting:
        raise SystemExit(f"{len(waiting)} versions are missing")
    return samples


def as_markdown(document: dict[str, Any]) -> str:
    """The table of a run."""
    machine = document["machine"]
    names = ("p50_ms", "p90_ms", "p99_ms", "p99.9_ms", "max_ms")
    heads = ("signals/s", "windows end", *(name.removesuffix("_ms") for name in names), "versions", "cores", "load")
    rows = [
        (
            f"{figures['signals_per_s']:,}",
            f"{figures['moments_per_s']} times a second",
            *(f"{figures['signal_to_incident'][name]:g}" for name in names),
            f"{figures['signal_to_incident']['samples']:,}",
            f"{figures['cores']:.2f}",
            f"{figures['load_average']:g}",
        )
        for figures in document["runs"]
    ]
    opening = f"{machine['cores']} cores ({machine['architecture']}), Python {machine['python']}; ms."
    return f"{opening}\n\n{markdown(heads, rows)}"


def main() -> None:
    """Measures evenly spread windows, and those that end together; exit status 1 where the budget is not kept."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.correlation.on_topic", description=__doc__)
    parser.add_argument("--rate", type=int, default=1_000, help="signals a second")
    parser.add_argument("--seconds", type=int, default=40, help="of each run, beside those to get warm")
    parser.add_argument("--cache", type=Path, default=REPOSITORY / ".urban" / "cache", help="folder of downloads")
    parser.add_argument("--write", action="store_true", help="keep the figures: JSON and table")
    given = parser.parse_args()
    configure_logs("console", "warning")
    document: dict[str, Any] = {"machine": describe_machine(), "budget_p99_ms": BUDGET_MS, "runs": []}
    for moments_per_s in MOMENTS:
        settings = ServerSettings(kafka=KafkaSettings(first_port=0), clickhouse_port=0, cache=given.cache)
        with tempfile.TemporaryDirectory() as name, LocalServers(Path(name), settings, progress=tell) as endpoints:
            document["runs"].append(run(endpoints, Path(name), given.rate, given.seconds, moments_per_s))
    text = json.dumps(document, indent=1)
    print(text)
    tell(as_markdown(document))
    if given.write:
        JSON_FILE.write_text(text + "\n", encoding="utf-8")
        write_part(HERE / "README.md", MARK, as_markdown(document))
    if any(figures["signal_to_incident"]["p99_ms"] > BUDGET_MS for figures in document["runs"]):
        raise SystemExit(f"the 99th percentile is beyond the budget of {BUDGET_MS:g} ms")


if __name__ == "__main__":
    main()
