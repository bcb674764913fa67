"""The domain traffic: what is observed on roads, how it is windowed, and what is worth a signal."""

from __future__ import annotations

from services.core.kind import MINUTE_MS, Aggregate, Column, Detector, Domain, Kind, Measure, Window
from services.traffic.detectors import find_congestion, find_sudden_stop
from services.traffic.indices import DEFAULT_FREE_FLOW_SPEED_KMH

_PLAIN = (Aggregate.COUNT, Aggregate.MEAN, Aggregate.MIN, Aggregate.MAX)

ROAD_FLOW = Kind(
    name="road_flow",
    columns=(
        Column("flow_veh_h", "veh/h", 0, 20_000),
        Column("speed_kmh", "km/h", 0, 300),
        Column("occupancy", "1", 0, 1),
        Column("heavy_share", "1", 0, 1),
    ),
    any_of=("flow_veh_h", "speed_kmh", "occupancy"),
    windows=(Window("1m", MINUTE_MS), Window("5m", 5 * MINUTE_MS)),
    measures=(
        Measure("flow_veh_h", (*_PLAIN, Aggregate.SUM)),
        Measure(
            "speed_kmh", (*_PLAIN, Aggregate.SUM_OF_SQUARES, Aggregate.LAST, Aggregate.QUANTILE), percents=(15, 50, 85)
        ),
        Measure("occupancy", _PLAIN),
        Measure("heavy_share", (Aggregate.MEAN,)),
    ),
    disorder_ms=30_000,
    lateness_ms=10 * MINUTE_MS,
    detectors=(
        Detector(
            "congestion", "1", "5m", find_congestion, attributes=(("free_flow_speed_kmh", DEFAULT_FREE_FLOW_SPEED_KMH),)
        ),
        Detector("sudden_stop", "1", "1m", find_sudden_stop),
    ),
)

TRAFFIC = Domain("traffic", "Road traffic", kinds=(ROAD_FLOW,))
