"""What is worth a signal about permitted sources: plain functions on the windows that leave at one moment.

Limits and analysers are attributes of an outlet, from its permit and its register: `dust_limit_mg_m3` (of an hour),
`dust_range_mg_m3`, `dust_detection_limit_mg_m3`, the same of `so2` and `nox`; and `observations_per_hour`, by which it
is known whether four hours were watched. What lacks the attribute that it is judged by is not judged.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from services.core.signals import EvidenceColumn, Finding, Severity
from services.core.windows import WindowBatch
from services.environment.indices.emission import (
    ABOUT_DETECTION_LIMIT,
    FLAT_SHARE_OF_RANGE,
    LEAST_SHARE,
    LONG_HOURS,
    EmissionState,
    times_limit,
)

Float64Array = NDArray[np.float64]
BoolArray = NDArray[np.bool_]
Measures = Mapping[str, Float64Array]
Counts = NDArray[np.uint32] | Float64Array

EMISSION_POLLUTANTS = ("dust", "so2", "nox")
UNKNOWN = float("nan")
LIMITS = tuple((f"{name}_limit_mg_m3", UNKNOWN) for name in EMISSION_POLLUTANTS)
RANGES = tuple((f"{name}_range_mg_m3", UNKNOWN) for name in EMISSION_POLLUTANTS)
DETECTION_LIMITS = tuple((f"{name}_detection_limit_mg_m3", UNKNOWN) for name in EMISSION_POLLUTANTS)

# Score 1 and severity "severe" at so many times the limit. A proposal, not a standard.
EXTREME_TIMES_LIMIT = 2.0
# Abatement is off when it was for so much of an hour's observations. A proposal: of states with that share none is
# rarer than the third.
ABATEMENT_OFF_SHARE = 0.25

TOPS = (1, 2, 3)
_RUNNING = (EmissionState.RUNNING, EmissionState.RUNNING_UNABATED)


def find_exceedance(batch: WindowBatch) -> Finding:
    """The mean of an hour is above the limit of the permit, and three quarters of the hour were measured, running."""
    counted = hour_means(batch.measures, batch.revision, ran_enough(batch.measures, batch.revision))
    told = [_measure(batch, name, "mean") for name in EMISSION_POLLUTANTS]
    return exceedance("mg_m3_mean", counted, told, [batch.attributes[name] for name, _ in LIMITS])


def ran_enough(measures: Measures, revision: Counts) -> BoolArray:
    """Whether the plant ran in three quarters of the hour's observations. Shapes: (rows,)."""
    return np.asarray(_share_of(measures, revision, *_RUNNING) >= LEAST_SHARE, np.bool_)


def hour_means(measures: Measures, revision: Counts, ran: BoolArray) -> list[Float64Array]:
    """The mean of each pollutant in an hour of so many observations, NaN where it does not count.

    `ran`: see `ran_enough`. Shapes: (rows,).
    """
    counts = (ran & (measures[f"{name}_mg_m3_count"] >= LEAST_SHARE * revision) for name in EMISSION_POLLUTANTS)
    return [
        np.where(count, measures[f"{name}_mg_m3_mean"], np.nan)
        for name, count in zip(EMISSION_POLLUTANTS, counts, strict=True)
    ]


def exceedance(
    measure: str, counted: Sequence[Float64Array], told: Sequence[Float64Array], limits: Sequence[Float64Array]
) -> Finding:
    """Where a mean that counts is above its limit; all in the order of EMISSION_POLLUTANTS.

    `told`: what the evidence tells under the pollutant's name and that of the measure. Shapes: (rows,).
    """
    worst = np.fmax.reduce([times_limit(mean, limit) for mean, limit in zip(counted, limits, strict=True)])
    evidence = (
        EvidenceColumn(f"{name}_{measure}", mean, limit)
        for name, mean, limit in zip(EMISSION_POLLUTANTS, told, limits, strict=True)
    )
    return Finding(
        worst > 1.0,
        np.where(worst >= EXTREME_TIMES_LIMIT, Severity.SEVERE, Severity.MODERATE),
        np.clip((worst - 1.0) / (EXTREME_TIMES_LIMIT - 1.0), 0.0, 1.0),
        (EvidenceColumn("times_limit", worst, 1.0), *evidence),
    )


def find_abatement_off(batch: WindowBatch) -> Finding:
    """In a quarter of an hour's observations or more the plant produced while what cleans its waste was off."""
    share = _share_of(batch.measures, batch.revision, EmissionState.RUNNING_UNABATED)
    evidence = (EvidenceColumn("unabated_share", share, ABATEMENT_OFF_SHARE),)
    return Finding(
        share >= ABATEMENT_OFF_SHARE, np.full(len(batch), Severity.SEVERE), np.clip(share, 0.0, 1.0), evidence
    )


def find_flat_monitoring(batch: WindowBatch) -> Finding:
    """For four hours of production a value varied by no more than 2 % of the range of its analyser."""
    return _suspect(
        batch,
        "mg_m3_variation",
        lambda name: _measure(batch, name, "max") - _measure(batch, name, "min"),
        {name: FLAT_SHARE_OF_RANGE * batch.attributes[f"{name}_range_mg_m3"] for name in EMISSION_POLLUTANTS},
    )


def find_at_detection_limit(batch: WindowBatch) -> Finding:
    """For four hours of production a value stayed about the detection limit of its analyser."""
    return _suspect(
        batch,
        "mg_m3_max",
        lambda name: _measure(batch, name, "max"),
        {
            name: ABOUT_DETECTION_LIMIT * batch.attributes[f"{name}_detection_limit_mg_m3"]
            for name in EMISSION_POLLUTANTS
        },
    )


def find_monitoring_gap(batch: WindowBatch) -> Finding:
    """For four hours of production a pollutant that the permit limits was not measured, and nobody said why."""
    watched = _watched(batch, batch.revision.astype(np.float64))
    counts = [_measure(batch, name, "count") for name in EMISSION_POLLUTANTS]
    lacking = [
        watched & (count == 0) & ~np.isnan(batch.attributes[limit])
        for count, (limit, _) in zip(counts, LIMITS, strict=True)
    ]
    evidence = tuple(
        EvidenceColumn(f"{name}_mg_m3_count", count, 0.0)
        for name, count in zip(EMISSION_POLLUTANTS, counts, strict=True)
    )
    return _sign(np.logical_or.reduce(lacking), evidence)


def _suspect(
    batch: WindowBatch, measure: str, value_of: Callable[[str], Float64Array], most: dict[str, Float64Array]
) -> Finding:
    """A sign where a pollutant's value is at most so much, and there are enough numbers of it."""
    values = {name: value_of(name) for name in EMISSION_POLLUTANTS}
    signs = [_watched(batch, _measure(batch, name, "count")) & (values[name] <= most[name]) for name in values]
    evidence = tuple(EvidenceColumn(f"{name}_{measure}", values[name], most[name]) for name in values)
    return _sign(np.logical_or.reduce(signs), evidence)


def _sign(breached: BoolArray, evidence: tuple[EvidenceColumn, ...]) -> Finding:
    # A sign is a reason to look, and there is no more or less of it.
    return Finding(breached, np.full(len(breached), Severity.MODERATE), breached.astype(np.float64), evidence)


def _watched(batch: WindowBatch, count: Float64Array) -> BoolArray:
    """There are three quarters of the numbers of four hours, and the plant ran all the time with nothing reported."""
    enough = count >= LEAST_SHARE * LONG_HOURS * batch.attributes["observations_per_hour"]
    return np.asarray(enough & (_share_of(batch.measures, batch.revision, *_RUNNING) == 1.0), np.bool_)


def _share_of(measures: Measures, revision: Counts, *states: EmissionState) -> Float64Array:
    """Share of a window's observations that told one of these states; those below the third place are not known of."""
    times = np.zeros(len(revision))
    for top in TOPS:
        told = np.isin(measures[f"state_top{top}"], states)
        times += np.where(told, measures[f"state_top{top}_count"], 0.0)
    return times / np.maximum(revision, 1)


def _measure(batch: WindowBatch, pollutant: str, aggregate: str) -> Float64Array:
    return batch.measures[f"{pollutant}_mg_m3_{aggregate}"]
