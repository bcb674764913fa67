"""What is worth a signal about noise: plain functions on the hours that leave at one moment, and those before them."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from services.core.signals import EvidenceColumn, Finding, Severity
from services.core.windows import WindowBatch
from services.environment.indices.hours import hours_of, local_hours, valid_hours
from services.environment.indices.noise import (
    GB_DAY_HOURS,
    GB_NIGHT_HOURS,
    NIGHT_BURST_MARGIN_DB,
    energy_mean_db,
    zone_limits_db,
)
from services.environment.indices.noise_rows import zones_of

Float64Array = NDArray[np.float64]

# Score 1 at so much above the limit, severity "severe" from the half of it on. Proposals, not a standard.
EXTREME_EXCESS_DB = 10.0
SEVERE_EXCESS_DB = 5.0

_STANDARD = "gb-3096-2008"
_PARTS = (GB_DAY_HOURS, GB_NIGHT_HOURS)


def find_noise_over_limit(batch: WindowBatch) -> Finding:
    """LAeq of the day (6 to 22 o'clock) or the night that ends with this hour is above the limit of the meter's zone.

    All hours of the part are known, of a night those before midnight too.
    """
    limits = zone_limits_db(zones_of(batch))
    level, limit = np.full(len(batch), np.nan), np.full(len(batch), np.nan)
    for hours in hours_of(batch):
        _, hour = local_hours(hours.place.clock, hours.start_ms, len(GB_DAY_HOURS) + 1)
        for part, of_part in zip(_PARTS, limits, strict=True):
            # Where the clock is put on or back within it, a night is an hour shorter or longer.
            in_part = np.isin(hour, part)
            length = len(part) if in_part.all() else int(np.argmin(in_part[::-1]))
            if hour[-1] != _last_of(part) or not length:
                continue
            levels = valid_hours(batch, hours, "laeq_db", "energy_mean", length)
            known = ~np.isnan(levels).any(axis=0)
            level[hours.rows] = np.where(known, energy_mean_db(levels, axis=0), np.nan)
            limit[hours.rows] = of_part[hours.rows]
    return _excess(batch, "laeq_db", level, limit)


def find_noise_burst(batch: WindowBatch) -> Finding:
    """A sudden sound at night is more than 15 dB above the limit of the meter's zone (GB 3096-2008, 5.4)."""
    _, night_limit = zone_limits_db(zones_of(batch))
    at_night = np.zeros(len(batch), np.bool_)
    for hours in hours_of(batch):
        _, hour = local_hours(hours.place.clock, hours.start_ms, 1)
        at_night[hours.rows] = hour[-1] in GB_NIGHT_HOURS
    greatest = np.where(at_night, batch.measures["lamax_db_max"], np.nan)
    return _excess(batch, "lamax_db", greatest, night_limit + NIGHT_BURST_MARGIN_DB)


def _last_of(part: tuple[int, ...]) -> int:
    """The hour after which the part is over."""
    return next(hour for hour in part if (hour + 1) % 24 not in part)


def _excess(batch: WindowBatch, measure: str, level: Float64Array, limit: Float64Array) -> Finding:
    excess = level - limit
    severity = np.where(excess >= SEVERE_EXCESS_DB, Severity.SEVERE, Severity.MODERATE)
    score = np.clip(excess / EXTREME_EXCESS_DB, 0.0, 1.0)
    return Finding(excess > 0.0, severity, score, (EvidenceColumn(measure, level, limit),), [_STANDARD] * len(batch))
