"""When two signals belong together: how near in space and time, in which order, and what they must have in common."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

from services.core.correlation.allen import Relation, relation_of
from services.core.correlation.along import Along
from services.core.correlation.checks import MAX_RADIUS_M, MAX_SECONDS, RuleError, check_identifier, check_range
from services.core.correlation.selector import attribute_of, measure_of
from services.core.geometry import initial_bearing_deg
from services.core.signals import Signal

ALL_RELATIONS = frozenset(Relation)


@dataclass(frozen=True)
class Wind:
    """The second signal lies down the wind of the first, or up the wind.

    The direction from which it blows is a figure in the evidence of the first, or else of the second. Where neither has
    it, or both are at one place, nobody knows; `unknown_joins` says whether they belong together then.
    """

    measure: str  # "wind_from_deg": degrees clockwise from north, as meteorology counts
    down: bool = True
    sector_deg: float = 45.0  # how far the bearing may turn from the wind, to either side
    unknown_joins: bool = False

    def __post_init__(self) -> None:
        check_identifier("measure", self.measure)
        check_range("sector_deg", self.sector_deg, 0.0, 180.0)

    def __repr__(self) -> str:
        # As a dataclass has it. What was added later stands there only where it is used: see `Bond`.
        unknown = ", unknown_joins=True" if self.unknown_joins else ""
        return f"Wind(measure={self.measure!r}, down={self.down!r}, sector_deg={self.sector_deg!r}{unknown})"

    def joins(self, first: Signal, second: Signal) -> bool:
        """Whether the wind goes from the first to the second (or the other way, up the wind), as far as is known."""
        wind_from = measure_of(first, self.measure)
        if math.isnan(wind_from):
            wind_from = measure_of(second, self.measure)
        here, there = (first.latitude, first.longitude), (second.latitude, second.longitude)
        if math.isnan(wind_from) or here == there:
            return self.unknown_joins
        goal = wind_from + 180.0 if self.down else wind_from
        turn = (float(initial_bearing_deg(*here, *there)) - goal + 180.0) % 360.0 - 180.0
        return abs(turn) <= self.sector_deg


@dataclass(frozen=True)
class Bond:
    """Signals of two names of a rule (or two signals of one name) are linked when all of this is so."""

    first: str
    second: str
    radius_m: float  # great-circle distance, at most
    within_s: int  # time between the windows, at most; 0: they touch or overlap
    relations: frozenset[Relation] = field(default=ALL_RELATIONS)  # of the first's window to the second's
    same: tuple[str, ...] = ()  # attributes that both have, with one value
    wind: Wind | None = None
    along: Along | None = None

    def __post_init__(self) -> None:
        check_range("radius_m", self.radius_m, 1.0, MAX_RADIUS_M)
        check_range("within_s", self.within_s, 0, MAX_SECONDS)
        for attribute in self.same:
            check_identifier("same", attribute)
        if not self.relations:
            raise RuleError("relation", [], "must name one relation or more")
        if self.first == self.second and (self.wind or self.relations != ALL_RELATIONS):
            raise RuleError(
                "between", [self.first, self.second], "signals of one name have no order: no relation, no wind"
            )

    def __repr__(self) -> str:
        # The fingerprint of rules is made of this: a set has no order of its own.
        facts = self.first, self.second, self.radius_m, self.within_s, sorted(self.relations), self.same, self.wind
        # What was added later stands there only where it is used, so that a new version goes on with its state.
        return f"Bond{facts!r}" if self.along is None else f"Bond{(*facts, self.along)!r}"

    @property
    def within_ms(self) -> int:
        return self.within_s * 1000

    @property
    def plain(self) -> bool:
        """Whether only distance and time matter."""
        return self.relations == ALL_RELATIONS and not self.same and self.wind is None and self.along is None

    def joins(self, first: Signal, second: Signal) -> bool:
        """Whether two signals that are near enough in space and time are linked."""
        if self.plain:
            return True
        if self.relations != ALL_RELATIONS:
            relation = relation_of(first.start_ms, first.end_ms, second.start_ms, second.end_ms)
            if relation not in self.relations:
                return False
        for attribute in self.same:
            value = attribute_of(first, attribute)
            if not value or value != attribute_of(second, attribute):
                return False
        if self.along is not None and not self.along.joins(first, second):
            return False
        return self.wind is None or self.wind.joins(first, second)
