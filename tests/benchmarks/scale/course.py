"""How a run went: what was seen of the workers again and again, and what an observation cost by that."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass

LEAST_SHARE = 0.25  # of all observations, for a stretch to tell something
TOLERANCE = 0.1


@dataclass(frozen=True)
class Sample:
    """How far all workers of a run had come at a moment."""

    at_s: float  # time.monotonic()
    cpu_s: float  # of the workers, since they were started
    kafka_cpu_s: float
    clickhouse_cpu_s: float
    observations: int  # handled
    closed: int  # windows that were closed
    stored: int  # windows that ClickHouse has


@dataclass(frozen=True)
class Stretch:
    """What lies between two moments of a run."""

    begin: Sample
    end: Sample

    @property
    def observations(self) -> int:
        return self.end.observations - self.begin.observations

    @property
    def rows_per_observation(self) -> float:
        return round((self.end.closed - self.begin.closed) / self.observations, 3)

    @property
    def observations_per_s(self) -> int:
        return round(self.observations / (self.end.at_s - self.begin.at_s))

    def ns_per_observation(self, spent: Callable[[Sample], float]) -> int:
        return round((spent(self.end) - spent(self.begin)) / self.observations * 1e9)


def without_start(samples: Sequence[Sample]) -> Stretch:
    """From the last look before the first observation to the end: all but the start of the processes."""
    before = [s for s in samples if not s.observations] or samples[:1]
    return Stretch(before[-1], samples[-1])


def steady(samples: Sequence[Sample], windows_per_observation: float) -> Stretch | None:
    """The longest stretch with as many windows for an observation as the job has; None where none is long enough.

    Windows cost as well, and close in bursts: a stretch with more of them than come with its observations, or fewer,
    tells a cost that no city has. At the end come many without any observation.
    """
    stretches = [
        Stretch(begin, end)
        for begin, end in itertools.combinations(samples, 2)
        if end.observations - begin.observations >= LEAST_SHARE * samples[-1].observations
    ]
    fair = [s for s in stretches if abs(s.rows_per_observation / windows_per_observation - 1) <= TOLERANCE]
    return max(fair, key=lambda s: s.observations, default=None)
