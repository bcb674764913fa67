"""How crowded a zone is, as a level that does not flutter: Fruin's levels with hysteresis."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from services.core.fruin import fruin_level

Float64Array = NDArray[np.float64]

# A level that was reached is left below so much of the density at which it begins. A proposal, not a standard.
HELD_SHARE = 0.9


def density_p_m2(people: ArrayLike, area_m2: ArrayLike) -> Float64Array:
    """People per m². NaN where the area is not known or none. Shapes: any that fit."""
    there, area = np.broadcast_arrays(np.asarray(people, np.float64), np.asarray(area_m2, np.float64))
    density: Float64Array = np.divide(there, area, out=np.full(there.shape, np.nan), where=area > 0.0)
    return density


def held_level(density: ArrayLike, greatest: ArrayLike) -> NDArray[np.int64]:
    """FruinLevel of a density now, where `greatest` is the greatest one of the last minutes, now included.

    A level begins above its border. Once reached it holds until the density falls to 90 % of that border, as long as
    the density that reached it is one of the last minutes. UNKNOWN where there is no density. Shapes: any that fit.
    """
    now = np.asarray(density, np.float64)
    reached, kept = fruin_level(greatest), fruin_level(now / HELD_SHARE)
    return np.maximum(fruin_level(now), np.minimum(reached, kept))
