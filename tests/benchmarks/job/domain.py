"""The job of the benchmarks as a domain: one number per observation, a minute's window every ten seconds."""

from __future__ import annotations

from services.core.kind import Aggregate, Column, Domain, Kind, Measure, Window

WINDOW_MS = 60_000
HOP_MS = 10_000
DISORDER_MS = 5_000

READING = Kind(
    name="reading",
    columns=(Column("value", "1", 0, 1_000, required=True),),
    windows=(Window("60s", WINDOW_MS, HOP_MS),),
    measures=(Measure("value", (Aggregate.COUNT, Aggregate.SUM, Aggregate.MIN, Aggregate.MAX, Aggregate.MEAN)),),
    disorder_ms=DISORDER_MS,
    lateness_ms=0,  # one final result for each window, as the peers give it
)

BENCHMARK = Domain("benchmark", "The job of the benchmarks", kinds=(READING,))
