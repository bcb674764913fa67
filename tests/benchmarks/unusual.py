"""What it costs to judge a window by all detectors of the unusual: `python -m tests.benchmarks.unusual` prints JSON."""

from __future__ import annotations

import argparse
import json
import os
import statistics
import time

import numpy as np

from services.core.anomaly.memory import Memory
from services.core.anomaly.unusual import Unusual
from services.core.kind import HOUR_MS, MINUTE_MS


def measure(entities: int, windows: int) -> dict[str, object]:
    """CPU time of windows that all entities close at once, by the median over the windows after the first few."""
    detector, chance = Unusual(MINUTE_MS), np.random.default_rng(7)
    memory, slot, spent_s = Memory(detector.fields), np.arange(entities), []
    for window in range(windows):
        start_ms = np.full(entities, window * MINUTE_MS)
        value = chance.normal(50, 5, entities)
        begin = time.process_time()
        detector.judge(memory, slot, start_ms, start_ms // HOUR_MS % 24, value)
        spent_s.append(time.process_time() - begin)
    settled = spent_s[windows // 2 :]
    return {
        "entities": entities,
        "windows": windows,
        "ns_per_entity_window": round(statistics.median(settled) / entities * 1e9),
        "ns_per_entity_window_at_best": round(min(settled) / entities * 1e9),
        "bytes_per_entity": sum(array.nbytes for array in memory.to_arrays().values()) / entities,
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
