"""What is seen of a city and its workers while something happens to them: lag, pauses, processor time, offsets."""

from __future__ import annotations

import os
import statistics
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from deploy.local.servers import Endpoints
from tests.benchmarks.open_loop import ROWS, City
from tests.benchmarks.workers import OBSERVATIONS, WATERMARK, Page, Worker

POLL_S = 0.05
PATIENCE_S = 600.0
PARTITIONS = 4
# A partition that comes back to who had it is kept as it is, every other one is restored.
TAKEN_UP = ("partition_restored", "partition_kept")


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


def taken_up(told: Iterable[Mapping[str, object]], since_s: float) -> dict[int, float]:
    """When each partition was last taken up after that moment, by partition, from lines of `TAKEN_UP` events."""
    found: dict[int, float] = {}
    for said in told:
        partition, at_s = int(str(said["partition"])), float(str(said["at_s"]))
        if at_s > since_s:
            found[partition] = max(at_s, found.get(partition, at_s))
    return found


def has_all_after(worker: Worker, since_s: float, patience_s: float) -> float:
    """When this worker had all partitions, each of them taken up after that moment."""

    def found() -> dict[int, float]:
        return taken_up((told for event in TAKEN_UP for told in worker.told(event)), since_s)

    def what() -> str:
        missing = sorted({*range(PARTITIONS)} - found().keys())
        return f"{worker.name} with all partitions (without {missing})\n{worker.child.tail(20)}"

    until(lambda: len(found()) == PARTITIONS, what, patience_s=patience_s)
    return max(found().values())


def behind_s(bench: Bench) -> float:
    """How far event time lies behind the clock in the partition that is furthest behind; infinite where one has none.

    The city's time goes on as the clock does, so that it is a constant as long as everybody keeps up.
    """
    found: dict[int, float] = {}
    for page in filter(None, (worker.look() for worker in bench.running)):
        found |= {partition: page.at_s - mark_s for partition, mark_s in page.by_partition(WATERMARK).items()}
    return max(found.values()) if len(found) == PARTITIONS else float("inf")


def caught_up_after(bench: Bench, usual_s: float, patience_s: float) -> float:
    """When all partitions are again as little behind as usual."""
    until(
        lambda: behind_s(bench) <= usual_s,
        lambda: f"event time no more than {usual_s:,.1f} s behind the clock; it is {behind_s(bench):,.1f} s",
        patience_s=patience_s,
    )
    return time.time()


def last_s(worker: Worker, event: str, since_s: float) -> float | None:
    """Seconds from a moment to the last such line of a worker's log; None where it has none after that."""
    moments = [float(str(told["at_s"])) - since_s for told in worker.told(event)]
    return round(max(moments), 2) if moments and max(moments) > 0 else None


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
    moved: dict[int, tuple[float, float]] = {}  # watermark, and when it was first seen

    def see() -> bool:
        for page in filter(None, (worker.look() for worker in bench.running)):
            for partition, watermark in page.by_partition(WATERMARK).items():
                before, since_s = moved.get(partition, (0.0, page.at_s))
                if watermark > before:
                    moved[partition] = watermark, page.at_s
                    longest_s[partition] = round(max(longest_s[partition], page.at_s - since_s), 2)
        return len(moved) == PARTITIONS

    def watch() -> None:
        while not ended.wait(POLL_S):
            see()

    # Before anything happens: what stood still from the beginning was never seen to move.
    until(see, "event time of all partitions")
    with ThreadPoolExecutor(1) as pool:
        watched = pool.submit(watch)
        try:
            yield longest_s
        finally:
            ended.set()
        watched.result()  # what it raised, is raised here


def look(worker: Worker) -> Page:
    """Its metrics; it must be there."""
    until(lambda: worker.look() is not None, f"{worker.name}'s metrics")
    page = worker.look()
    assert page is not None
    return page


def until(
    holds: Callable[[], object],
    what: str | Callable[[], str],
    poll_s: float = POLL_S,
    patience_s: float = PATIENCE_S,
) -> None:
    """Waits for it; SystemExit, with what was waited for, where it does not come."""
    began = time.monotonic()
    while not holds():
        if time.monotonic() - began > patience_s:
            sys.exit(f"not within {patience_s:g} s: {what if isinstance(what, str) else what()}")
        time.sleep(poll_s)


def tell(text: str) -> None:
    print(text, file=sys.stderr, flush=True)
