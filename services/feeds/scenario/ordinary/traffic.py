"""An ordinary hour of traffic: streets, motorway, platforms, garages."""

from __future__ import annotations

import numpy as np

from services.core.kind import HOUR_MS
from services.feeds.scenario.city import City
from services.feeds.scenario.group import Float64Array, Group
from services.feeds.scenario.rhythm import activity
from services.feeds.scenario.rows import Rows, every
from services.traffic.indices.punctuality import CallState

# A vehicle and the loop that it crosses: density times that is occupancy.
VEHICLE_AND_LOOP_M = 6.5
# Speed falls by so much of itself where demand comes to capacity.
LOSS_AT_PEAK = 0.2
BOTTLENECK_LOSS = 0.62
BOTTLENECK_FROM = 0.92  # of the peak
HEADWAY_S = 300
FIRST_TRAIN_H, LAST_TRAIN_H = 5, 24


def road_flow(city: City, group: Group, hour_ms: int, chance: np.random.Generator) -> Rows:
    """Flow, space-mean speed and occupancy of each minute, in the proportion of the hydrodynamic relation."""
    time_ms, sensor = every(hour_ms, 60, len(group))
    n = len(time_ms)
    busy = activity("roads", time_ms)
    free, lanes = group.numbers["free_flow_speed_kmh"][sensor], group.numbers["lanes"][sensor]
    flow = group.traits["peak_veh_h"][sensor] * busy * np.exp(0.08 * chance.standard_normal(n)) + 20.0
    full = group.traits["bottleneck"][sensor] * (busy > BOTTLENECK_FROM)
    loss = LOSS_AT_PEAK * busy**2 + (BOTTLENECK_LOSS - LOSS_AT_PEAK) * full
    speed = free * (1.0 - loss) * np.exp(0.05 * chance.standard_normal(n))
    columns = {
        "flow_veh_h": flow,
        "speed_kmh": speed,
        "occupancy": _occupancy(flow, speed, lanes) * np.exp(0.04 * chance.standard_normal(n)),
        "heavy_share": np.clip(0.09 + 0.03 * chance.standard_normal(n), 0.0, 1.0),
    }
    return Rows(time_ms, sensor, columns, group.period_s)


def _occupancy(flow: Float64Array, speed: Float64Array, lanes: Float64Array) -> Float64Array:
    return np.clip(flow / lanes / speed * VEHICLE_AND_LOOP_M / 1000.0, 0.0, 1.0)


def rail_call(city: City, group: Group, hour_ms: int, chance: np.random.Generator) -> Rows:
    """Trains every five minutes from 5 to 24 o'clock, some seconds late, as full as the hour is busy."""
    time_ms, sensor = every(hour_ms, HEADWAY_S, len(group), 1000.0 * group.traits["offset_s"])
    n = len(time_ms)
    headway = HEADWAY_S * np.exp(0.1 * chance.standard_normal(n))
    columns = {
        "headway_s": headway,
        "scheduled_headway_s": np.full(n, float(HEADWAY_S)),
        "delay_s": 15.0 + 20.0 * chance.standard_normal(n),
        "load_p_m2": np.clip(3.2 * activity("roads", time_ms) + 0.25 * chance.standard_normal(n), 0.0, 5.0),
        "state": np.full(n, float(CallState.CALLED)),
    }
    hour = hour_ms // HOUR_MS % 24
    rows = Rows(time_ms, sensor, columns, group.period_s)
    return rows if FIRST_TRAIN_H <= hour < LAST_TRAIN_H else rows.take(np.zeros(n, np.bool_))


def parking(city: City, group: Group, hour_ms: int, chance: np.random.Generator) -> Rows:
    """Vehicles inside, every five minutes; fuller by day."""
    time_ms, sensor = every(hour_ms, 300, len(group))
    n = len(time_ms)
    spaces = group.traits["spaces"][sensor]
    share = group.traits["usual_share"][sensor] * (0.4 + 0.6 * activity("people", time_ms))
    share = share + 0.01 * chance.standard_normal(n)
    columns = {"vehicles": np.round(np.clip(share, 0.0, 1.0) * spaces), "spaces": spaces}
    return Rows(time_ms, sensor, columns, group.period_s)
