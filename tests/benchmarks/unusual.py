"""What it costs to judge a window by all detectors of the unusual: `python -m tests.benchmarks.unusual` prints JSON."""

from __future__ import annotations

import argparse
import json
import os
import statistics
import time

import numpy as np

from services.core.anomaly.detector import unusual
from services.core.anomaly.memory import Memory
from services.core.anomaly.unusual import Unusual
from services.core.cities import Cities
from services.core.following.course import Course
from services.core.kind import HOUR_MS, MINUTE_MS, Aggregate, Column, Kind, Measure, Window
from services.core.windows import WindowBatch

WINDOW = Window("1m", MINUTE_MS)
# As those of road_flow.
KIND = Kind(
    name="followed",
    columns=(Column("level", "1", 0, 1000),),
    windows=(WINDOW,),
    measures=(Measure("level", (Aggregate.MEAN,)),),
    disorder_ms=0,
    lateness_ms=10 * MINUTE_MS,
    detectors=unusual(WINDOW.name, MINUTE_MS, "level_mean"),
)
LATE_SHARE = 0.01  # of entities that a late observation of the minute before concerns


def measure(entities: int, windows: int) -> dict[str, object]:
    """CPU time of windows that all entities close at once, by the median over the windows after the first few.

    By the detector alone, and in turn as the engine has it: with what late data may change, and where some is late.
    """
    detector, chance = Unusual(MINUTE_MS), np.random.default_rng(7)
    memory, slot = Memory(detector.fields), np.arange(entities)
    courses = {share: Course(KIND, WINDOW, dict(enumerate(KIND.detectors)), Cities()) for share in (0.0, LATE_SHARE)}
    spent_s: dict[str, list[float]] = {name: [] for name in ("alone", "followed", "followed_with_late")}
    ids, cities = tuple(f"s{i}" for i in slot.tolist()), ("auckland",) * entities
    for window in range(windows):
        start_ms = np.full(entities, window * MINUTE_MS)
        value = chance.normal(50, 5, entities)
        begin = time.process_time()
        detector.judge(memory, slot, start_ms, start_ms // HOUR_MS % 24, value)
        spent_s["alone"].append(time.process_time() - begin)
        for (share, course), name in zip(courses.items(), ("followed", "followed_with_late"), strict=True):
            late = slot[: round(share * entities)]
            batch = WindowBatch(
                window=WINDOW,
                cities=cities,
                entity_ids=ids,
                slot=np.concatenate([late, slot]),
                start_ms=np.concatenate([start_ms[late] - MINUTE_MS, start_ms]),
                revision=np.ones(len(late) + entities, np.uint32),
                measures={"level_mean": np.concatenate([value[late], value])},
            )
            begin = time.process_time()
            course.settle(window * MINUTE_MS)
            course.take(batch)
            spent_s[name].append(time.process_time() - begin)
    settled = {name: spent[windows // 2 :] for name, spent in spent_s.items()}
    # A stride of ten windows has one mark, so a mean is told of those.
    alone = statistics.mean(settled["alone"])
    return {
        "entities": entities,
        "windows": windows,
        "ns_per_entity_window": round(statistics.median(settled["alone"]) / entities * 1e9),
        "ns_per_entity_window_at_best": round(min(settled["alone"]) / entities * 1e9),
        "followed_to_alone": round(statistics.mean(settled["followed"]) / alone, 2),
        "followed_with_late_to_alone": round(statistics.mean(settled["followed_with_late"]) / alone, 2),
        "bytes_per_entity": sum(array.nbytes for array in memory.to_arrays().values()) / entities,
        "checkpoint_bytes_per_entity": round(
            sum(array.nbytes for array in courses[0.0].to_arrays().values()) / entities
        ),
        "load_average": round(os.getloadavg()[0], 1),
    }


def main() -> None:
    """Measures 30,000 entities, or as many as are asked for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--entities", type=int, default=30_000)
    parser.add_argument("--windows", type=int, default=120)
    given = parser.parse_args()
    print(json.dumps(measure(given.entities, given.windows), indent=2))


if __name__ == "__main__":
    main()
