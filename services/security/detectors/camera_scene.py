"""What is worth a signal about what cameras see: crowds, loitering, things left behind, guarded lines that are crossed.

What a zone or a line is judged by are numbers of its entity: `area_m2` of a zone for its density,
`loitering_least_s` where a city is more patient than its cameras, `crossings_most_per_minute` of a line that is
guarded (0: nobody may cross). What lacks the number that it needs is not judged.
"""

from __future__ import annotations

import numpy as np

from services.core.fruin import GREATEST_DENSITY_P_M2, FruinLevel
from services.core.signals import EvidenceColumn, Finding, Severity
from services.core.small_numbers import LEAST_SHOWN
from services.core.windows import WindowBatch
from services.security.detectors.topic_counts import count_topic, tells_topic
from services.security.indices.camera_topics import CameraTopic
from services.security.indices.crowding import density_p_m2, held_level

AREA = (("area_m2", float("nan")),)
LOITERING = (("loitering_least_s", 0.0),)
GUARDED = (("crossings_most_per_minute", float("nan")),)

# From level E on, above so many people per m², nobody walks at a pace of his own; in F walking breaks down.
_LEVEL_E_P_M2, _LEVEL_F_P_M2 = GREATEST_DENSITY_P_M2[FruinLevel.D - 1], GREATEST_DENSITY_P_M2[FruinLevel.E - 1]
# Score 1 and severity "severe" where somebody loiters for so long. A proposal, not a standard.
SEVERE_LOITERING_S = 600.0
# Score 1 where so many more than allowed cross in a minute. A proposal, not a standard.
EXTREME_CROSSINGS = 10.0


def may_be_crowd(batch: WindowBatch) -> bool:
    """Whether anybody is in a zone whose area is known."""
    return not np.isnan(batch.measures["people_last"] * batch.attributes["area_m2"]).all()


def find_crowd(batch: WindowBatch) -> Finding:
    """A zone is so full that walking is hindered: Fruin's level E or F, with hysteresis, told every minute.

    Of fewer people than may be shown it is told that they are a crowd, and not how many or how dense.
    """
    people, area = batch.measures["people_last"], batch.attributes["area_m2"]
    density = density_p_m2(people, area)
    level = held_level(density, density_p_m2(batch.measures["people_max"], area))
    shown = people >= LEAST_SHOWN
    score = np.clip((density - _LEVEL_E_P_M2) / (_LEVEL_F_P_M2 - _LEVEL_E_P_M2), 0.0, 1.0)
    return Finding(
        level >= FruinLevel.E,
        np.where((level >= FruinLevel.F) & shown, Severity.SEVERE, Severity.MODERATE),
        np.where(shown | np.isnan(score), score, 0.0),
        (
            EvidenceColumn("density_p_m2", np.where(shown, density, np.nan), _LEVEL_E_P_M2),
            EvidenceColumn("fruin_level", np.where(shown, level, np.nan), float(FruinLevel.E)),
            EvidenceColumn("people_last", np.where(shown, people, np.nan), _LEVEL_E_P_M2 * area),
        ),
    )


def may_be_loitering(batch: WindowBatch) -> bool:
    """Whether any camera says so."""
    longest = batch.measures["loitering_s_max"]
    return not np.isnan(longest).all() or tells_topic(batch, CameraTopic.LOITERING)


def find_loitering(batch: WindowBatch) -> Finding:
    """Somebody loiters in a zone: its camera says so, and for as long as the city wants it."""
    longest, least = batch.measures["loitering_s_max"], batch.attributes["loitering_least_s"]
    objects = count_topic(batch.measures, CameraTopic.LOITERING)
    told = (objects > 0.0) | ~np.isnan(longest)
    # Without a time the camera's own patience is all there is.
    breached = told & ((longest >= least) | (least == 0.0))
    evidence = (EvidenceColumn("loitering_s_max", longest, least), EvidenceColumn("loitering_count", objects, 1.0))
    return Finding(
        breached,
        np.where(longest >= SEVERE_LOITERING_S, Severity.SEVERE, Severity.MODERATE),
        np.clip(np.nan_to_num(longest) / SEVERE_LOITERING_S, 0.0, 1.0),
        evidence,
    )


def may_be_abandoned(batch: WindowBatch) -> bool:
    """Whether any camera says so."""
    return tells_topic(batch, CameraTopic.OBJECT_ABANDONED)


def find_abandoned_object(batch: WindowBatch) -> Finding:
    """Something was left behind in a zone for longer than its camera was told to bear."""
    objects = count_topic(batch.measures, CameraTopic.OBJECT_ABANDONED)
    breached = objects > 0.0
    severity = np.full(len(batch), Severity.MODERATE)
    return Finding(breached, severity, breached.astype(np.float64), (EvidenceColumn("abandoned_count", objects, 1.0),))


def may_be_crossed(batch: WindowBatch) -> bool:
    """Whether any line is guarded."""
    return not np.isnan(batch.attributes["crossings_most_per_minute"]).all()


def find_crossing(batch: WindowBatch) -> Finding:
    """More crossed a guarded line in a minute than may."""
    crossings, most = batch.measures["crossings_sum"], batch.attributes["crossings_most_per_minute"]
    return Finding(
        crossings > most,
        np.full(len(batch), Severity.MODERATE),
        np.clip((crossings - most) / EXTREME_CROSSINGS, 0.0, 1.0),
        (EvidenceColumn("crossings_sum", crossings, most),),
    )
