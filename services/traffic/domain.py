"""The domain traffic: what is observed on roads and rails, how it is windowed, and what is worth a signal."""

from __future__ import annotations

from services.core.anomaly.detector import silent, unusual
from services.core.kind import (
    HOUR_MS,
    MINUTE_MS,
    Aggregate,
    Column,
    ColumnType,
    Detector,
    Domain,
    Kind,
    Measure,
    Window,
)
from services.core.pseudonym import LEAST, MOST
from services.traffic.detectors.alerts import find_service_alert
from services.traffic.detectors.incidents import INCIDENT, INCIDENTS
from services.traffic.detectors.parking import find_more_than_spaces
from services.traffic.detectors.queue import QUEUE, SPILL_BACK
from services.traffic.detectors.rail import find_bunching, find_crowded_train, find_delay, find_gap, find_lost_calls
from services.traffic.detectors.road import (
    FAULT_MINUTES,
    FREE_FLOW,
    LANES,
    SAMPLING,
    STUCK_BY,
    find_congestion,
    find_impossible_numbers,
    find_silent_detector,
    find_stuck_detector,
    find_sudden_stop,
    may_be_impossible,
    may_be_silent,
    may_be_stopped,
    may_be_stuck,
)
from services.traffic.indices.punctuality import CallState, OccupancyStatus
from services.traffic.indices.service_alert import AlertCause, AlertEffect, AlertLevel, AlertScope

_PLAIN = (Aggregate.COUNT, Aggregate.MEAN, Aggregate.MIN, Aggregate.MAX)
# The waiting time of passengers needs sums of squares, a bunch the least and a gap the greatest.
_HEADWAY = (Aggregate.COUNT, Aggregate.SUM, Aggregate.SUM_OF_SQUARES, Aggregate.MIN, Aggregate.MAX)

ROAD_FLOW = Kind(
    name="road_flow",
    columns=(
        Column("flow_veh_h", "veh/h", 0, 20_000),
        Column("speed_kmh", "km/h", 0, 300),
        Column("occupancy", "1", 0, 1),
        Column("heavy_share", "1", 0, 1),
    ),
    any_of=("flow_veh_h", "speed_kmh", "occupancy"),
    windows=(Window("1m", MINUTE_MS), Window("5m", FAULT_MINUTES * MINUTE_MS)),
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
        Detector("congestion", "1", "5m", find_congestion, attributes=FREE_FLOW),
        Detector("sudden_stop", "1", "1m", find_sudden_stop, previous=("speed_kmh_mean",), may_find=may_be_stopped),
        Detector("incident", "1", "1m", attributes=INCIDENT, follower=INCIDENTS),
        Detector("queue_spill_back", "1", "1m", attributes=QUEUE, follower=SPILL_BACK),
        Detector(
            *("detector_impossible", "1", "5m", find_impossible_numbers),
            attributes=LANES,
            may_find=may_be_impossible,
        ),
        Detector(
            *("detector_stuck", "1", "5m", find_stuck_detector),
            attributes=SAMPLING,
            previous=STUCK_BY,
            may_find=may_be_stuck,
        ),
        Detector("detector_silent", "1", "5m", find_silent_detector, attributes=SAMPLING, may_find=may_be_silent),
        silent("1m"),
        *unusual("5m", FAULT_MINUTES * MINUTE_MS, "flow_veh_h_mean", "speed_kmh_mean"),
    ),
)

RAIL_CALL = Kind(
    name="rail_call",
    columns=(
        Column("headway_s", "s", 0, 86_400),
        Column("scheduled_headway_s", "s", 0, 86_400),
        Column("delay_s", "s", -86_400, 86_400),
        Column("load_p_m2", "1/m²", 0, 20),
        Column(
            *("state", "RailCallState", 1, len(CallState)),
            required=True,
            type=ColumnType.CODE,
            codes=tuple((state.value, state.name) for state in CallState),
        ),
        Column(
            *("occupancy_status", "RailOccupancyStatus", 1, len(OccupancyStatus)),
            type=ColumnType.CODE,
            codes=tuple((status.value, status.name) for status in OccupancyStatus),
        ),
    ),
    windows=(Window("15m", 15 * MINUTE_MS), Window("1h", HOUR_MS)),
    measures=(
        Measure("headway_s", _HEADWAY),
        Measure("scheduled_headway_s", _HEADWAY),
        Measure("delay_s", _PLAIN),
        Measure("load_p_m2", (Aggregate.COUNT, Aggregate.MEAN, Aggregate.MAX)),
        Measure("state", (Aggregate.DISTINCT, Aggregate.TOP), tops=len(CallState)),
        Measure("occupancy_status", (Aggregate.TOP,), tops=1),
    ),
    disorder_ms=2 * MINUTE_MS,
    lateness_ms=2 * HOUR_MS,
    detectors=(
        Detector("train_bunching", "1", "15m", find_bunching),
        Detector("train_gap", "1", "15m", find_gap),
        Detector("train_delay", "1", "15m", find_delay),
        Detector("train_crowded", "1", "15m", find_crowded_train),
        Detector("calls_lost", "1", "1h", find_lost_calls),
        *unusual("1h", HOUR_MS, "headway_s_max", "delay_s_mean"),
    ),
)

PARKING = Kind(
    name="parking",
    columns=(
        Column("vehicles", "vehicles", 0, 100_000, required=True),
        Column("spaces", "spaces", 0, 100_000),
    ),
    windows=(Window("15m", 15 * MINUTE_MS), Window("1h", HOUR_MS)),
    measures=(Measure("vehicles", (*_PLAIN, Aggregate.LAST)), Measure("spaces", (Aggregate.MAX, Aggregate.LAST))),
    disorder_ms=5 * MINUTE_MS,
    lateness_ms=2 * HOUR_MS,
    detectors=(
        Detector("parking_impossible", "1", "15m", find_more_than_spaces),
        *unusual("1h", HOUR_MS, "vehicles_mean"),
    ),
)

# A feed tells an alert that stands once in every window, so that the windows of it follow each other without a gap.
ALERT_WINDOW_MS = 5 * MINUTE_MS

SERVICE_ALERT = Kind(
    name="service_alert",
    columns=(
        Column("alert", "hash", LEAST, MOST, required=True, type=ColumnType.DOUBLE),
        Column(
            *("scope", "ServiceAlertScope", 1, len(AlertScope)),
            required=True,
            type=ColumnType.CODE,
            codes=tuple((scope.value, scope.name) for scope in AlertScope),
        ),
        Column(
            *("effect", "ServiceAlertEffect", 1, len(AlertEffect)),
            required=True,
            type=ColumnType.CODE,
            codes=tuple((effect.value, effect.name) for effect in AlertEffect),
        ),
        Column(
            *("cause", "ServiceAlertCause", 1, len(AlertCause)),
            type=ColumnType.CODE,
            codes=tuple((cause.value, cause.name) for cause in AlertCause),
        ),
        Column(
            *("level", "ServiceAlertLevel", 1, len(AlertLevel)),
            type=ColumnType.CODE,
            codes=tuple((level.value, level.name) for level in AlertLevel),
        ),
        # Of the period in force, as announced. Seconds since 1970 in a double: exact far beyond any calendar.
        Column("from_s", "s", 0, 2.0**40, type=ColumnType.DOUBLE),
        Column("until_s", "s", 0, 2.0**40, type=ColumnType.DOUBLE),
    ),
    windows=(Window("5m", ALERT_WINDOW_MS),),
    measures=(
        Measure("alert", (Aggregate.COUNT, Aggregate.DISTINCT)),
        Measure("scope", (Aggregate.TOP,), tops=1),
        Measure("effect", (Aggregate.TOP,), tops=len(AlertEffect)),
        Measure("cause", (Aggregate.TOP,), tops=1),
        Measure("level", (Aggregate.TOP,), tops=len(AlertLevel)),
    ),
    disorder_ms=MINUTE_MS,
    lateness_ms=2 * HOUR_MS,
    detectors=(Detector("service_alert", "1", "5m", find_service_alert),),
)

TRAFFIC = Domain(
    "traffic",
    "Traffic",
    kinds=(ROAD_FLOW, RAIL_CALL, PARKING, SERVICE_ALERT),
    unheard=("garage", "platform", *(f"transit_{scope.name.lower()}" for scope in AlertScope)),
)
