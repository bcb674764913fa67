"""Recovery, measured: kill -9, checkpoints, hand-over and rolling restart: `python -m tests.benchmarks.recovery`.

A city goes on at its own pace (tests/benchmarks/open_loop.py) while processors on the embedded servers are killed,
ended and started. Prints JSON.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from deploy.local.kafka import KafkaSettings
from deploy.local.servers import LocalServers, ServerSettings
from services.runtime.logs import configure_logs
from tests.benchmarks.observing import (
    PATIENCE_S,
    Bench,
    behind_s,
    catch_up,
    caught_up_after,
    has_all_after,
    lag_of,
    last_s,
    read_again,
    shared_out,
    tell,
    until,
    watch_steady,
    watching,
)
from tests.benchmarks.open_loop import ROWS, City, Load
from tests.benchmarks.recovered import compare_windows
from tests.benchmarks.workers import Worker

REPOSITORY = Path(__file__).resolve().parents[2]
MODULES = {"four_aggregates": "tests.benchmarks.four_aggregates", "road_flow": "services.traffic"}
IDLE_S = 2.0
MEMORY_INTERVAL_S = 0.1
MEMORY_FIGURES: dict[str, Callable[[list[float]], float]] = {
    "median": statistics.median,
    "p95": lambda values: statistics.quantiles(values, n=20)[-1],
    "most": max,
}
SESSION_TIMEOUT_S = 10  # as services/runtime/settings.py has it
# From the moment on at which a worker may be missed: who takes longer has not recovered.
RECOVERY_BOUND_S = 60.0
JITTER_S = 0.5  # of event time: a partition's moves with each of its frames
# The name that a worker comes back under, as one of a StatefulSet does.
SEAT = "seat-1"


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
        seat = {"URBAN_CHECKPOINT_SECONDS": period, "URBAN_STATIC_MEMBER": "true", "URBAN_INSTANCE": SEAT}
        worker = restart(bench, bench.running[0], **seat)
        catch_up(bench, worker, None)
        steady, kills = [], []
        for _ in range(given.kills):
            told, usual_lag = watch_steady(bench, worker, given.steady)
            steady.append(told)
            sent = sum(bench.city.sent)
            worker.child.kill()
            worker.child.wait()
            worker = bench.start(**seat)
            kills.append(catch_up(bench, worker, usual_lag, sent))
            tell(f"{period} s: {steady[-1]} {kills[-1]}")
        found[f"every {period} s"] = {"steady": steady, "kills": kills}
    return found


def memory(bench: Bench, given: argparse.Namespace) -> dict[str, Any]:
    """What a worker holds in memory above an idle one, with all windows open; the load hardly matters."""
    (worker,) = bench.running
    told = watch_steady(bench, worker, given.steady)[0]
    above_mb = []
    end_s = time.monotonic() + given.kills * given.steady
    while time.monotonic() < end_s:
        above_mb.append(worker.pss_mb() - bench.idle_pss_mb)
        time.sleep(MEMORY_INTERVAL_S)
    millions = told["open_windows"] / 1e6
    return {
        "open_windows": told["open_windows"],
        "idle_pss_mb": round(bench.idle_pss_mb),
        "samples": len(above_mb),
        "above_idle_mb": {name: round(of(above_mb), 1) for name, of in MEMORY_FIGURES.items()},
        "above_idle_mb_per_million_windows": {
            name: round(of(above_mb) / millions, 1) for name, of in MEMORY_FIGURES.items()
        },
        "packed_checkpoints_mb": told["checkpoint_mb"],
    }


def takeover(bench: Bench, given: argparse.Namespace) -> dict[str, Any]:
    """Two workers, kill -9 of one: the group misses it after its session timeout, then the other has all."""
    found = []
    for _ in range(given.kills):
        join_second(bench, given)
        victim, survivor = bench.running[:2]
        time.sleep(given.steady / 2)
        usual_s = behind_s(bench)
        with watching(bench) as pauses:
            began_s = time.time()
            victim.child.kill()
            victim.child.wait()
            restored_s = has_all_after(survivor, began_s, SESSION_TIMEOUT_S + RECOVERY_BOUND_S)
            caught_up_s = caught_up_after(bench, usual_s + JITTER_S, RECOVERY_BOUND_S)
            time.sleep(given.steady / 2)
        found.append(
            {
                "until_restored_s": round(restored_s - began_s, 2),
                "until_caught_up_s": round(caught_up_s - began_s, 2),
                "longest_pause_s": pauses,
            }
        )
        tell(str(found[-1]))
    return {"session_timeout_s": SESSION_TIMEOUT_S, "kills": found}


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
            restored_s = has_all_after(staying, began_s, RECOVERY_BOUND_S)
            time.sleep(given.steady / 2)
        leaving.child.wait()
        found.append(
            {
                "until_released_s": last_s(leaving, "partition_released", began_s),
                "until_stopped_s": last_s(leaving, "service_stopped", began_s),
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


def join_second(bench: Bench, given: argparse.Namespace, workers: int = 2) -> None:
    while len(bench.running) < workers:
        bench.start(URBAN_CHECKPOINT_SECONDS=given.periods.split(",")[0])
    until(lambda: shared_out(bench, workers), f"{workers} workers with partitions")


if __name__ == "__main__":
    main()
