"""Circles about each place in which something happened: every different set of places that one can hold."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from services.core.geometry import great_circle_m

Float64Array = NDArray[np.float64]
Int64Array = NDArray[np.int64]


@dataclass(frozen=True)
class Zones:
    """Different sets of places, each as the smallest circle about a place that holds it. Arrays: (zones,)."""

    holds: Float64Array  # (zones, places): 1 where a place lies in it
    centre: Int64Array  # place
    radius_m: Float64Array  # to the farthest place in it


def zones_of(latitude: Float64Array, longitude: Float64Array, radius_m: float) -> Zones:
    """All zones about places (degrees north and east) up to a radius. Of equal sets the smallest circle stays."""
    found: dict[bytes, tuple[float, int, NDArray[np.bool_]]] = {}
    for centre in range(len(latitude)):
        distance = great_circle_m(latitude[centre], longitude[centre], latitude, longitude)
        # Places at one distance come into a circle together.
        for reach in np.unique(distance[distance <= radius_m]).tolist():
            holds = distance <= reach
            key = np.packbits(holds).tobytes()
            if key not in found or reach < found[key][0]:
                found[key] = (reach, centre, holds)
    ordered = sorted(found.values(), key=lambda zone: (zone[1], zone[0]))
    return Zones(
        np.array([holds for _, _, holds in ordered], np.float64).reshape(len(ordered), len(latitude)),
        np.array([centre for _, centre, _ in ordered], np.int64),
        np.array([reach for reach, _, _ in ordered], np.float64),
    )
