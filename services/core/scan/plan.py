"""What a scan looks through: how wide, how long, how often it is tried by chance."""

from __future__ import annotations

from dataclasses import dataclass

from services.core.kind import HOUR_MS


@dataclass(frozen=True)
class ScanPlan:
    """All cylinders over a place and a time up to these sizes. ValueError where one cannot be."""

    radius_m: float = 1_500.0
    bucket_ms: int = HOUR_MS  # times are told apart by buckets, aligned to the epoch
    longest_buckets: int = 6
    most_share: float = 0.5  # of all cases in one cylinder; a cluster that is most of the city is none
    least_cases: int = 3
    replicates: int = 199  # p-values come in steps of 1 / (replicates + 1)
    alive_only: bool = False  # only clusters that go on in the last bucket: what one asks for day by day

    def __post_init__(self) -> None:
        for name in ("radius_m", "bucket_ms", "longest_buckets", "replicates"):
            if getattr(self, name) <= 0:
                raise ValueError(f"{name} = {getattr(self, name)}: must be above 0")
        if not 0.0 < self.most_share <= 1.0:
            raise ValueError(f"most_share = {self.most_share}: must be above 0, and 1 at most")
        if self.least_cases < 2:
            raise ValueError(f"least_cases = {self.least_cases}: one case alone is no cluster")


# What goes on is looked for: a cluster that ended hours ago has been told by the scan of then.
PROSPECTIVE = ScanPlan(least_cases=4, alive_only=True)


@dataclass(frozen=True)
class WatchPlan:
    """How a city is scanned while time goes on: after each bucket, over what began in the buckets before."""

    scan: ScanPlan = PROSPECTIVE
    version: int = 1  # part of the id of every finding; to be raised with every change
    history_ms: int = 48 * HOUR_MS
    gap_ms: int = 2 * HOUR_MS  # a place that has been quiet for longer begins anew
    # Of one scan. With a scan an hour 0.005 is one by chance in 200 hours, were the scans independent.
    greatest_p: float = 0.005
    most: int = 5  # clusters of one scan
    # A signal that event time has passed by so much changes nothing any more.
    settled_ms: int = 12 * HOUR_MS
    # A scan costs places squared: where more of them tell something, those of one H3 cell are taken as one.
    most_places: int = 150
    max_signals: int = 50_000  # about 2 kB each; beyond them, new ones are refused and counted

    def __post_init__(self) -> None:
        for name in ("version", "gap_ms", "most", "settled_ms", "most_places", "max_signals"):
            if getattr(self, name) <= 0:
                raise ValueError(f"{name} = {getattr(self, name)}: must be above 0")
        if self.history_ms < 2 * self.scan.longest_buckets * self.scan.bucket_ms:
            raise ValueError(f"history_ms = {self.history_ms}: must be twice the longest cluster at least")
        if not 1.0 / (self.scan.replicates + 1) <= self.greatest_p < 1.0:
            least = 1.0 / (self.scan.replicates + 1)
            raise ValueError(f"greatest_p = {self.greatest_p}: must be below 1, and {least:g} at least")
        if not self.scan.alive_only:
            raise ValueError("alive_only = False: what is scanned again and again must tell what goes on")

    @property
    def step_ms(self) -> int:
        """Time between two scans."""
        return self.scan.bucket_ms

    @property
    def reach_ms(self) -> int:
        """How far back a cluster reaches from its scan."""
        return self.scan.longest_buckets * self.scan.bucket_ms
