"""Figures come from the services' own metrics; rates from readings one after another."""

from __future__ import annotations

import pytest
from prometheus_client import CollectorRegistry, generate_latest

from services.cli.figures import Figures, figures_of, parse
from services.cli.view import Meter
from services.runtime import metrics

TEXT = """
urban_observations_total{domain="traffic",kind="road_flow",result="folded"} 90.0
urban_observations_total{domain="traffic",kind="road_flow",result="duplicate"} 4.0
urban_observations_total{domain="traffic",kind="road_flow",result="late"} 3.0
urban_observations_total{domain="traffic",kind="road_flow",result="dead_lettered"} 2.0
urban_watermark_timestamp_seconds{domain="traffic",kind="road_flow",partition="0"} 300.0
urban_watermark_timestamp_seconds{domain="traffic",kind="road_flow",partition="1"} 240.0
urban_open_windows{domain="traffic",kind="road_flow",partition="0"} 7.0
urban_windows_total{domain="traffic",kind="road_flow",window="1m"} 30.0
urban_windows_total{domain="traffic",kind="road_flow",window="5m"} 6.0
urban_signals_total{domain="traffic",type="congestion"} 5.0
urban_lag_records{domain="traffic",role="processor",topic="t",partition="0"} 11.0
urban_lag_records{domain="traffic",role="archiver",topic="t",partition="0"} 13.0
urban_process_resident_bytes 120000000.0
"""


def test_figures_of_a_service():
    assert figures_of(parse(TEXT)) == Figures(
        observations=99,
        folded=90,
        duplicate=4,
        late=3,
        dead_lettered=2,
        windows=36,
        signals=5,
        open_windows=7,
        lag=11,
        archive_lag=13,
        watermark_s=240.0,
        rss_mb=120.0,
    )


def test_a_service_that_says_nothing_counts_as_nothing():
    assert figures_of([]) == Figures()


@pytest.mark.parametrize(
    ("metric", "labels", "field"),
    [
        (metrics.OBSERVATIONS, {"result": "folded"}, "folded"),
        (metrics.OBSERVATIONS, {"result": "late"}, "late"),
        (metrics.WATERMARK, {}, "watermark_s"),
        (metrics.OPEN_WINDOWS, {}, "open_windows"),
        (metrics.WINDOWS, {}, "windows"),
        (metrics.SIGNALS, {}, "signals"),
        (metrics.INCIDENTS, {}, "incidents"),
        (metrics.LAG, {"role": "processor"}, "lag"),
        (metrics.LAG, {"role": "archiver"}, "archive_lag"),
    ],
)
def test_the_names_are_those_that_the_services_use(metric, labels, field):
    filled = {name: labels.get(name, "x") for name in metric._labelnames}
    registry = CollectorRegistry()
    mine = type(metric)(metric._name, "as the service has it", list(filled), registry=registry)
    child = mine.labels(**filled)
    (child.inc if hasattr(child, "inc") else child.set)(5)
    found = figures_of(parse(generate_latest(registry).decode()))
    assert getattr(found, field) == 5


def test_a_rate_is_taken_over_the_last_seconds():
    meter = Meter()
    assert meter.rates(0.0, {"traffic": 100}) == {"traffic": 0.0}
    assert meter.rates(1.0, {"traffic": 300}) == {"traffic": 200.0}
    for second in range(2, 20):
        meter.rates(float(second), {"traffic": 300 + 50 * (second - 1)})
    assert meter.rates(20.0, {"traffic": 1250}) == {"traffic": 50.0}


def test_a_counter_that_fell_or_is_new_has_no_rate_yet():
    meter = Meter()
    meter.rates(0.0, {"traffic": 100})
    assert meter.rates(1.0, {"traffic": 10, "security": 5}) == {"traffic": 0.0, "security": 0.0}
