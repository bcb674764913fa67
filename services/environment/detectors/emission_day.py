"""The daily mean of a permitted source against its permit, by the local day, when that is over.

Hours are remembered, as the states that tell whether the plant ran are not kept for windows that have left. Limits are
attributes of an outlet: `dust_day_limit_mg_m3`, the same of `so2` and `nox`.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from services.core.anomaly.memory import Field
from services.core.following import Follower, Moment
from services.core.kind import HOUR_MS, OBSERVATIONS
from services.core.signals import Finding
from services.environment.detectors.emission import (
    EMISSION_POLLUTANTS,
    TOPS,
    UNKNOWN,
    exceedance,
    hour_means,
    ran_enough,
)
from services.environment.indices.emission import LEAST_SHARE, mean_that_counts
from services.environment.indices.hours import SAMPLING

Int64Array = NDArray[np.int64]

_DAY_LIMITS = tuple((f"{name}_day_limit_mg_m3", UNKNOWN) for name in EMISSION_POLLUTANTS)
PERMIT = (*_DAY_LIMITS, *SAMPLING)

# The longest local day, that on which summer time ends.
_LONGEST_HOURS = 25
_LAST_HOUR = 23
_NEVER_MS = -(2**62)


def find_day_exceedance(moment: Moment) -> Finding:
    """The mean of the local day that ends with this hour is above the limit of the permit.

    It counts with three quarters of the hours in which the plant ran. Of an hour that was told of too little it is not
    known that the plant stood, so that it asks for its mean, too.
    """
    place = _place_in_day(moment)
    told = moment.measures[OBSERVATIONS]
    known = ~(told < LEAST_SHARE * moment.attributes["observations_per_hour"])
    ran = ran_enough(moment.measures, told)
    means = hour_means(moment.measures, told, ran)
    _remember(moment, "ran", place, np.where(known, ran, True))
    over = moment.hour_of_week % 24 == _LAST_HOUR
    running = moment.memory.of("ran")[moment.slot].T.astype(np.bool_)
    running &= np.arange(_LONGEST_HOURS)[:, None] <= place
    days = []
    for name, mean in zip(EMISSION_POLLUTANTS, means, strict=True):
        _remember(moment, name, place, np.where(known, mean, np.nan))
        day = mean_that_counts(moment.memory.of(name)[moment.slot].T, running)
        days.append(np.where(over, day, np.nan))
    return exceedance("mg_m3_day_mean", days, days, [moment.attributes[name] for name, _ in _DAY_LIMITS])


def _place_in_day(moment: Moment) -> Int64Array:
    """Which hour of its local day it is, from 0 on; of a day that has just begun nothing is remembered yet."""
    memory, slot = moment.memory, moment.slot
    weekday, hour = np.divmod(moment.hour_of_week, 24)
    began_ms, day = memory.of("began_ms"), memory.of("weekday")
    begins = (day[slot] != weekday) | (moment.start_ms - began_ms[slot] >= _LONGEST_HOURS * HOUR_MS)
    new = slot[begins]
    began_ms[new], day[new] = moment.start_ms - hour[begins] * HOUR_MS, weekday[begins]
    for field in _HOURS:
        memory.of(field.name)[new] = field.neutral
    return np.asarray((moment.start_ms - began_ms[slot]) // HOUR_MS, np.int64)


def _remember(moment: Moment, name: str, place: Int64Array, values: NDArray[np.float64] | NDArray[np.bool_]) -> None:
    moment.memory.of(name)[moment.slot, place] = values


# An hour that nobody told of may be one in which the plant ran.
_HOURS = (
    Field("ran", 1.0, width=_LONGEST_HOURS, dtype="<u1"),
    *(Field(name, UNKNOWN, width=_LONGEST_HOURS) for name in EMISSION_POLLUTANTS),
)
DAY = Follower(
    fields=(Field("began_ms", _NEVER_MS, dtype="<i8"), Field("weekday", -1, dtype="<i8"), *_HOURS),
    measures=(
        OBSERVATIONS,
        *(f"{name}_mg_m3_{aggregate}" for name in EMISSION_POLLUTANTS for aggregate in ("mean", "count")),
        *(f"state_top{top}{end}" for top in TOPS for end in ("", "_count")),
    ),
    step=find_day_exceedance,
    keep_ms=_LONGEST_HOURS * HOUR_MS,
)
