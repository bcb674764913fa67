"""How many vehicles stand in a car park, out of what formats tell instead: spaces that are taken, or free."""

from __future__ import annotations

import math


class OccupancyError(ValueError):
    """Numbers of a car park that cannot be together, and why."""


def vehicles_inside(inside: float, vacant: float, spaces: float, closed: bool) -> float:
    """Vehicles inside: as told, else the spaces less those that are vacant. NaN, also as the result: not told.

    A car park that is closed has no vacant space and may be empty: then only what is inside counts. OccupancyError:
    more spaces are vacant than there are.
    """
    if not math.isnan(inside):
        return inside
    if closed or math.isnan(vacant) or math.isnan(spaces):
        return math.nan
    if vacant > spaces:
        raise OccupancyError(f"is more than the {spaces:g} spaces that there are")
    return spaces - vacant
