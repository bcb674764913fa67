"""What is worth a signal about people and their requests: plain functions on the windows that leave at one moment."""

from __future__ import annotations

from enum import IntEnum

import numpy as np
from numpy.typing import NDArray

from services.core.anomaly import MAD_TO_SIGMA, robust_z
from services.core.anomaly.counts import find_surge
from services.core.fruin import GREATEST_DENSITY_P_M2, FruinLevel, fruin_level
from services.core.signals import EvidenceColumn, Finding, Severity
from services.core.small_numbers import LEAST_SHOWN
from services.core.windows import WindowBatch

# Iglewicz and Hoaglin (1993) call |z| > 3.5 an outlier; a signal wants more. On 54 ordinary days of the pedestrian
# counts of Auckland (services/feeds/README.md) z = 6 with 500 people gives 1.2 signals a day, 3.5 with 300 gives 6.2.
CROWDING_ROBUST_Z = 6.0
# Score 1 and severity "severe" from here on. A proposal, not a standard.
CROWDING_EXTREME_Z = 15.0
# Fewer people an hour are no crowd, however unusual. A proposal, not a standard.
CROWDING_MINIMUM_COUNT = 500.0
# One sigma is taken as at least this share of what is normal, as the square root of it (a count is at least as noisy
# as Poisson's), and as ten people: eight samples an hour of the week tell the spread badly.
SIGMA_FLOOR_SHARE = 0.2
SIGMA_FLOOR_PEOPLE = 10.0

# From level E on, above so many people per m², nobody walks at a pace of his own; in F walking breaks down.
_LEVEL_E_P_M2, _LEVEL_F_P_M2 = GREATEST_DENSITY_P_M2[FruinLevel.D - 1], GREATEST_DENSITY_P_M2[FruinLevel.E - 1]


class PassageOutcome(IntEnum):
    """What became of a passage; equal in number to urban.community.v1.PassageOutcome."""

    PASSED = 1
    DENIED = 2
    TAILGATED = 3
    FORCED = 4
    COUNTED = 5


# Number of people that a place may hold, of the entity whose sensor counts who is there.
CAPACITY = (("capacity", float("nan")),)
# So many times the capacity are "severe". A proposal.
CAPACITY_SEVERE = 1.2

# So many in a quarter of an hour at one gate are a signal, and as many as the second number a severe one. Proposals:
# forgotten badges come one by one, and a person who follows another is one too many.
DENIED_LEAST, DENIED_SEVERE = 5.0, 20.0
TAILGATED_LEAST, TAILGATED_SEVERE = 1.0, 10.0
FORCED_LEAST, FORCED_SEVERE = 1.0, 1.0

# Of the same category and area in 24 hours: so many standard deviations above what is usual, which chance
# brings once in 30,000 times; score 1 and severity "severe" from the second number on. Proposals, not a standard.
SURGE_Z = 4.0
SURGE_EXTREME_Z = 10.0
# Where it is not known what is usual, people ask too seldom for a baseline: less than in every second week.
SURGE_UNKNOWN_EXPECTED = 1.0


def find_crowding(batch: WindowBatch) -> Finding:
    """Far more people than is normal for this sensor in this hour of the week."""
    count, normal = batch.measures["count_sum"], batch.baseline
    if normal is None:
        raise ValueError("crowding is judged against a baseline; the batch has none")
    sigma = np.maximum(np.maximum(SIGMA_FLOOR_SHARE * normal.median, np.sqrt(normal.median)), SIGMA_FLOOR_PEOPLE)
    z = robust_z(count, normal.median, normal.mad, floor=MAD_TO_SIGMA * sigma)
    breached = (z >= CROWDING_ROBUST_Z) & (count >= CROWDING_MINIMUM_COUNT)
    score = np.clip((z - CROWDING_ROBUST_Z) / (CROWDING_EXTREME_Z - CROWDING_ROBUST_Z), 0.0, 1.0)
    severity = np.where(z >= CROWDING_EXTREME_Z, Severity.SEVERE, Severity.MODERATE)
    evidence = (
        EvidenceColumn("robust_z", z, CROWDING_ROBUST_Z),
        EvidenceColumn("count_sum", count, CROWDING_MINIMUM_COUNT, normal.median),
    )
    return Finding(breached, severity, score, evidence)


def may_be_dense(batch: WindowBatch) -> bool:
    """Whether any place is denser than where level E begins."""
    return bool((batch.measures["density_p_m2_mean"] > _LEVEL_E_P_M2).any())


def find_dense_crowd(batch: WindowBatch) -> Finding:
    """So many people per square metre that walking is hindered: Fruin's level E or F over a quarter of an hour."""
    density = batch.measures["density_p_m2_mean"]
    level = fruin_level(density)
    severity = np.where(level >= FruinLevel.F, Severity.SEVERE, Severity.MODERATE)
    score = np.clip((density - _LEVEL_E_P_M2) / (_LEVEL_F_P_M2 - _LEVEL_E_P_M2), 0.0, 1.0)
    return Finding(
        level >= FruinLevel.E, severity, score, (EvidenceColumn("density_p_m2_mean", density, _LEVEL_E_P_M2),)
    )


def may_be_over_capacity(batch: WindowBatch) -> bool:
    """Whether there are too many anywhere, be it news or not."""
    return bool((batch.measures["count_max"] > batch.attributes["capacity"]).any())


def find_over_capacity(batch: WindowBatch) -> Finding:
    """More people than a place may hold, where there were not in the quarter of an hour before: once for each breach.

    The sensor counts who is there, at moments; of a place without a capacity nothing is known. Of fewer people than may
    be shown it is told that they are too many, and not how many.
    """
    count, capacity = batch.measures["count_max"], batch.attributes["capacity"]
    share = np.divide(count, capacity, out=np.full(len(batch), np.nan), where=capacity > 0.0)
    breached = (count > capacity) & ~(batch.previous["count_max"] > capacity)
    shown = count >= LEAST_SHOWN
    score = np.clip((share - 1.0) / (CAPACITY_SEVERE - 1.0), 0.0, 1.0)
    return Finding(
        breached,
        np.where((share >= CAPACITY_SEVERE) & shown, Severity.SEVERE, Severity.MODERATE),
        # Of a capacity of nobody there is no saying how much.
        np.where(shown | np.isnan(score), score, 0.0),
        (EvidenceColumn("count_max", np.where(shown, count, np.nan), capacity),),
    )


def find_access_denied(batch: WindowBatch) -> Finding:
    """Many were refused at one gate in a quarter of an hour."""
    return _many(batch, PassageOutcome.DENIED, DENIED_LEAST, DENIED_SEVERE)


def find_tailgating(batch: WindowBatch) -> Finding:
    """Somebody passed behind another, without identifying."""
    return _many(batch, PassageOutcome.TAILGATED, TAILGATED_LEAST, TAILGATED_SEVERE)


def find_forced_gate(batch: WindowBatch) -> Finding:
    """A gate was forced."""
    return _many(batch, PassageOutcome.FORCED, FORCED_LEAST, FORCED_SEVERE)


def find_request_surge(batch: WindowBatch) -> Finding:
    """Far more requests of a category in an area within 24 hours than usual."""
    return find_surge(batch, "opened_sum", SURGE_Z, SURGE_EXTREME_Z, SURGE_UNKNOWN_EXPECTED)


def _many(batch: WindowBatch, outcome: PassageOutcome, least: float, severe: float) -> Finding:
    """A signal from `least` passages of that outcome on, a severe one from `severe` on."""
    times = _times(batch, outcome)
    severity = np.where(times >= severe, Severity.SEVERE, Severity.MODERATE)
    score = np.clip(times / severe, 0.0, 1.0)
    evidence = (EvidenceColumn(f"{outcome.name.lower()}_count", times, least),)
    return Finding(times >= least, severity, score, evidence)


def _times(batch: WindowBatch, outcome: PassageOutcome) -> NDArray[np.float64]:
    """How many passages of a window had that outcome; all outcomes have a place among the most frequent ones."""
    times = np.zeros(len(batch))
    for place in range(1, len(PassageOutcome) + 1):
        told = batch.measures[f"outcome_top{place}"] == outcome
        times += np.where(told, batch.measures[f"outcome_top{place}_count"], 0.0)
    return times
