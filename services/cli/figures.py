"""Reads the Prometheus endpoints of the services into the few figures that people look at."""

from __future__ import annotations

import time
import urllib.error
import urllib.request
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from prometheus_client.parser import text_string_to_metric_families

SCRAPE_TIMEOUT_S = 2.0

Labels = Mapping[str, str]


@dataclass(frozen=True)
class Sample:
    """One value of one metric."""

    name: str
    labels: Labels
    value: float


@dataclass(frozen=True)
class Figures:
    """What one service process says of itself."""

    observations: int = 0  # read by its processors
    folded: int = 0
    duplicate: int = 0
    late: int = 0
    dead_lettered: int = 0
    windows: int = 0  # rows that left
    signals: int = 0
    incidents: int = 0
    open_windows: int = 0
    lag: int = 0  # records that the processors have not handled yet
    archive_lag: int = 0  # records that the archiver has not stored yet
    watermark_s: float = 0.0  # the slowest partition's, in s since 1970; 0: none yet
    rss_mb: float = 0.0


def parse(text: str) -> list[Sample]:
    """Samples of an endpoint's answer."""
    return [
        Sample(sample.name, sample.labels, float(sample.value))
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    ]


def scrape(url: str) -> list[Sample]:
    """Samples of a running endpoint; OSError where it does not answer."""
    with urllib.request.urlopen(url, timeout=SCRAPE_TIMEOUT_S) as answer:
        return parse(answer.read().decode())


def figures_of(samples: Iterable[Sample]) -> Figures:
    """The figures behind samples; what is not among them counts as 0."""
    samples = list(samples)
    results = {
        result: int(_total(samples, "urban_observations_total", result=result))
        for result in ("folded", "duplicate", "late", "dead_lettered")
    }
    archive_lag = int(_total(samples, "urban_lag_records", role="archiver"))
    marks = [s.value for s in samples if s.name == "urban_watermark_timestamp_seconds" and s.value > 0]
    return Figures(
        observations=sum(results.values()),
        **results,
        windows=int(_total(samples, "urban_windows_total")),
        signals=int(_total(samples, "urban_signals_total")),
        incidents=int(_total(samples, "urban_incidents_total")),
        open_windows=int(_total(samples, "urban_open_windows")),
        lag=int(_total(samples, "urban_lag_records")) - archive_lag,
        archive_lag=archive_lag,
        watermark_s=min(marks, default=0.0),
        rss_mb=_total(samples, "urban_process_resident_bytes") / 1e6,
    )


def scrape_all(urls: Mapping[str, str]) -> dict[str, Figures]:
    """Figures by service; one that does not answer right now is left out."""
    found: dict[str, Figures] = {}
    for name, url in urls.items():
        try:
            found[name] = figures_of(scrape(url))
        except (OSError, urllib.error.URLError):
            continue
    return found


def _total(samples: Iterable[Sample], name: str, **labels: str) -> float:
    return sum(s.value for s in samples if s.name == name and labels.items() <= s.labels.items())


def age_s(timestamp_s: float) -> float:
    """Seconds since a moment of the wall clock."""
    return max(0.0, time.time() - timestamp_s)
