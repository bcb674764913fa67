"""Latency, measured: window end to row, observation to signal to incident: `python -m tests.benchmarks.latency`.

For each rate anew: Kafka, ClickHouse, the processors of traffic and community, and the correlation; a city that does
not wait (city.py), and readers that note when they see what (seen.py). Prints JSON; README.md tells what is measured.
With `--draw`: nothing is measured, but a result of before drawn again.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

from deploy.local.kafka import KafkaSettings
from deploy.local.servers import Endpoints, LocalServers, ServerSettings
from services.runtime.catalogue import shared_topics
from services.runtime.logs import configure_logs
from services.runtime.topics import ensure_topics
from tests.benchmarks.latency.city import City, Written, tell_places
from tests.benchmarks.latency.figures import percentiles, plot, table
from tests.benchmarks.latency.kinds import COMMUNITY, TRAFFIC, WINDOW, WINDOW_MS
from tests.benchmarks.latency.plan import PEOPLE, ROADS, ROWS, Plan, place_ids, window_of
from tests.benchmarks.latency.seen import RowWatch, TopicWatch
from tests.benchmarks.observing import look, tell, until
from tests.benchmarks.recovered import compare_windows
from tests.benchmarks.workers import Page, Worker

REPOSITORY = Path(__file__).resolve().parents[3]
PLOT = Path(__file__).with_name("latency.svg")
RATES = (10_000, 50_000, 200_000)
MODULES = {
    "traffic": ("tests.benchmarks.latency.traffic", 4),
    "community": ("tests.benchmarks.latency.community", 4),
    "correlation": ("services.correlation", 1),
}
# Windows that are checked and not counted: connections open, caches fill.
WARM_WINDOWS = 5
# The whole seconds until a city that was just started has made its frames' ids and is ready to send.
HEAD_START_S = 4
PATIENCE_S = 60.0
ROW, ROW_AFTER_END = "closing observation → row", "window end → row"
SIGNAL, INCIDENT = "closing observation → signal", "signal → incident"
BOTH = "closing observation → incident"


def main() -> None:
    """Measures and prints JSON, on standard error the table; or draws what was measured before."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rates", default=",".join(map(str, RATES)), help="observations a second, with commas")
    parser.add_argument("--seconds", type=int, default=40, help="windows of a second, for each rate")
    parser.add_argument("--draw", type=Path, help="a JSON of `python -m tests.benchmarks --only latency`")
    parser.add_argument("--cache", type=Path, default=REPOSITORY / ".urban" / "cache", help="folder of downloads")
    given = parser.parse_args()
    if given.draw:
        runs = json.loads(given.draw.read_text())["results"]["latency"]["runs"]
        PLOT.write_text(plot(runs, ROW, "From the observation that ends a window to its row in ClickHouse"))
        print(table(runs))
        return
    configure_logs("console", "warning")
    runs = [measure(int(rate), given.seconds, given.cache) for rate in given.rates.split(",")]
    tell(table(runs))
    print(json.dumps({"rows_per_frame": ROWS[ROADS], "window_ms": WINDOW_MS, "runs": runs}, indent=2))


def measure(observations_per_s: int, seconds: int, cache: Path) -> dict[str, Any]:
    """One rate, on servers and with processes of its own. SystemExit where a result is not as planned."""
    settings = ServerSettings(kafka=KafkaSettings(first_port=0), clickhouse_port=0, cache=cache)
    with tempfile.TemporaryDirectory() as name, LocalServers(Path(name), settings, progress=tell) as endpoints:
        plan = Plan(observations_per_s, seconds + WARM_WINDOWS, 0)
        asyncio.run(ensure_topics(endpoints.kafka, shared_topics((TRAFFIC, COMMUNITY))))
        asyncio.run(tell_places(endpoints.kafka, plan))
        with workers(endpoints, Path(name)) as started:
            plan = Plan(observations_per_s, plan.seconds, (int(time.time()) + HEAD_START_S) * WINDOW_MS)
            return run(endpoints, plan, started)


@contextmanager
def workers(endpoints: Endpoints, folder: Path) -> Iterator[Mapping[str, Worker]]:
    """The processors, with their partitions."""
    started = {name: Worker(module, endpoints, folder, name) for name, (module, _) in MODULES.items()}
    try:
        for name, worker in started.items():
            partitions = MODULES[name][1]
            until(partial(_works, worker, partitions), f"{name} with its partitions")
        yield started
    finally:
        for worker in started.values():
            worker.child.stop(PATIENCE_S)


def run(endpoints: Endpoints, plan: Plan, started: Mapping[str, Worker]) -> dict[str, Any]:
    """The plan from its begin to its end, and what was seen."""
    rows, topics, city = RowWatch(endpoints.clickhouse, plan), TopicWatch(endpoints.kafka), City(endpoints.kafka, plan)
    topics.start()
    city.start()
    cpu_s = {name: worker.cpu_s() for name, worker in started.items()}
    rows.watch()
    load_average = os.getloadavg()[0]
    spent = {name: (worker.cpu_s() - cpu_s[name]) / plan.seconds for name, worker in started.items()}
    page = look(started["traffic"])
    written = city.wait()
    until(lambda: len(topics.incidents()) >= len(plan.places()), "all incidents")
    topics.stop()
    compared = check(endpoints, plan, written)
    return {
        "observations_per_s": plan.observations_per_s,
        "seconds": plan.seconds - WARM_WINDOWS,
        "latency": latencies(plan, rows, topics),
        "windows_compared": compared,
        "writer_behind_ms": _short(written.behind_ms),
        "rows_seen_every_ms": _short(rows.gaps_ms),
        "window_inserts": _inserts(page),
        "cores": {name: round(cores, 3) for name, cores in spent.items()},
        "load_average": round(load_average, 1),
    }


def check(endpoints: Endpoints, plan: Plan, written: Written) -> int:
    """How many windows were compared with the plan; SystemExit where one is wrong."""
    frames = plan.sent(ROADS)
    beside = (
        written.records[ROADS] - sum(frames.values()),
        written.observations[ROADS] - sum(frames.values()) * ROWS[ROADS],
    )
    wrong, compared = compare_windows(endpoints.clickhouse, frames, PATIENCE_S, window=WINDOW.name, beside=beside)
    if wrong:
        raise SystemExit(f"{wrong} of {compared} windows are wrong")
    return compared


def latencies(plan: Plan, rows: RowWatch, topics: TopicWatch) -> dict[str, Any]:
    """All hops; SystemExit where other signals or incidents came than those of the plan's places."""
    closing = {stream: plan.closings(stream) for stream in ROWS}
    measured = [r for r in rows.seen if r.window >= WARM_WINDOWS]
    moments = len({(r.window, r.at_ms) for r in measured})
    signals, incidents = topics.signals(), topics.incidents()
    entity = {stream: place_ids(stream, plan.places()) for stream in ROWS}
    pairs = [tuple(sorted((entity[ROADS][place], entity[PEOPLE][place]))) for place in plan.places()]
    if {*incidents} != {*pairs} or {*signals} != {*entity[ROADS], *entity[PEOPLE]}:
        raise SystemExit(f"{len(signals)} signals and {len(incidents)} incidents are not those of the places")
    first, second, both = [], [], []
    for place, pair in zip(plan.places(), pairs, strict=True):
        window, partition = window_of(place), place % len(closing[ROADS][0])
        if window < WARM_WINDOWS:
            continue
        first += [(signals[entity[stream][place]] - closing[stream][window, partition], 1) for stream in ROWS]
        second.append((incidents[pair] - max(signals[name] for name in pair), 1))
        both.append((incidents[pair] - max(closing[stream][window].max() for stream in ROWS), 1))
    windows = plan.seconds - WARM_WINDOWS
    return {
        ROW: percentiles(
            [(r.at_ms - closing[ROADS][r.window, r.partition], r.rows) for r in measured], moments, curve=True
        ),
        ROW_AFTER_END: percentiles([(r.at_ms - plan.start_of(r.window + 1), r.rows) for r in measured], moments),
        SIGNAL: percentiles(first, len(first) // 2),
        INCIDENT: percentiles(second, windows),
        BOTH: percentiles(both, windows),
    }


def _inserts(page: Page) -> dict[str, float]:
    """Of rows of windows into ClickHouse: how many, and what one took."""
    name, label = "urban_clickhouse_insert_seconds", '{table="traffic.road_flow_windows"}'
    count, total_s = page.samples[f"{name}_count{label}"], page.samples[f"{name}_sum{label}"]
    return {"inserts": int(count), "mean_ms": round(total_s / count * 1000, 1)}


def _works(worker: Worker, partitions: int) -> bool:
    return worker.look() is not None and bool(worker.told("service_ready")) and len(worker.offsets()) == partitions


def _short(samples: list[float]) -> dict[str, float]:
    told = percentiles([(sample, 1) for sample in samples], len(samples))
    return {name: told[name] for name in ("p50_ms", "p99_ms", "max_ms")}


if __name__ == "__main__":
    main()
