"""What is unusual in the windows of a kind, or missing: `*unusual("1h", HOUR_MS, "pm10_mean")`, `silent("1h")`."""

from __future__ import annotations

from functools import partial

import numpy as np

from services.core.anomaly.budget import Budget
from services.core.anomaly.unusual import Unusual
from services.core.following.follower import Follower, Moment
from services.core.kind import DAY_MS, Detector
from services.core.signals import EvidenceColumn, Finding, Severity

# One false alarm for each entity of a kind and week: all that is looked at of it shares that.
PER_WEEK = 1.0
# As strange as one window in nine weeks.
VERY_UNUSUAL = 0.9
# Who was silent for longer begins anew: four weeks, as holidays are shorter and what is normal moves with the seasons.
KEEP_MS = 28 * DAY_MS
HOURS_OF_DAY = 24


def unusual(window: str, every_ms: int, *measures: str, least_shown: float = -np.inf) -> tuple[Detector, ...]:
    """Detectors `unusual_<measure>` of result columns; `every_ms`: from the start of one window to that of the next.

    An alarm is news (what goes on is told once) and within the budget, however the data are: see README.md beside. The
    score of the signal is that of the finding: 0.5 is what one window a week does by chance. The figure itself is told
    where it and what was expected are at least `least_shown`: a few people in one place are nobody's business.
    ValueError where nothing is to be looked at.
    """
    if not measures:
        raise ValueError(f"no measures of the windows {window} that might be unusual")
    judge = Unusual(every_ms, budget=Budget(PER_WEEK / len(measures)))
    return tuple(
        Detector(
            f"unusual_{measure}",
            "1",
            window,
            follower=Follower(
                fields=judge.fields,
                measures=(measure,),
                step=partial(find_unusual, judge, measure, least_shown),
                keep_ms=KEEP_MS,
                every_ms=every_ms,
                unusual=True,
            ),
        )
        for measure in measures
    )


def silent(window: str) -> Detector:
    """Detector `silent` of entities that tell no windows of that name any more, each by its own rhythm."""
    return Detector("silent", "1", window, silence=True)


def find_unusual(judge: Unusual, measure: str, least_shown: float, moment: Moment) -> Finding:
    """Holds windows against the past of each entity at this hour of its day, and takes them in."""
    value = moment.measures[measure]
    start_ms = np.full(len(value), moment.start_ms)
    told = judge.judge(moment.memory, moment.slot, start_ms, moment.hour_of_week % HOURS_OF_DAY, value)
    with np.errstate(divide="ignore", invalid="ignore"):
        sigmas = (value - told.expected) / told.sigma
    shown = (value >= least_shown) & (told.expected >= least_shown)
    evidence = (
        EvidenceColumn(measure, np.where(shown, value, np.nan), np.nan, np.where(shown, told.expected, np.nan)),
        EvidenceColumn("unusual_score", told.score, judge.budget.least_score),
        EvidenceColumn("sigmas_from_expected", sigmas, np.nan),
    )
    # As numbers: arrays take those several times as fast as members of an enum.
    severity = np.where(told.score >= VERY_UNUSUAL, int(Severity.MODERATE), int(Severity.MINOR))
    return Finding(told.alarm, severity, told.score, evidence)
