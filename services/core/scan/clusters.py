"""The space-time permutation scan statistic: which cylinders of space and time hold more than place and time explain.

Kulldorff, Heffernan, Hartman, Assunção and Mostashari, A Space-Time Permutation Scan Statistic for Disease Outbreak
Detection, PLoS Medicine 2(3), 2005, e59. What is expected in a cylinder follows from the cases alone: those of its
places times those of its buckets over all. So places that always tell more, and hours in which everybody does, are no
clusters. How likely the greatest likelihood ratio is by chance is found by permuting the times among the cases.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from services.core.scan.plan import ScanPlan
from services.core.scan.zones import Zones, zones_of

Float64Array = NDArray[np.float64]
Int64Array = NDArray[np.int64]


class Chance(Protocol):
    """Where chance comes from: a numpy.random.Generator, whose seed makes the result repeatable."""

    def permutation(self, x: Int64Array, /) -> Int64Array:
        """The elements in any order, each order as likely."""
        ...


@dataclass(frozen=True)
class Cluster:
    """More cases than expected within a circle and a time."""

    latitude: float  # of its middle, a place where something happened
    longitude: float
    radius_m: float  # to the farthest of its places
    start_ms: int
    end_ms: int
    members: tuple[int, ...]  # the cases in it
    expected: float
    log_likelihood_ratio: float
    p_value: float  # of the greatest ratio by chance being as great

    @property
    def observed(self) -> int:
        return len(self.members)


def find_clusters(
    latitude: Float64Array,
    longitude: Float64Array,
    time_ms: Int64Array,
    plan: ScanPlan,
    chance: Chance,
    *,
    most: int = 5,
    greatest_p: float = 0.05,
) -> tuple[Cluster, ...]:
    """Clusters of cases that chance explains with a probability of `greatest_p` at most: the likeliest first.

    Positions in degrees, times in UTC ms; each case once (see onsets). No two clusters share a case, and `most` are
    told at most; later ones are judged by the same greatest ratio, which errs to the quiet side. The result does not
    depend on the order of the cases but by the permutations that `chance` gives. Shapes: (cases,).

    ValueError where a position or the shapes cannot be.
    """
    if not len(latitude) == len(longitude) == len(time_ms):
        raise ValueError(f"{len(latitude)} latitudes, {len(longitude)} longitudes and {len(time_ms)} times")
    if not (np.isfinite(latitude).all() and np.isfinite(longitude).all()):
        raise ValueError("a case without a position cannot be in a cluster: leave it out")
    if len(time_ms) < plan.least_cases:
        return ()
    cases = _Cases(latitude, longitude, time_ms, plan)
    candidates = list(cases.best(cases.counts(cases.bucket), most))
    if not candidates:
        return ()
    beaten = np.zeros(len(candidates), np.int64)
    ratios = np.array([ratio for ratio, _, _, _ in candidates])
    for _ in range(plan.replicates):
        beaten += cases.greatest(cases.counts(chance.permutation(cases.bucket))) >= ratios * (1.0 - 1e-12)
        # The likeliest is beaten least often: once it is beaten too often to be told, so are all, and what more tries
        # would say changes nothing. With a level of 0.005 a scan without a cluster takes six of 199 on average.
        if (1 + beaten[0]) / (plan.replicates + 1) > greatest_p:
            return ()
    p_values = ((1 + beaten) / (plan.replicates + 1)).tolist()
    return tuple(
        cases.cluster(ratio, zone, first, last, p_value)
        for (ratio, zone, first, last), p_value in zip(candidates, p_values, strict=True)
        if p_value <= greatest_p
    )


class _Cases:
    """Cases by place and bucket, and what is expected of every cylinder, which no permutation changes."""

    def __init__(self, latitude: Float64Array, longitude: Float64Array, time_ms: Int64Array, plan: ScanPlan) -> None:
        self._plan = plan
        places, self.place = np.unique(np.stack((latitude, longitude), axis=1), axis=0, return_inverse=True)
        self.place = self.place.reshape(-1)
        self._latitude, self._longitude = places[:, 0], places[:, 1]
        bucket = time_ms // plan.bucket_ms
        self._first_bucket = int(bucket.min())
        self.bucket: Int64Array = bucket - self._first_bucket
        self._buckets = int(self.bucket.max()) + 1
        self._zones: Zones = zones_of(self._latitude, self._longitude, plan.radius_m)
        self._total = len(time_ms)
        self._longest = min(plan.longest_buckets, self._buckets)
        of_zone = self._zones.holds @ np.bincount(self.place, minlength=len(places))
        of_bucket = np.concatenate(([0.0], np.cumsum(np.bincount(self.bucket, minlength=self._buckets))))
        # By length of the cylinder in buckets: its starts, and what is expected from each on. (zones, starts)
        lengths = range(1, self._longest + 1)
        self._starts = [self._buckets - length if plan.alive_only else 0 for length in lengths]
        self._expected = [
            np.outer(of_zone, (of_bucket[length:] - of_bucket[:-length])[start:]) / self._total
            for length, start in zip(lengths, self._starts, strict=True)
        ]
        counts = np.arange(self._total + 1, dtype=np.float64)
        with np.errstate(divide="ignore", invalid="ignore"):
            self._n_log_n = np.where(counts > 0, counts * np.log(counts), 0.0)
        self._most = int(plan.most_share * self._total)

    def counts(self, bucket: Int64Array) -> Float64Array:
        """Cases of each zone before each bucket and after the last one. Shape: (zones, buckets + 1).

        Where only what goes on is asked for: of as many buckets at the end as a cylinder may have.
        """
        cells = np.bincount(self.place * self._buckets + bucket, minlength=len(self._latitude) * self._buckets)
        first = self._buckets - self._longest if self._plan.alive_only else 0
        of_zone = self._zones.holds @ cells.reshape(-1, self._buckets)[:, first:]
        return np.concatenate([np.zeros((len(of_zone), 1)), np.cumsum(of_zone, axis=1)], axis=1)

    def greatest(self, counts: Float64Array) -> float:
        """The greatest log likelihood ratio of all cylinders; 0 where none holds more than expected."""
        return max((float(ratio.max(initial=0.0)) for ratio, _, _, _ in self._ratios(counts)), default=0.0)

    def best(self, counts: Float64Array, most: int) -> Iterator[tuple[float, int, int, int]]:
        """Ratio, zone, first and last bucket of the likeliest cylinders that share no case."""
        found = [
            (-float(ratio[i]), length, int(zone[i]), int(start[i]))
            for ratio, zone, start, length in self._ratios(counts)
            for i in range(len(ratio))
        ]
        taken = np.zeros(self._total, np.bool_)
        told = 0
        for ratio, length, zone, start in sorted(found):
            mine = self._mark(zone, start, start + length - 1)
            if told < most and not (mine & taken).any():
                taken |= mine
                told += 1
                yield -ratio, zone, start, start + length - 1

    def cluster(self, ratio: float, zone: int, first: int, last: int, p_value: float) -> Cluster:
        """What a cylinder is to people."""
        centre = int(self._zones.centre[zone])
        begin = self._first_bucket + first
        return Cluster(
            float(self._latitude[centre]),
            float(self._longitude[centre]),
            float(self._zones.radius_m[zone]),
            begin * self._plan.bucket_ms,
            (self._first_bucket + last + 1) * self._plan.bucket_ms,
            tuple(np.flatnonzero(self._mark(zone, first, last)).tolist()),
            float(self._expected[last - first][zone, first - self._starts[last - first]]),
            ratio,
            p_value,
        )

    def _mark(self, zone: int, first: int, last: int) -> NDArray[np.bool_]:
        inside = self._zones.holds[zone][self.place] > 0.0
        return np.asarray(inside & (self.bucket >= first) & (self.bucket <= last), np.bool_)

    def _ratios(self, counts: Float64Array) -> Iterator[tuple[Float64Array, Int64Array, Int64Array, int]]:
        """Log likelihood ratios of the cylinders that hold more than expected, their zones, starts and length."""
        total = self._total
        for length, (expected, begin) in enumerate(zip(self._expected, self._starts, strict=True), start=1):
            found = (counts[:, length:] - counts[:, :-length])[:, -expected.shape[1] :]
            fits = (found > expected) & (found >= self._plan.least_cases) & (found <= self._most)
            zone, start = np.nonzero(fits)
            inside, mean = found[zone, start], expected[zone, start]
            n = inside.astype(np.int64)
            with np.errstate(divide="ignore", invalid="ignore"):
                outside = np.where(n < total, (total - inside) * np.log(total - mean), 0.0)
            ratio = self._n_log_n[n] - inside * np.log(mean) + self._n_log_n[total - n] - outside
            yield ratio, zone, start + begin, length
