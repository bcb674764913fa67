"""Level of service of roads, A to F, and congestion by speed as Chinese cities tell it."""

from __future__ import annotations

from enum import IntEnum

import numpy as np
from numpy.typing import ArrayLike, NDArray

Float64Array = NDArray[np.float64]
CodeArray = NDArray[np.int64]

KM_PER_MILE = 1.609344  # exact, international mile


class Level(IntEnum):
    """Level of service; UNKNOWN where what it is judged by is not."""

    UNKNOWN = 0
    A = 1
    B = 2
    C = 3
    D = 4
    E = 5
    F = 6


# Greatest density in pc/mi/ln of A to E on a basic freeway segment; above 45 is F (HCM 6th ed., 2016, exhibit 12-15).
FREEWAY_DENSITY_PC_MI_LN = (11.0, 18.0, 26.0, 35.0, 45.0)
# Greatest control delay in s per vehicle of A to E at a signal (HCM 6th ed., exhibit 19-8).
SIGNAL_DELAY_S = (10.0, 20.0, 35.0, 55.0, 80.0)
# An urban street is A above 80 % of the base free-flow speed, B above 67 % …, F at 30 % and below (HCM 6th ed.,
# exhibit 16-3; from general knowledge; the edition of 2010 begins at 85 %).
URBAN_STREET_PERCENT = (30.0, 40.0, 50.0, 67.0, 80.0)

# A heavy vehicle on level ground takes the room of so many cars (HCM 6th ed., exhibit 12-25: 2.0 level, 3.0 rolling;
# from general knowledge).
CARS_PER_HEAVY_LEVEL = 2.0


class RoadClass(IntEnum):
    """Classes of urban roads whose congestion is judged by speed."""

    EXPRESSWAY = 0
    ARTERIAL = 1
    MINOR = 2


class Congestion(IntEnum):
    """The five grades of Chinese cities."""

    UNKNOWN = 0
    FREE = 1
    BASICALLY_FREE = 2
    LIGHT = 3
    MODERATE = 4
    SERIOUS = 5


# Speed in km/h above which a road is FREE, BASICALLY_FREE, LIGHT and MODERATE (hanspub 6-1700079, after Chinese cities'
# practice). A speed at the border belongs to the worse grade.
CONGESTION_SPEED_KMH = {
    RoadClass.EXPRESSWAY: (65.0, 50.0, 35.0, 20.0),
    RoadClass.ARTERIAL: (40.0, 30.0, 20.0, 15.0),
    RoadClass.MINOR: (35.0, 25.0, 15.0, 10.0),
}


def freeway_density_pc_mi_ln(
    flow_veh_h: ArrayLike, speed_kmh: ArrayLike, lanes: ArrayLike, heavy_share: ArrayLike = 0.0
) -> Float64Array:
    """Density in passenger cars per mile and lane from flow and space-mean speed; NaN at a standstill. Shapes: any."""
    flow, speed = np.asarray(flow_veh_h, np.float64), np.asarray(speed_kmh, np.float64)
    cars = flow * (1.0 + np.asarray(heavy_share, np.float64) * (CARS_PER_HEAVY_LEVEL - 1.0))
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(speed > 0.0, cars / np.asarray(lanes, np.float64) / speed * KM_PER_MILE, np.nan)


def level_by_density(density_pc_mi_ln: ArrayLike) -> CodeArray:
    """Level of a freeway by density; the border belongs to the better one. Shapes: any."""
    return _level(density_pc_mi_ln, FREEWAY_DENSITY_PC_MI_LN)


def level_by_signal_delay(delay_s: ArrayLike, volume_to_capacity: ArrayLike = 0.0) -> CodeArray:
    """Level at a signal by control delay; F also where demand is above capacity, whatever the delay. Shapes: any."""
    return _or_over_capacity(_level(delay_s, SIGNAL_DELAY_S), volume_to_capacity)


def level_of_urban_street(
    speed_kmh: ArrayLike, base_free_flow_kmh: ArrayLike, volume_to_capacity: ArrayLike = 0.0
) -> CodeArray:
    """Level by travel speed as a percentage of the base free-flow speed; F also above capacity. Shapes: any."""
    with np.errstate(invalid="ignore", divide="ignore"):
        percent = 100.0 * np.asarray(speed_kmh, np.float64) / np.asarray(base_free_flow_kmh, np.float64)
    # Higher is better, so count from the other end: at the border the worse level holds.
    level = Level.F - np.searchsorted(URBAN_STREET_PERCENT, percent, side="left")
    known = np.where(np.isnan(percent), Level.UNKNOWN, level)
    return _or_over_capacity(np.asarray(known, np.int64), volume_to_capacity)


def congestion_by_speed(speed_kmh: ArrayLike, road_class: RoadClass) -> CodeArray:
    """Grade of congestion of roads of one class by their mean speed. Shapes: any."""
    speed = np.asarray(speed_kmh, np.float64)
    borders = CONGESTION_SPEED_KMH[road_class][::-1]
    grade = Congestion.SERIOUS - np.searchsorted(borders, speed, side="left")
    return np.asarray(np.where(np.isnan(speed), Congestion.UNKNOWN, grade), np.int64)


def _level(value: ArrayLike, greatest: tuple[float, ...]) -> CodeArray:
    values = np.asarray(value, np.float64)
    level = Level.A + np.searchsorted(greatest, values, side="left")
    return np.asarray(np.where(np.isnan(values), Level.UNKNOWN, level), np.int64)


def _or_over_capacity(level: CodeArray, volume_to_capacity: ArrayLike) -> CodeArray:
    over = np.asarray(volume_to_capacity, np.float64) > 1.0
    return np.asarray(np.where(over, Level.F, level), np.int64)
