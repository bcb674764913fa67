"""The domain community: how many people are where, and when that is unusual."""

from __future__ import annotations

from services.community.detectors import find_crowding
from services.core.kind import HOUR_MS, MINUTE_MS, Aggregate, Baseline, Column, Detector, Domain, Kind, Measure, Window

PEOPLE_COUNT = Kind(
    name="people_count",
    columns=(
        Column("count", "people", 0, 1_000_000, required=True),
        Column("count_in", "people", 0, 1_000_000),
        Column("count_out", "people", 0, 1_000_000),
        Column("density_p_m2", "p/m²", 0, 20),
        Column("confidence", "1", 0, 1),
    ),
    # A sensor takes part in every window that is at least as long as its own period.
    # An hour is told every quarter as it stands, which is news of sensors that count more often than hourly.
    windows=(Window("15m", 15 * MINUTE_MS), Window("1h", HOUR_MS, early_ms=15 * MINUTE_MS)),
    measures=(
        Measure("count", (Aggregate.SUM, Aggregate.MAX, Aggregate.VARIANCE, Aggregate.FIRST)),
        Measure("count_in", (Aggregate.SUM,)),
        Measure("count_out", (Aggregate.SUM,)),
        Measure("density_p_m2", (Aggregate.MEAN, Aggregate.MAX)),
        Measure("confidence", (Aggregate.MIN, Aggregate.MEAN)),
    ),
    disorder_ms=5 * MINUTE_MS,
    lateness_ms=6 * HOUR_MS,
    detectors=(Detector("crowding", "1", "1h", find_crowding),),
    baseline=Baseline("1h", "count_sum"),
)

COMMUNITY = Domain("community", "Community", kinds=(PEOPLE_COUNT,))
