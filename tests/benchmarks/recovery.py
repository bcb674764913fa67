"""Recovery, measured: kill -9, checkpoints, hand-over and rolling restart: `python -m tests.benchmarks.recovery`.

A city goes on at its own pace (tests/benchmarks/open_loop.py) while processors on the embedded servers are killed,
ended and started. Prints JSON.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from deploy.local.kafka import KafkaSettings
from deploy.local.servers import Endpoints, LocalServers, ServerSettings
from services.runtime.logs import configure_logs
from tests.benchmarks.open_loop import ROWS, City, Load
from tests.benchmarks.recovered import compare_windows
from tests.benchmarks.workers import OBSERVATIONS, WATERMARK, Page, Worker

REPOSITORY = Path(__file__).resolve().parents[2]
MODULES = {"four_aggregates": "tests.benchmarks.four_aggregates", "road_flow": "services.traffic"}
POLL_S = 0.05
PATIENCE_S = 600.0
PARTITIONS = 4
IDLE_S = 2.0
# The name that a worker comes back under, as one of a StatefulSet does.
SEAT = "seat-1"


@dataclass
class Bench:
    """One city and its workers. Each worker that was ever started is kept, for what it has told."""

    module: str
    endpoints: Endpoints
    folder: Path
    city: City
    workers: list[Worker]
    idle_pss_mb: float = 0.0  # of the first worker, before there was anything to do

    def start(self, **settings: str) -> Worker:
        worker = Worker(self.module, self.endpoints, self.folder, f"worker-{len(self.workers)}", **settings)
        self.workers.append(worker)
        return worker

    @property
    def running(self) -> list[Worker]:
        return [w for w in self.workers if w.child.poll() is None]


def main() -> None:
    """Measures what is asked for, and prints it as JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kind", choices=sorted(MODULES), default="four_aggregates")
    parser.add_argument("--rate", type=int, default=200_000, help="observations a second")
    parser.add_argument("--entities", type=int, default=90_112, help="a multiple of 1,024")
    parser.add_argument("--periods", default="5", help="seconds between two checkpoints, several with commas")
    parser.add_argument("--kills", type=int, default=3, help="of each period")
    parser.add_argument("--steady", type=float, default=20.0, help="seconds of steady state before each kill")
    parser.add_argument("--only", action="append", choices=sorted(SCENARIOS), help="may be repeated; default: all")
    parser.add_argument("--cache", type=Path, default=REPOSITORY / ".urban" / "cache", help="folder of downloads")
    given = parser.parse_args()
    configure_logs("console", "warning")
    load = Load(given.entities, given.rate, history_minutes=11)
    results = {}
    for name in given.only or SCENARIOS:
        tell(name)
        with open_bench(given, load) as bench:
            results[name] = SCENARIOS[name](bench, given)
            results[name] |= end(bench)
    described = {"kind": given.kind, "entities": load.entities, "observations_per_s": load.observations_per_s}
    print(json.dumps({**described, "rows_per_frame": ROWS, "scenarios": results}, indent=2))


@contextmanager
def open_bench(given: argparse.Namespace, load: Load) -> Iterator[Bench]:
    """Servers, a city and the first worker, which has worked off the history."""
    settings = ServerSettings(kafka=KafkaSettings(first_port=0), clickhouse_port=0, cache=given.cache)
    with tempfile.TemporaryDirectory() as name, LocalServers(Path(name), settings, progress=tell) as endpoints:
        bench = Bench(MODULES[given.kind], endpoints, Path(name), City(endpoints.kafka, load), [])
        try:
            first = bench.start()
            until(lambda: first.told("service_ready"), "the first worker")
            time.sleep(IDLE_S)
            bench.idle_pss_mb = first.pss_mb()
            bench.city.start()
            until(lambda: lag_of(bench, first) < load.observations_per_s, "the history")
            yield bench
        finally:
            for worker in bench.workers:
                worker.child.kill()


def end(bench: Bench) -> dict[str, Any]:
    """Lets everything come to its end, and compares all windows with a plain count of what was sent."""
    frames = bench.city.stop()
    sent = sum(frames.values()) * ROWS
    for worker in bench.running[1:]:
        worker.child.stop(60.0)
    wrong, compared = compare_windows(bench.endpoints.clickhouse, frames, PATIENCE_S)
    return {
        "observations_sent": sent,
        "windows_compared": compared,
        "windows_wrong": wrong,
        "writer_most_behind_s": round(bench.city.most_behind_s, 2),
        "load_average": round(os.getloadavg()[0], 1),
    }


def checkpoint_periods(bench: Bench, given: argparse.Namespace) -> dict[str, Any]:
    """Steady state, then kill -9 and the same again at once; for each period of checkpoints."""
    found = {}
    for period in given.periods.split(","):
        worker = restart(bench, bench.running[0], URBAN_CHECKPOINT_SECONDS=period, URBAN_INSTANCE=SEAT)
        catch_up(bench, worker, None)
        steady, kills = [], []
        for _ in range(given.kills):
            told, usual_lag = watch_steady(bench, worker, given.steady)
            steady.append(told)
            sent = sum(bench.city.sent)
            worker.child.kill()
            worker.child.wait()
            worker = bench.start(URBAN_CHECKPOINT_SECONDS=period, URBAN_INSTANCE=SEAT)
            kills.append(catch_up(bench, worker, usual_lag, sent))
            tell(f"{period} s: {steady[-1]} {kills[-1]}")
        found[f"every {period} s"] = {"steady": steady, "kills": kills}
    return found


def memory(bench: Bench, given: argparse.Namespace) -> dict[str, Any]:
    """What a worker holds in memory above an idle one, with all windows open; the load hardly matters."""
    (worker,) = bench.running
    told = [watch_steady(bench, worker, given.steady)[0] for _ in range(given.kills)]
    return {
        "open_windows": [steady["open_windows"] for steady in told],
        "idle_pss_mb": round(bench.idle_pss_mb),
        "pss_mb": [steady["pss_mb"] for steady in told],
        "above_idle_mb": round(max(steady["pss_mb"] for steady in told) - bench.idle_pss_mb),
        "packed_checkpoints_mb": told[-1]["checkpoint_mb"],
    }


def takeover(bench: Bench, given: argparse.Namespace) -> dict[str, Any]:
    """Two workers, kill -9 of one: the group misses it after its session timeout, then the other has all."""
    found = []
    for _ in range(given.kills):
        join_second(bench, given)
        victim, survivor = bench.running[:2]
        time.sleep(given.steady / 2)
        with watching(bench) as pauses:
            began_s = time.time()
            victim.child.kill()
            victim.child.wait()
            restored_s = restored_after(survivor, began_s)
            time.sleep(given.steady / 2)
        found.append({"until_restored_s": round(restored_s - began_s, 2), "longest_pause_s": pauses})
        tell(str(found[-1]))
    return {"session_timeout_s": 10, "kills": found}


def hand_over(bench: Bench, given: argparse.Namespace) -> dict[str, Any]:
    """Two workers, SIGTERM of one: it saves, leaves, and the other goes on where it ended."""
    found = []
    for _ in range(given.kills):
        join_second(bench, given)
        leaving, staying = bench.running[:2]
        time.sleep(given.steady / 2)
        with watching(bench) as pauses:
            began_s = time.time()
            leaving.child.terminate()
            restored_s = restored_after(staying, began_s)
            time.sleep(given.steady / 2)
        leaving.child.wait()
        found.append(
            {
                "until_released_s": last_s(leaving, "partition_released", began_s),
                "until_stopped_s": last_s(leaving, "service_stopped", began_s),
                "until_the_other_noticed_s": last_s(staying, "partition_released", began_s),
                "until_restored_s": round(restored_s - began_s, 2),
                "records_read_again": read_again(bench),
                "longest_pause_s": pauses,
            }
        )
        tell(str(found[-1]))
    return {"hand_overs": found}


def rolling_restart(bench: Bench, given: argparse.Namespace) -> dict[str, Any]:
    """Three workers, each ended and started again, one after the other."""
    join_second(bench, given)
    join_second(bench, given, workers=3)
    time.sleep(given.steady / 2)
    with watching(bench) as pauses:
        began_s = time.time()
        for leaving in bench.running:
            restart(bench, leaving, URBAN_CHECKPOINT_SECONDS=given.periods.split(",")[0])
            until(lambda: shared_out(bench, 3), "three workers with partitions")
        took_s = time.time() - began_s
        time.sleep(given.steady / 2)
    return {
        "workers": 3,
        "took_s": round(took_s, 1),
        "records_read_again": read_again(bench),
        "longest_pause_s": pauses,
    }


SCENARIOS: dict[str, Callable[[Bench, argparse.Namespace], dict[str, Any]]] = {
    "checkpoint_periods": checkpoint_periods,
    "memory": memory,
    "takeover": takeover,
    "hand_over": hand_over,
    "rolling_restart": rolling_restart,
}


def restart(bench: Bench, worker: Worker, **settings: str) -> Worker:
    """End a worker as a deployment does, and start the one after it."""
    worker.child.stop(60.0)
    return bench.start(**settings)


def restored_after(worker: Worker, since_s: float) -> float:
    """When this worker had restored all partitions, all of them after that moment."""

    def moments() -> list[float]:
        return [at_s for told in worker.told("partition_restored") if (at_s := float(str(told["at_s"]))) > since_s]

    until(lambda: len(moments()) >= PARTITIONS, f"{worker.name} with all partitions")
    return max(moments())


def last_s(worker: Worker, event: str, since_s: float) -> float | None:
    """Seconds from a moment to the last such line of a worker's log; None where it has none after that."""
    moments = [float(str(told["at_s"])) - since_s for told in worker.told(event)]
    return round(max(moments), 2) if moments and max(moments) > 0 else None


def join_second(bench: Bench, given: argparse.Namespace, workers: int = 2) -> None:
    while len(bench.running) < workers:
        bench.start(URBAN_CHECKPOINT_SECONDS=given.periods.split(",")[0])
    until(lambda: shared_out(bench, workers), f"{workers} workers with partitions")


def shared_out(bench: Bench, workers: int) -> bool:
    """Whether so many workers have partitions, and somebody has each of them."""
    held = [set(page.by_partition(WATERMARK)) for worker in bench.running if (page := worker.look())]
    return sum(map(bool, held)) == workers and set().union(*held) == set(range(PARTITIONS))


def watch_steady(bench: Bench, worker: Worker, seconds: float) -> tuple[dict[str, Any], float]:
    """What a worker takes when it keeps up: processor time, and how much of that are checkpoints; its usual lag."""
    first, cpu_s, began_s, lags = look(worker), worker.cpu_s(), time.time(), []
    while time.time() - began_s < seconds:
        lags.append(lag_of(bench, worker))
        time.sleep(POLL_S)
    last, spent_s = look(worker), worker.cpu_s() - cpu_s
    checkpoints_s = last.total("urban_checkpoint_cpu_seconds_total") - first.total("urban_checkpoint_cpu_seconds_total")
    handled = last.total(OBSERVATIONS) - first.total(OBSERVATIONS)
    taken_s = last.at_s - first.at_s
    told = {
        "open_windows": int(last.total("urban_open_windows")),
        "observations_per_s": round(handled / taken_s),
        "cores": round(spent_s / taken_s, 3),
        "observations_per_cpu_s": round(handled / spent_s),
        "checkpoints": int(
            last.total("urban_checkpoint_seconds_count") - first.total("urban_checkpoint_seconds_count")
        ),
        "checkpoint_mb": round(last.total("urban_checkpoint_bytes") / 1e6, 1),
        "checkpoint_cpu_share": round(checkpoints_s / spent_s, 4),
        "lag_observations": {"median": round(statistics.median(lags)), "most": round(max(lags))},
        "pss_mb": round(worker.pss_mb()),
        "load_average": round(os.getloadavg()[0], 1),
    }
    return told, max(lags)


def catch_up(bench: Bench, worker: Worker, usual_lag: float | None, sent: int = 0) -> dict[str, Any]:
    """From its start until the lag is as before, in parts; all times in s since the start of the process."""
    marks: dict[str, float] = {}
    began_s = worker.began_s

    def caught_up() -> bool:
        page = worker.look()
        if page is None:
            return False
        marks.setdefault("answers", page.at_s)
        if page.total(OBSERVATIONS):
            marks.setdefault("first_record", page.at_s)
        bound = bench.city.load.observations_per_s / 2 if usual_lag is None else usual_lag
        return "first_record" in marks and lag_of(bench, worker, page) <= bound

    until(caught_up, "a worker that keeps up", POLL_S / 2)
    marks["caught_up"] = time.time()
    restored = worker.told("partition_restored")
    loads_s = look(worker).total("urban_restore_seconds_sum")
    return {
        "process_answers_s": round(marks["answers"] - began_s, 2),
        "partitions_restored_s": round(max(float(str(r["at_s"])) for r in restored) - began_s, 2),
        "loads_of_checkpoints_s": round(loads_s, 2),
        "first_record_s": round(marks["first_record"] - began_s, 2),
        "caught_up_s": round(marks["caught_up"] - began_s, 2),
        "observations_read_again": max(0, sent - sum(worker.offsets().values())) * ROWS if sent else 0,
        "load_average": round(os.getloadavg()[0], 1),
    }


def lag_of(bench: Bench, worker: Worker, page: Page | None = None) -> float:
    """Observations in the log that the only worker has not handled; infinite while it has not restored."""
    page, restored = page or worker.look(), worker.offsets()
    if page is None or len(restored) < PARTITIONS:
        return float("inf")
    sent = sum(bench.city.sent)
    return (sent - sum(restored.values())) * ROWS - page.total(OBSERVATIONS)


def read_again(bench: Bench) -> int:
    """Records that lay between where a partition was released and where it was taken up, over all workers."""
    events = sorted(
        (float(str(said["at_s"])), int(str(said["partition"])), event, int(str(said["offset"])))
        for worker in bench.workers
        for event in ("partition_released", "partition_restored")
        for said in worker.told(event)
    )
    released: dict[int, int] = {}
    again = 0
    for _, partition, event, offset in events:
        if event == "partition_released":
            released[partition] = offset
        elif partition in released:
            again += abs(released.pop(partition) - offset)
    return again


@contextmanager
def watching(bench: Bench) -> Iterator[dict[int, float]]:
    """The longest time in which each partition's event time stood still, whoever worked on it, while the block runs."""
    ended, longest_s = threading.Event(), dict.fromkeys(range(PARTITIONS), 0.0)

    def watch() -> None:
        moved: dict[int, tuple[float, float]] = {}  # watermark, and when it was first seen
        while not ended.wait(POLL_S):
            for page in filter(None, (worker.look() for worker in bench.running)):
                for partition, watermark in page.by_partition(WATERMARK).items():
                    before, since_s = moved.get(partition, (0.0, page.at_s))
                    if watermark > before:
                        moved[partition] = watermark, page.at_s
                        longest_s[partition] = round(max(longest_s[partition], page.at_s - since_s), 2)

    thread = threading.Thread(target=watch, daemon=True)
    thread.start()
    try:
        yield longest_s
    finally:
        ended.set()
        thread.join()


def look(worker: Worker) -> Page:
    """Its metrics; it must be there."""
    until(lambda: worker.look() is not None, f"{worker.name}'s metrics")
    page = worker.look()
    assert page is not None
    return page


def until(holds: Callable[[], object], what: str, poll_s: float = POLL_S) -> None:
    began = time.monotonic()
    while not holds():
        if time.monotonic() - began > PATIENCE_S:
            sys.exit(f"{what}: not within {PATIENCE_S:g} s")
        time.sleep(poll_s)


def tell(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
