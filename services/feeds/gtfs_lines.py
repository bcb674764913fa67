"""Where stops lie on their lines, in metres from the line's beginning, by the course of its longest trip."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from services.core.geometry import EARTH_RADIUS_M, great_circle_m
from services.feeds.gtfs import Timetable

# A stop farther from the course is on a branch that the longest trip does not take: where, its metres cannot say.
MAX_OFF_M = 300.0


def line_metres(timetable: Timetable) -> dict[tuple[str, str], float]:
    """Metres of each stop from the beginning of its line, by route and stop; those of a branch are left out.

    Both directions count from the same end, as every stop is put to the nearest point of one course.
    """
    wanted: dict[str, set[str]] = {}
    for trip in timetable.trips.values():
        wanted.setdefault(trip.route, set()).update(call.stop for call in timetable.calls.get(trip.id, ()))
    found: dict[tuple[str, str], float] = {}
    for route, course in timetable.courses.items():
        stops = [timetable.stops[stop] for stop in sorted(wanted.get(route, ())) if stop in timetable.stops]
        if len(course) < 2 or not stops:
            continue
        metres, off_m = _along(np.array(course), np.array([(s.latitude, s.longitude) for s in stops]))
        for stop, metre, off in zip(stops, metres.tolist(), off_m.tolist(), strict=True):
            if off <= MAX_OFF_M:
                found[route, stop.id] = metre
    return found


def _along(course: NDArray[np.float64], places: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """For each place the metres along the course to its nearest point, the first of equals, and how far that is.

    In a plane that touches the Earth at the course: a line of a city is not so long that it mattered. Shapes: (points,
    2) and (places, 2) in degrees north and east; (places,) each.
    """
    step_m = great_circle_m(*course[:-1].T, *course[1:].T)
    begin_m = np.concatenate(([0.0], np.cumsum(step_m)[:-1]))
    middle = course.mean(axis=0)
    scale = np.radians(1.0) * EARTH_RADIUS_M * np.array([1.0, np.cos(np.radians(middle[0]))])
    points, goals = (course - middle) * scale, (places - middle) * scale
    ahead = points[1:] - points[:-1]
    length = np.maximum((ahead**2).sum(axis=1), 1e-12)
    metres, off = np.empty(len(goals)), np.empty(len(goals))
    for i, goal in enumerate(goals):
        share = np.clip(((goal - points[:-1]) * ahead).sum(axis=1) / length, 0.0, 1.0)
        distance = np.hypot(*(points[:-1] + share[:, None] * ahead - goal).T)
        nearest = int(np.argmin(distance))
        metres[i], off[i] = begin_m[nearest] + share[nearest] * step_m[nearest], distance[nearest]
    return metres, off
