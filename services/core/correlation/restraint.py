"""What keeps the incidents of a rule from telling people too much, as data: limits, flapping, and who inhibits whom."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Protocol

from services.core.correlation.checks import MAX_RADIUS_M, RuleError, check_identifier, check_range

# What is remembered of incidents that are settled reaches back so far at most.
MAX_REACH_S = 30 * 86_400
MAX_INCIDENTS = 10_000


@dataclass(frozen=True)
class Limit:
    """Of the incidents of a rule that begin in one city and one stretch of time, the first so many are told.

    Stretches have one length, side by side from 1970 (UTC) on: whether an incident is beyond the limit depends on
    what began before it in its stretch, and on no order of arrival.
    """

    incidents: int
    within_s: int

    def __post_init__(self) -> None:
        check_range("limit.incidents", self.incidents, 1, MAX_INCIDENTS)
        check_range("limit.within_s", self.within_s, 1, MAX_REACH_S)


@dataclass(frozen=True)
class Flapping:
    """An incident flaps that comes back: so many of its rule, of an entity of its own, began shortly before it."""

    times: int  # so many before it
    within_s: int  # from the start of the earliest of them to its own start, at most

    def __post_init__(self) -> None:
        check_range("flapping.times", self.times, 1, MAX_INCIDENTS)
        check_range("flapping.within_s", self.within_s, 1, MAX_REACH_S)


@dataclass(frozen=True)
class Inhibition:
    """While an incident of the rule that says so stands, those of another rule that it covers tell nobody.

    It covers one of which every listed signal lies near one of its own, by what is given: within so many metres, of the
    same value of each attribute, or both.
    """

    rule: str  # name of the other one
    radius_m: float | None = None
    same: tuple[str, ...] = ()  # attributes: ("cabinet",)

    def __post_init__(self) -> None:
        check_identifier("rule", self.rule)
        if self.radius_m is None and not self.same:
            raise RuleError("radius_m", None, "must stand there, or same: which incidents does it cover?")
        if self.radius_m is not None:
            check_range("radius_m", self.radius_m, 1.0, MAX_RADIUS_M)
        for number, name in enumerate(self.same):
            check_identifier(f"same[{number}]", name)


class Inhibiting(Protocol):
    """What is asked of a rule here."""

    @property
    def name(self) -> str: ...

    @property
    def inhibits(self) -> tuple[Inhibition, ...]: ...


def ranks_of(rules: Iterable[Inhibiting]) -> Mapping[str, int]:
    """By name how many steps of inhibition hang on a rule; 0: it inhibits none. RuleError: they go round in a ring."""
    names: dict[str, set[str]] = {}
    for rule in rules:
        names.setdefault(rule.name, set()).update(inhibition.rule for inhibition in rule.inhibits)
    ranks: dict[str, int] = {}

    def rank(name: str, passed: tuple[str, ...]) -> int:
        if name in passed:
            raise RuleError("inhibits", name, f"goes round in a ring: {', '.join((*passed, name))}")
        if name not in ranks:
            ranks[name] = max((1 + rank(other, (*passed, name)) for other in sorted(names.get(name, ()))), default=0)
        return ranks[name]

    for name in sorted(names):
        rank(name, ())
    return ranks
