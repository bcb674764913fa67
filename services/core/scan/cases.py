"""Signals as a scan counts them: that something begins at a place, whatever tells it there and however often."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from services.core.geometry import DEFAULT_RESOLUTION, cell_of
from services.core.scan.onsets import find_onsets
from services.core.scan.plan import WatchPlan
from services.core.signals import Signal

Place = tuple[float, float]  # degrees north, degrees east

COARSEST_RESOLUTION = 5


@dataclass(frozen=True)
class Cases:
    """What began within the history of a scan, by the end of the window that told it first, and by id."""

    signals: tuple[Signal, ...]  # the first one of each case
    latitude: NDArray[np.float64]
    longitude: NDArray[np.float64]
    time_ms: NDArray[np.int64]  # when it was known: just before the end of the window


def cases_of(signals: Iterable[Signal], until_ms: int, plan: WatchPlan) -> Cases:
    """The cases that were known at some time, of signals of one city that are raised and have a position.

    A place at which signals follow each other without a gap is one case, of whichever detectors they are: two that
    look at one crowd are no cluster, and the test takes cases for independent.
    """
    from_ms = until_ms - plan.history_ms
    known = [s for s in signals if from_ms - plan.gap_ms < s.end_ms <= until_ms]
    known.sort(key=lambda signal: (signal.end_ms, signal.id))
    places: dict[Place, int] = {}
    key = np.array([places.setdefault((s.latitude, s.longitude), len(places)) for s in known], np.int64)
    end_ms = np.array([s.end_ms for s in known], np.int64)
    begun = [known[i] for i in find_onsets(key, end_ms, plan.gap_ms).tolist() if known[i].end_ms > from_ms]
    told = _coarse([(s.latitude, s.longitude) for s in begun], plan.most_places)
    latitude, longitude = np.array(told, np.float64).reshape(-1, 2).T
    return Cases(tuple(begun), latitude, longitude, np.array([s.end_ms - 1 for s in begun], np.int64))


def _coarse(places: list[Place], most: int) -> list[Place]:
    """The places themselves, or where they are too many one for all of an H3 cell, as fine as there is room for."""
    resolution = DEFAULT_RESOLUTION
    coarse = places
    while len(set(coarse)) > most and resolution >= COARSEST_RESOLUTION:
        first: dict[int, Place] = {}
        cells = [cell_of(*place, resolution) for place in places]
        for place, cell in sorted(zip(places, cells, strict=True)):
            first.setdefault(cell, place)
        coarse = [first[cell] for cell in cells]
        resolution -= 1
    return coarse
