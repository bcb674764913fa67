"""How crowded it is for those who walk there: levels of service of walkways, from A (free) to F (breakdown).

Source: J. J. Fruin, Designing for Pedestrians: A Level-of-Service Concept, Highway Research Record 355, 1971: area for
each person of 35, 25, 15, 10 and 5 ft² on walkways.
"""

from __future__ import annotations

from enum import IntEnum

import numpy as np
from numpy.typing import ArrayLike, NDArray

M2_OF_FT2 = 0.3048**2


class FruinLevel(IntEnum):
    """Level of service of a walkway; UNKNOWN where there is no density."""

    UNKNOWN = 0
    A = 1
    B = 2
    C = 3
    D = 4
    E = 5
    F = 6


LEAST_AREA_FT2 = (35.0, 25.0, 15.0, 10.0, 5.0)  # of levels A to E; F has less
# Density in people per m² above which each of the levels B to F begins: 0.31, 0.43, 0.72, 1.08, 2.15.
GREATEST_DENSITY_P_M2 = tuple(1.0 / (area * M2_OF_FT2) for area in LEAST_AREA_FT2)


def fruin_level(density_p_m2: ArrayLike) -> NDArray[np.int64]:
    """The FruinLevel of each density in people per m²; a border belongs to the better level. Shapes: any."""
    density = np.asarray(density_p_m2, np.float64)
    level = 1 + np.searchsorted(np.array(GREATEST_DENSITY_P_M2), density, side="left")
    return np.where(np.isnan(density), FruinLevel.UNKNOWN, level)
