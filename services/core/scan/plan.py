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
