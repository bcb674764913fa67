"""The observations of the job: seeded, in the order in which they are written, and the same for every engine.

Gateways report in turn: each has 256 entities of its own, all of one partition, and tells one number of each, in random
order, up to 5 s old. One in a hundred is two minutes old: no engine may count it, as its windows are long final. What
is measured at another scale has gateways of another size, more partitions, or none that is late.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from services.runtime.catalogue import OBSERVATION_PARTITIONS
from services.runtime.partitioner import partitions_of
from tests.benchmarks.job.domain import DISORDER_MS, WINDOW_MS

ROWS_PER_FRAME = 256
LATE_SHARE = 0.01
LATE_MS = 2 * WINDOW_MS
START_MS = 1_700_438_400_000  # 2023-11-20T00:00Z, a multiple of every window
CLOSING = "closing-"  # entities that only move event time on, behind all others


@dataclass(frozen=True)
class Job:
    """How much there is to do."""

    observations: int
    gateways: int = 120  # 30,720 entities
    rate: int = 20_000  # observations per second of event time
    seed: int = 7
    rows_per_frame: int = ROWS_PER_FRAME  # and entities of a gateway
    partitions: int = OBSERVATION_PARTITIONS
    late_share: float = LATE_SHARE

    def __post_init__(self) -> None:
        if self.gateways % self.partitions:
            raise ValueError(f"{self.gateways} gateways cannot be shared out evenly to {self.partitions} partitions")

    @property
    def entities(self) -> int:
        return self.gateways * self.rows_per_frame

    @property
    def frames(self) -> int:
        return self.observations // self.rows_per_frame

    @property
    def end_ms(self) -> int:
        """No observation but the closing ones is as late as this."""
        return START_MS + DISORDER_MS + self.frames * self.rows_per_frame * 1000 // self.rate + 1

    @property
    def closing_ms(self) -> int:
        return self.end_ms + 10 * WINDOW_MS


@dataclass(frozen=True)
class Report:
    """What one gateway tells at one moment. Shapes: (rows per frame,)."""

    gateway: int
    number: int  # of this gateway's reports, from 1 on
    now_ms: int
    entity: NDArray[np.int64]  # index among the gateway's entities
    time_ms: NDArray[np.int64]
    value: NDArray[np.float32]  # multiples of 1/4, so that every engine adds them up to the same double
    late: NDArray[np.bool_]


@lru_cache(maxsize=1)
def gateways(job: Job) -> tuple[tuple[int, tuple[str, ...]], ...]:
    """Partition and entities of each gateway; partitions take turns."""
    wanted = job.entities // job.partitions
    found: list[list[str]] = [[] for _ in range(job.partitions)]
    for first in range(0, 100 * job.entities, 65_536):
        names = [f"sensor-{i:07d}" for i in range(first, first + 65_536)]
        for name, p in zip(names, partitions_of(names, job.partitions).tolist(), strict=True):
            if len(found[p]) < wanted:
                found[p].append(name)
        if all(len(f) == wanted for f in found):
            break
    made = []
    for gateway in range(job.gateways):
        partition, first = gateway % job.partitions, gateway // job.partitions * job.rows_per_frame
        made.append((partition, tuple(found[partition][first : first + job.rows_per_frame])))
    return tuple(made)


def reports(job: Job) -> Iterator[Report]:
    """All reports, in the order of writing."""
    chance = np.random.default_rng(job.seed)
    no_late_before_ms = START_MS + LATE_MS + 2 * DISORDER_MS
    rows = job.rows_per_frame
    for i in range(job.frames):
        now_ms = START_MS + DISORDER_MS + i * job.rows_per_frame * 1000 // job.rate
        late = (chance.random(rows) < job.late_share) & (now_ms >= no_late_before_ms)
        yield Report(
            gateway=i % job.gateways,
            number=i // job.gateways + 1,
            now_ms=now_ms,
            entity=chance.permutation(rows),
            time_ms=now_ms - chance.integers(0, DISORDER_MS, rows) - LATE_MS * late,
            value=(chance.integers(0, 4_001, rows) / 4).astype(np.float32),
            late=late,
        )


def closing_entities(partitions: int = OBSERVATION_PARTITIONS) -> list[str]:
    """One entity of each partition, in their order."""
    names = [f"{CLOSING}{i}" for i in range(250 * partitions)]
    partition = partitions_of(names, partitions)
    return [names[int(np.flatnonzero(partition == p)[0])] for p in range(partitions)]
