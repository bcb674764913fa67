"""Which incidents lie where another one inhibits: every signal near one of its own, or of the same labels."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from services.core.correlation.restraint import Inhibition
from services.core.correlation.selector import attribute_of
from services.core.geometry import great_circle_m
from services.core.signals import Signal

Places = Mapping[tuple[str, ...], NDArray[np.float64]]


def places_of(inhibition: Inhibition, by: Sequence[Signal]) -> Places:
    """Latitudes and longitudes of the signals of an incident that inhibits, by the labels that others must share."""
    places: dict[tuple[str, ...], list[tuple[float, float]]] = {}
    for signal in by:
        places.setdefault(_labels(inhibition, signal), []).append((signal.latitude, signal.longitude))
    return {labels: np.array(found).T for labels, found in places.items() if "" not in labels}


def covers(inhibition: Inhibition, by: Places, of: Sequence[Signal]) -> bool:
    """Whether every signal of an incident lies near one of another, in the sense of an inhibition."""
    for signal in of:
        near = by.get(_labels(inhibition, signal))
        if near is None:
            return False
        if inhibition.radius_m is not None:
            distance_m = great_circle_m(signal.latitude, signal.longitude, *near)
            if float(np.min(distance_m)) > inhibition.radius_m:
                return False
    return bool(of)


def _labels(inhibition: Inhibition, signal: Signal) -> tuple[str, ...]:
    """Values of the attributes that both must have; empty where it has none."""
    return tuple(attribute_of(signal, name) for name in inhibition.same)
