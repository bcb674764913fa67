"""Which standard of air quality applies, by the place and the day of the observation."""

from __future__ import annotations

from datetime import date

import numpy as np
from numpy.typing import NDArray

from services.core.kind import DAY_MS
from services.core.local_time import LocalTime
from services.environment.indices.epa import EPA_2024
from services.environment.indices.hj633 import HJ633_2012, HJ633_2026
from services.environment.indices.standard import Adoption, Programme, Standard

Int64Array = NDArray[np.int64]

_EPOCH = date(1970, 1, 1)
_2026 = Adoption(date(2026, 3, 1), HJ633_2026)
# Where HJ 633-2012 came before the whole country had it: notice 环发〔2012〕11号 (ehscity.com, March 2012).
# A stage that is to be done within a year is taken to be there from the first day of the next.
_STAGES = "环发〔2012〕11号, 2012-02-29"

PROGRAMMES = (
    Programme("cn", (Adoption(date(2016, 1, 1), HJ633_2012), _2026), "GB 3095-2012, GB 3095-2026", alerts=True),
    # Beijing, Tianjin and Hebei, the deltas of Yangtze and Pearl River, municipalities, capitals of provinces.
    Programme("cn-2012", (Adoption(date(2013, 1, 1), HJ633_2012), _2026), _STAGES, alerts=True),
    # 113 key cities of environmental protection, model cities.
    Programme("cn-2013", (Adoption(date(2014, 1, 1), HJ633_2012), _2026), _STAGES, alerts=True),
    Programme("us", (Adoption(date(2024, 5, 6), EPA_2024),), "89 FR 16202, 2024-03-06"),
)


def find_programme(name: str) -> Programme:
    """The programme of that name; KeyError names those that exist."""
    for programme in PROGRAMMES:
        if programme.name == name:
            return programme
    raise KeyError(f"no programme {name!r}; there are {', '.join(p.name for p in PROGRAMMES)}")


def place_of_standard(programme: Programme, time_ms: Int64Array, local_time: LocalTime) -> Int64Array:
    """Index into the programme's adoptions of the one that holds at these UTC times; -1 before the first.

    A standard holds from the midnight with which its day begins on the city's own clock. Shapes: (n,).
    """
    days = (time_ms + local_time.offset_ms(time_ms)) // DAY_MS
    begins = np.array([(a.valid_from - _EPOCH).days for a in programme.adoptions], np.int64)
    return np.asarray(np.searchsorted(begins, days, side="right") - 1, np.int64)


def standard_of_day(programme: Programme, day: date) -> Standard | None:
    """The standard of a local day; None before the first."""
    held = [a.standard for a in programme.adoptions if a.valid_from <= day]
    return held[-1] if held else None
