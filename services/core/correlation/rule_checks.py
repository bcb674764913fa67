"""Checks the condition of a rule against the names of its signals."""

from __future__ import annotations

from collections.abc import Sequence

from services.core.correlation.checks import MAX_RADIUS_M, MAX_SECONDS, RuleError, check_identifier, check_range
from services.core.correlation.condition import (
    ENTITY,
    Absent,
    Chain,
    Condition,
    Count,
    Percentile,
    Share,
    Total,
    leaves,
    names_in,
)
from services.core.signals import COUNTED_LABELS

# Signals of one group that a rule may ask for.
MAX_COUNT = 100_000


def check_condition(condition: Condition | None, names: Sequence[str]) -> None:
    """RuleError where a condition names what is not there, cannot be met, or leaves a name without a use."""
    if condition is None:
        return
    used: set[str] = set()
    context: set[str] = set()
    for leaf in leaves(condition):
        check_leaf(leaf)
        wanted = sorted(names_in(leaf)) + ([leaf.of, *leaf.unknown_if] if isinstance(leaf, Absent) else [])
        for name in wanted:
            if name not in names:
                raise RuleError("when", name, f"is no name of a signal; there are {', '.join(names)}")
        if isinstance(leaf, Absent):
            context |= {leaf.of, *leaf.unknown_if}
            used |= set(leaf.around)
        else:
            used |= names_in(leaf)
    if both := sorted(used & context):
        raise RuleError("when", both[0], "cannot take part and be looked out for in one rule: give it two names")
    if idle := [name for name in names if name not in used | context]:
        raise RuleError("when", idle[0], "a signal of this name changes nothing: name it in a condition")
    if not used:
        raise RuleError("when", sorted(context), "needs a signal that takes part, beside what must be absent")


def check_leaf(leaf: Condition) -> None:
    """RuleError where a condition without parts cannot be, whatever the names in it mean."""
    match leaf:
        case Count():
            check_range("at_least", leaf.at_least, 1, MAX_COUNT)
            _check_time("within_s", leaf.within_s)
            if leaf.distinct and leaf.distinct != ENTITY:
                check_identifier("distinct", leaf.distinct)
        case Share():
            if leaf.among not in COUNTED_LABELS:
                raise RuleError("among", leaf.among, f"must be one of {', '.join(sorted(COUNTED_LABELS))}")
            check_range("at_least", leaf.at_least, 0.0, 1.0)
            if leaf.at_least == 0:
                raise RuleError("at_least", leaf.at_least, "must lie above 0")
            _check_time("within_s", leaf.within_s)
        case Total():
            check_identifier("measure", leaf.measure)
            check_range("at_least", leaf.at_least, -1e300, 1e300)
            _check_time("within_s", leaf.within_s)
        case Percentile():
            _check_percentile(leaf)
        case Chain():
            if len(leaf.steps) < 2:
                raise RuleError("sequence", list(leaf.steps), "must have two steps or more")
            _check_time("within_s", leaf.within_s)
        case Absent():
            check_range("radius_m", leaf.radius_m, 1.0, MAX_RADIUS_M)
            _check_time("before_s", leaf.before_s)
            _check_time("after_s", leaf.after_s)
        case _:
            pass


def _check_percentile(leaf: Percentile) -> None:
    check_identifier("measure", leaf.measure)
    check_range("percent", leaf.percent, 0.0, 100.0)
    check_range("values", leaf.values, 1, MAX_COUNT)
    if leaf.percent == 0:
        raise RuleError("percent", leaf.percent, "must lie above 0")
    if (leaf.at_least is None) == (leaf.at_most is None):
        raise RuleError("at_least", leaf.at_least, "must stand there, or at_most, and not both")


def _check_time(field: str, seconds: int | None) -> None:
    if seconds is not None:
        check_range(field, seconds, 0, MAX_SECONDS)
