"""Flow, density and the two means of speed, of lanes into a direction and of minutes into longer times.

A detector sees the speeds of those who pass it: their arithmetic mean is the *time-mean* speed. Density and travel time
need the *space-mean* speed, the harmonic mean of the same vehicles, which is never greater (Wardrop 1952).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

Float64Array = NDArray[np.float64]


@dataclass(frozen=True)
class RoadState:
    """What is measured at a place of a road, per lane or of a direction; NaN: not measured. All of one shape."""

    flow_veh_h: Float64Array
    speed_kmh: Float64Array  # space mean
    occupancy: Float64Array  # 0 to 1
    heavy_share: Float64Array  # 0 to 1


def time_mean_speed_kmh(speed_kmh: ArrayLike, vehicles: ArrayLike = 1.0, axis: int = -1) -> Float64Array:
    """Arithmetic mean of the speeds of vehicles, each weighted by how many drove at it; NaN where there is none."""
    return _weighted_mean(speed_kmh, vehicles, axis)


def space_mean_speed_kmh(speed_kmh: ArrayLike, vehicles: ArrayLike = 1.0, axis: int = -1) -> Float64Array:
    """Harmonic mean of the speeds of vehicles (or of space means, by their flows); NaN where there is none.

    One that stands makes it 0: nobody gets past.
    """
    speed, weight = _known(speed_kmh, vehicles)
    with np.errstate(invalid="ignore", divide="ignore"):
        slowness = np.where(weight > 0.0, weight / speed, 0.0).sum(axis)
        return np.asarray(weight.sum(axis) / slowness, np.float64)


def space_mean_of_time_mean_kmh(time_mean_kmh: Float64Array, variance: Float64Array) -> Float64Array:
    """Space mean from the time mean and the variance (km/h)² of the same speeds: v_t - s² / v_t, at least 0.

    Wardrop's relation (1952) turned about, good while the deviation is small against the mean. Shapes: any.
    """
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(time_mean_kmh > 0.0, np.maximum(time_mean_kmh - variance / time_mean_kmh, 0.0), time_mean_kmh)


def density_veh_km(flow_veh_h: Float64Array, space_mean_kmh: Float64Array) -> Float64Array:
    """Vehicles on a kilometre: flow / space-mean speed. NaN where nothing moves, as flow tells nothing then."""
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(space_mean_kmh > 0.0, flow_veh_h / space_mean_kmh, np.nan)


def over_lanes(lanes: RoadState) -> RoadState:
    """A direction of its lanes, along the last axis.

    Flows add up, and one that is not known leaves the sum unknown; speed and heavy share weigh by flow, occupancy is
    the mean of the lanes that are known. Shapes: (…, lanes) to (…).
    """
    return _combined(lanes, lanes.flow_veh_h.sum(-1), -1)


def over_time(steps: RoadState) -> RoadState:
    """A longer time of equal steps, along the first axis: as over lanes, but flow is the mean of steps that are known.

    Shapes: (steps, …) to (…).
    """
    return _combined(steps, _mean(steps.flow_veh_h, 0), 0)


def _combined(state: RoadState, flow_veh_h: Float64Array, axis: int) -> RoadState:
    return RoadState(
        flow_veh_h,
        space_mean_speed_kmh(state.speed_kmh, state.flow_veh_h, axis),
        _mean(state.occupancy, axis),
        _weighted_mean(state.heavy_share, state.flow_veh_h, axis),
    )


def _weighted_mean(value: ArrayLike, weight: ArrayLike, axis: int) -> Float64Array:
    values, weights = _known(value, weight)
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.asarray((weights * values).sum(axis) / weights.sum(axis), np.float64)


def _mean(values: Float64Array, axis: int) -> Float64Array:
    known = ~np.isnan(values)
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.asarray(np.where(known, values, 0.0).sum(axis) / known.sum(axis), np.float64)


def _known(value: ArrayLike, weight: ArrayLike) -> tuple[Float64Array, Float64Array]:
    """Both of one shape; where one of them is NaN the weight is 0."""
    values, weights = np.broadcast_arrays(np.asarray(value, np.float64), np.asarray(weight, np.float64))
    unknown = np.isnan(values) | np.isnan(weights)
    return np.where(unknown, 0.0, values), np.where(unknown, 0.0, weights)
