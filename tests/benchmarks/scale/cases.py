"""What is measured: one dimension at a time, everything else as in the base."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from tests.benchmarks.job.encoding import Encoding
from tests.benchmarks.job.observations import Job

ENTITIES = 65_536
ROWS = 256
PARTITIONS = 4
# Of one entity: six or seven in the time of a hop, so that a row of the results stands for that many observations.
PERIOD_S = 1.5
# A partition takes 250,000 entities, of which one closes its windows: this is the most that four partitions hold.
MOST_ENTITIES = 999_424


@dataclass(frozen=True)
class Case:
    """One run."""

    sweep: str
    at: float  # its place on the sweep's axis
    job: Job
    encoding: Encoding = Encoding.FRAMES
    workers: int = 1

    @property
    def observations_per_record(self) -> int:
        return self.job.rows_per_frame if self.encoding is Encoding.FRAMES else 1

    @property
    def name(self) -> str:
        return f"{self.sweep} {self.at:,g}"


def make_job(
    reports: int,
    *,
    entities: int = ENTITIES,
    rows: int = ROWS,
    partitions: int = PARTITIONS,
    period_s: float = PERIOD_S,
) -> Job:
    """So many observations of each entity. None is late, as runs of different lengths would have more or fewer."""
    return Job(
        observations=entities * reports,
        gateways=entities // rows,
        rate=round(entities / period_s),
        rows_per_frame=rows,
        partitions=partitions,
        late_share=0.0,
    )


def sweeps(quick: bool) -> Mapping[str, Sequence[Case]]:
    """Every case by its sweep. `quick`: fewer and shorter ones, whose figures tell sizes only."""
    reports = 40 if quick else 60
    entities = {1_024: 500, 102_400: 25} if quick else {1_024: 1_000, 10_240: 200, 102_400: 40, MOST_ENTITIES: 14}
    frames = {256: 40, 16: 20} if quick else {1_024: 60, 256: 60, 64: 40, 16: 20, 4: 20}
    partitions = (4, 64) if quick else (1, 4, 16, 64, 256)
    # With a period of a minute each observation makes six windows of its own.
    periods = {1.5: 40, 60.0: 10} if quick else {1.5: 40, 6.0: 20, 60.0: 10}
    return {
        "workers": [Case("workers", n, make_job(6 * reports), workers=n) for n in (1, 2)],
        "entities": [Case("entities", n, make_job(r, entities=n)) for n, r in entities.items()],
        "frame": [
            *(Case("frame", n, make_job(r, rows=n)) for n, r in frames.items()),
            Case("frame", 1, make_job(20), Encoding.PROTOBUF),
        ],
        "partitions": [Case("partitions", n, make_job(reports, partitions=n)) for n in partitions],
        "period": [Case("period", s, make_job(r, period_s=s)) for s, r in periods.items()],
    }
