"""Alert levels of heavy air pollution out of a series of daily indices: dated plans, and the state machine over hours.

The plans judge a *forecast* of the mean over any 24 hours; given observed hours instead, the same machine tells which
level the episode has come to so far.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from enum import IntEnum

import numpy as np
from numpy.typing import NDArray

from services.environment.indices.averaging import HOURS_OF_DAY

Float64Array = NDArray[np.float64]
Int64Array = NDArray[np.int64]


class Alert(IntEnum):
    """Level of an alert; a plan need not have all of them."""

    NONE = 0
    BLUE = 1
    YELLOW = 2
    ORANGE = 3
    RED = 4


@dataclass(frozen=True)
class Condition:
    """The 24-hour index stays at or above a number for so long without a break."""

    at_least: int
    hours: int


@dataclass(frozen=True)
class Plan:
    """Which conditions make which level. A level holds where all conditions of one of its alternatives do."""

    id: str
    valid_from: date  # local day
    levels: tuple[tuple[Alert, tuple[tuple[Condition, ...], ...]], ...]  # ascending
    lifted_after_hours: int  # below every condition's number
    source: str

    def __post_init__(self) -> None:
        alerts = [alert for alert, _ in self.levels]
        if alerts != sorted(set(alerts)) or not alerts:
            raise ValueError(f"{self.id}: levels must ascend: {alerts}")

    @property
    def conditions(self) -> tuple[Condition, ...]:
        """All of them, each once."""
        every = (c for _, alternatives in self.levels for conditions in alternatives for c in conditions)
        return tuple(dict.fromkeys(every))

    @property
    def lowest(self) -> int:
        """The index below which the air is better than the lowest level asks for."""
        return min(condition.at_least for condition in self.conditions)


# Lifted when the air is better than the lowest level asks for, for more than 36 hours (chuiha.cn, 2026-01-23, of the
# present plans; the plans before said the same, from general knowledge).
_LIFTED_AFTER_HOURS = 36

PLANS = (
    Plan(
        "cn-heavy-pollution-2017",
        date(2017, 9, 20),
        (
            (Alert.BLUE, ((Condition(201, 24),),)),
            (Alert.YELLOW, ((Condition(201, 48),),)),
            (Alert.ORANGE, ((Condition(201, 72), Condition(301, 24)),)),
            (Alert.RED, ((Condition(201, 96), Condition(301, 48)), (Condition(500, 24),))),
        ),
        _LIFTED_AFTER_HOURS,
        "Ministry of Environmental Protection, 2017-09-20 (m.wenke99.com/p-9609601.html)",
    ),
    Plan(
        "cn-heavy-pollution-2024",
        # The opinion is of January 2024; its day was not confirmed, and each place puts it into a plan of its own.
        date(2024, 2, 1),
        (
            (Alert.YELLOW, ((Condition(201, 24),), (Condition(151, 48),))),
            (Alert.ORANGE, ((Condition(201, 48),), (Condition(151, 72),))),
            (Alert.RED, ((Condition(201, 72), Condition(301, 24)),)),
        ),
        _LIFTED_AFTER_HOURS,
        "环大气〔2024〕6号 (xxszxw.net, 2024-06-22); for the key regions, others may be stricter",
    ),
)


def plan_of_day(day: date) -> Plan | None:
    """The plan that holds on a local day; None before the first."""
    held = [plan for plan in PLANS if plan.valid_from <= day]
    return held[-1] if held else None


def lasting_hours(at_or_above: NDArray[np.bool_], step_hours: int = 1) -> Int64Array:
    """For how long a 24-hour figure has been so high at each step: a run of k steps of means covers 24 + (k - 1) steps.

    Shapes: (steps, …), in the order of time.
    """
    steps = np.arange(1, len(at_or_above) + 1, dtype=np.int64).reshape(-1, *([1] * (at_or_above.ndim - 1)))
    last_below = np.maximum.accumulate(np.where(at_or_above, 0, steps), axis=0)
    run = steps - last_below
    return np.where(run > 0, HOURS_OF_DAY + (run - 1) * step_hours, 0)


def alert_levels(plan: Plan, daily_index: Float64Array, step_hours: int = 1) -> Int64Array:
    """Level at each step of a series of 24-hour indices: (steps, …) to the same shape, numbers of Alert.

    `step_hours` is 1 for running means told every hour and 24 for calendar days. A level only rises within an episode
    and is lifted when the index has been below every number of the plan for longer than the plan says; two spells that
    lie nearer together are one episode. An index that is not known breaks a run, and neither raises nor lifts.
    """
    lasting = {c: lasting_hours(daily_index >= c.at_least, step_hours) for c in plan.conditions}
    lowest = plan.lowest
    below = daily_index < lowest
    levels = np.zeros(daily_index.shape, np.int64)
    longest = {c: np.zeros(daily_index.shape[1:], np.int64) for c in plan.conditions}
    level = np.zeros(daily_index.shape[1:], np.int64)
    quiet_hours = np.zeros(daily_index.shape[1:], np.int64)
    for step in range(len(daily_index)):
        quiet_hours = np.where(daily_index[step] >= lowest, 0, quiet_hours + step_hours * below[step])
        over = quiet_hours > plan.lifted_after_hours
        for condition in plan.conditions:
            reached = np.maximum(longest[condition], lasting[condition][step])
            longest[condition] = np.where(over, 0, reached)
        level = np.where(over, int(Alert.NONE), np.maximum(level, _met(plan, longest)))
        levels[step] = level
    return levels


def level_at_end(plan: Plan, daily_index: Float64Array, step_hours: int = 1) -> Int64Array:
    """Level at the last step of such a series: (steps, …) to (…); what `alert_levels` ends with, without its loop."""
    lasting = {c: lasting_hours(daily_index >= c.at_least, step_hours) for c in plan.conditions}
    better_hours = np.cumsum(daily_index < plan.lowest, axis=0) * step_hours
    bad = daily_index >= plan.lowest
    quiet_hours = better_hours - np.maximum.accumulate(np.where(bad, better_hours, 0), axis=0)
    steps = np.arange(1, len(daily_index) + 1, dtype=np.int64).reshape(-1, *([1] * (daily_index.ndim - 1)))
    lifted = np.max(np.where(quiet_hours > plan.lifted_after_hours, steps, 0), axis=0)
    return _met(plan, {c: np.max(np.where(steps > lifted, hours, 0), axis=0) for c, hours in lasting.items()})


def _met(plan: Plan, longest: dict[Condition, Int64Array]) -> Int64Array:
    """The highest level whose conditions an episode has met."""
    met = {c: hours >= c.hours for c, hours in longest.items()}
    level = np.zeros(next(iter(longest.values())).shape, np.int64)
    for alert, alternatives in plan.levels:
        for conditions in alternatives:
            holds = np.logical_and.reduce([met[c] for c in conditions])
            level = np.where(holds, int(alert), level)
    return level
