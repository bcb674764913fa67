"""What an observation costs as a city grows: `python -m tests.benchmarks.scale`.

Throughput with one and two workers; processor time and memory as there are more entities, smaller frames, more
partitions, and fewer observations for each window; bytes in Kafka and ClickHouse. Each run is of real processes on
servers of its sweep's own, and has figures only if all its windows are those of a plain count. Prints JSON.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from deploy.local.kafka import KafkaSettings
from deploy.local.servers import Endpoints, LocalServers, ServerSettings
from services.runtime.logs import configure_logs
from tests.benchmarks.__main__ import describe_machine
from tests.benchmarks.observing import tell
from tests.benchmarks.pages import write_part
from tests.benchmarks.scale.cases import Case, sweeps
from tests.benchmarks.scale.page import JSON_FILE, PAGE, PLOT_FILE, as_markdown, plot
from tests.benchmarks.scale.sizes import measure_sizes
from tests.benchmarks.scale.trial import try_case

REPOSITORY = Path(__file__).resolve().parents[3]
SIZES = "sizes"


def main() -> None:
    """Runs all sweeps, or those that are asked for."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.scale", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="fewer and shorter runs")
    parser.add_argument(
        "--only", action="append", choices=[*sweeps(False), SIZES], help="may be repeated; default: all"
    )
    parser.add_argument(
        "--write", action="store_true", help="keep the figures: JSON, tables, plot; with --only, other sweeps stay"
    )
    parser.add_argument("--cache", type=Path, default=REPOSITORY / ".urban" / "cache", help="folder of downloads")
    given = parser.parse_args()
    configure_logs("console", "warning")
    kept = json.loads(JSON_FILE.read_text(encoding="utf-8")) if given.only and JSON_FILE.exists() else {}
    document = measure(given.quick, given.only or [*sweeps(given.quick), SIZES], given.cache, kept)
    text = json.dumps(document, indent=1)
    print(text)
    if given.write:
        JSON_FILE.write_text(text + "\n", encoding="utf-8")
        write_part(PAGE, "scale", as_markdown(document))
        PLOT_FILE.write_text(plot(document), encoding="utf-8")


def measure(quick: bool, chosen: list[str], cache: Path, kept: dict[str, Any]) -> dict[str, Any]:
    """The figures of these sweeps, with the facts of the machine; of others those of `kept`, an earlier document."""
    began_s = time.monotonic()
    document: dict[str, Any] = {"sweeps": {}, "took_s": {}, **kept, "machine": describe_machine()}
    for name, cases in sweeps(quick).items():
        if name in chosen:
            with servers(cache) as at, _clock(document, name):
                document["sweeps"][name] = [_try(case, at, began_s) for case in cases]
    if SIZES in chosen:
        with servers(cache) as at, _clock(document, SIZES):
            document[SIZES] = measure_sizes(at, quick)
    return document


@contextmanager
def _clock(document: dict[str, Any], name: str) -> Iterator[None]:
    began_s = time.monotonic()
    yield
    document["took_s"][name] = round(time.monotonic() - began_s)


@contextmanager
def servers(cache: Path) -> Iterator[Endpoints]:
    """Empty servers, whose groups wait a while for all their members, so that two workers share from the beginning."""
    kafka = KafkaSettings(first_port=0, heap_mib=512, overrides={"group.initial.rebalance.delay.ms": "3000"})
    settings = ServerSettings(kafka=kafka, clickhouse_port=0, cache=cache)
    with tempfile.TemporaryDirectory() as name, LocalServers(Path(name), settings, progress=tell) as at:
        yield at


def _try(case: Case, at: Endpoints, began_s: float) -> dict[str, Any]:
    tell(f"[{time.monotonic() - began_s:4.0f} s] {case.name}: {case.job.observations:,} observations")
    figures = try_case(case, at)
    tell(f"         {figures['cpu_ns_per_observation']:,} ns an observation, {figures['peak_pss_mb']:,} MB, correct")
    return figures


if __name__ == "__main__":
    main()
