"""How many observations one CPU-second folds, without I/O: `python -m tests.benchmarks.fold` prints JSON."""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from services.core.frame import Frame
from services.core.kind import Aggregate, Column, Kind, Measure, Window
from services.core.partition import Partition
from services.traffic.domain import ROAD_FLOW

ENTITIES = 30_000
START_MS = 1_700_438_400_000

HOPPING = Kind(
    name="hopping",
    columns=(Column("value", "1", 0, 1000, required=True),),
    windows=(Window("60s", 60_000, 10_000),),
    measures=(Measure("value", (Aggregate.SUM, Aggregate.MIN, Aggregate.MAX, Aggregate.MEAN)),),
    disorder_ms=2_000,
    lateness_ms=10_000,
)


@dataclass(frozen=True)
class Load:
    """Frames of gateways: each has its own sensors and sends them one after the other."""

    name: str
    kind: Kind
    rows_per_frame: int
    observations: int
    observations_per_s: int  # of event time
    fixed_dictionaries: bool = True  # False: a frame's sensors are drawn anew each time


def make_frames(load: Load) -> list[Frame]:
    """Frames with random numbers, and times that are disordered by up to 1 s."""
    chance = np.random.default_rng(7)
    names = [f"segment-{i:06d}" for i in range(ENTITIES)]
    n = load.rows_per_frame
    gateways = [tuple(names[i : i + n]) for i in range(0, ENTITIES - n + 1, n)]
    frames = []
    for i in range(load.observations // n):
        now_ms = START_MS + i * n * 1000 // load.observations_per_s
        random = not load.fixed_dictionaries
        ids = tuple(names[j] for j in chance.integers(0, ENTITIES, n)) if random else gateways[i % len(gateways)]
        columns = {c.name: chance.uniform(c.minimum, c.maximum, n).astype(c.type.value) for c in load.kind.columns}
        frames.append(
            Frame(
                city="auckland",
                entity_ids=ids,
                entity=chance.permutation(n).astype(np.uint32),
                time_ms=now_ms - chance.integers(0, 1000, n),
                period_s=0,
                columns=columns,
                source_id=f"gateway-{i % len(gateways)}",
                sequence=i // len(gateways) + 1,
                clock_ms=now_ms,
                offset=i,
            )
        )
    return frames


def fetches(frames: Sequence[Frame], observations: int = 65_536) -> Iterator[Sequence[Frame]]:
    """Frames as fetches bring them: with ids that were just decoded, so that none was hashed before."""
    step = max(1, observations // len(frames[0]))
    for first in range(0, len(frames), step):
        yield [
            replace(frame, entity_ids=tuple(" ".join(frame.entity_ids).split()))
            for frame in frames[first : first + step]
        ]


def measure(load: Load, repetitions: int) -> dict[str, object]:
    """CPU time of folding all frames, by the median of some runs."""
    frames = make_frames(load)
    seconds, windows = [], 0
    for _ in range(repetitions):
        partition = Partition("benchmark", load.kind, 0)
        windows, spent_s = 0, 0.0
        for fetch in fetches(frames):
            begin = time.process_time()
            for closing in partition.fold(fetch):
                windows += sum(len(batch) for batch in closing.batches)
            spent_s += time.process_time() - begin
        seconds.append(spent_s)
        if partition.counters.folded != len(frames) * load.rows_per_frame:
            sys.exit(f"{load.name}: {partition.counters} of {len(frames) * load.rows_per_frame} observations")
    median_s = statistics.median(seconds)
    folded = len(frames) * load.rows_per_frame
    return {
        "load": load.name,
        "rows_per_frame": load.rows_per_frame,
        "dictionaries": "fixed" if load.fixed_dictionaries else "random",
        "observations": folded,
        "window_rows": windows,
        "cpu_s": [round(s, 3) for s in seconds],
        "observations_per_cpu_s": round(folded / median_s),
        "ns_per_observation": round(median_s / folded * 1e9, 1),
    }


def main() -> None:
    """Measures every load, or those whose name holds the given text."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", default="", help="part of a load's name")
    parser.add_argument("--observations", type=int, default=2_000_000)
    parser.add_argument("--repetitions", type=int, default=3)
    given = parser.parse_args()
    n = given.observations
    loads = [
        Load("hopping 60 s / 10 s", HOPPING, 1, n // 20, 20_000),
        *(
            Load("hopping 60 s / 10 s", HOPPING, rows, n, 20_000, fixed)
            for rows in (256, 1024)
            for fixed in (True, False)
        ),
        # Every segment once a minute, as loops report; and six times, as lanes of a segment do.
        *(Load("road_flow, 1 a minute", ROAD_FLOW, rows, n, ENTITIES // 60) for rows in (256, 1024)),
        *(Load("road_flow, 6 a minute", ROAD_FLOW, rows, n, ENTITIES // 10) for rows in (256, 1024)),
    ]
    chosen = [load for load in loads if given.only in load.name]
    print(json.dumps([measure(load, given.repetitions) for load in chosen], indent=2))


if __name__ == "__main__":
    main()
