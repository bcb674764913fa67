"""Latencies as percentiles of an HDR histogram, as a table, and as a plot."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from hdrh.histogram import HdrHistogram

from tests.benchmarks.plots import lines

# To three figures, from a microsecond to a minute.
_LEAST_US, _MOST_US, _FIGURES = 1, 60_000_000, 3
PERCENTILES = {"p50_ms": 50.0, "p90_ms": 90.0, "p99_ms": 99.0, "p99.9_ms": 99.9}
# Where the plot has a point; further out only where there are so many samples.
_CURVE = (0, 10, 20, 30, 40, 50, 60, 70, 75, 80, 85, 90, 92.5, 95, 97, 98, 99, 99.5, 99.9)
_TICKS = {1.0: "0", 2.0: "50 %", 10.0: "90 %", 100.0: "99 %", 1000.0: "99.9 %"}


def percentiles(samples: Iterable[tuple[float, int]], independent: int, *, curve: bool = False) -> dict[str, Any]:
    """Percentiles of latencies in ms, each given with how often it was met; and how many moments stand behind them.

    Rows that become readable together are many samples and one moment: a percentile beyond 1 - 1 / `independent` is
    that of a single moment. `curve`: with the points of a plot.
    """
    histogram = HdrHistogram(_LEAST_US, _MOST_US, _FIGURES)
    for latency_ms, times in samples:
        histogram.record_value(max(round(latency_ms * 1000), _LEAST_US), times)
    count = histogram.get_total_count()
    told: dict[str, Any] = {
        name: round(histogram.get_value_at_percentile(percent) / 1000, 1) for name, percent in PERCENTILES.items()
    }
    told |= {"max_ms": round(histogram.get_max_value() / 1000, 1), "samples": count, "moments": independent}
    if curve:
        points = [p for p in _CURVE if (100 - p) / 100 * count >= 1]
        told["curve_ms"] = {f"{p:g}": round(histogram.get_value_at_percentile(p) / 1000, 1) for p in points}
    return told


def table(runs: Sequence[Mapping[str, Any]]) -> str:
    """Markdown: one line for each rate and hop."""
    head = ["observations/s", "from … to", "p50", "p90", "p99", "p99.9", "max", "samples"]
    rows = [
        [rate, hop, *(f"{figures[name]:g}" for name in (*PERCENTILES, "max_ms")), f"{figures['samples']:,}"]
        for run in runs
        for rate in [f"{run['observations_per_s']:,}"]
        for hop, figures in run["latency"].items()
    ]
    return "\n".join(f"| {' | '.join(row)} |" for row in (head, ["---"] * len(head), *rows)) + "\n"


def plot(runs: Sequence[Mapping[str, Any]], hop: str, title: str) -> str:
    """SVG: latency by percentile, one line for each rate; the percentile's axis grows by its distance from 100 %."""
    series = {
        f"{run['observations_per_s']:,}/s, load {run['load_average']:.0f}": [
            (100 / (100 - float(percent)), ms) for percent, ms in run["latency"][hop]["curve_ms"].items()
        ]
        for run in runs
    }
    return lines(series, title, "percentile", "ms", log_x=True, log_y=True, x_ticks=_TICKS)
