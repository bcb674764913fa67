"""Which signals a rule means by one of its names: of which detectors, and how strong, where and about what."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from functools import cached_property, lru_cache

from services.core.correlation.checks import RuleError, check_identifier, check_range
from services.core.signals import Severity, Signal

Key = tuple[str, str, str]  # domain, kind, type


@dataclass(frozen=True)
class Bound:
    """Bounds of one figure of a signal's evidence; a signal without the figure does not meet them."""

    measure: str
    at_least: float = -math.inf
    at_most: float = math.inf
    above_expected: float = -math.inf  # how far above what is normal, at least; of a figure that has no normal: not met

    def __post_init__(self) -> None:
        check_identifier("measure", self.measure)
        if not self.at_least <= self.at_most:
            raise RuleError("at_least", self.at_least, f"must be a number up to at_most {self.at_most:g}")
        if math.isnan(self.above_expected):
            raise RuleError("above_expected", self.above_expected, "must be a number")

    def meets(self, signal: Signal) -> bool:
        """Whether the signal's figure lies within the bounds, both included."""
        found = next((e for e in signal.evidence if e.measure == self.measure), None)
        if found is None or not self.at_least <= found.value <= self.at_most:
            return False
        return self.above_expected == -math.inf or found.value - found.expected >= self.above_expected


@dataclass(frozen=True)
class Selector:
    """One of the sides of a rule: the findings of one detector or several of one kind, from a score on."""

    name: str  # the rule's own word for it: "crowd"
    domain: str
    kind: str
    type: str  # name of the detector
    minimum_score: float = 0.0
    more_types: tuple[str, ...] = ()  # other detectors of the kind that mean the same here
    minimum_severity: Severity = Severity.MINOR
    entity: str = "*"  # pattern of the entity id, where * is any text: "odour:*"
    attributes: tuple[tuple[str, tuple[str, ...]], ...] = ()  # attribute -> values of which it must have one
    where: tuple[Bound, ...] = ()
    without: tuple[tuple[str, tuple[str, ...]], ...] = ()  # attribute -> values of which it must have none

    def __post_init__(self) -> None:
        for field in ("name", "domain", "kind", "type"):
            check_identifier(field, getattr(self, field))
        for type_ in self.more_types:
            check_identifier("type", type_)
        if len(set(self.types)) != len(self.types):
            raise RuleError("type", list(self.types), "names a detector twice")
        check_range("minimum_score", self.minimum_score, 0.0, 1.0)
        if not self.entity:
            raise RuleError("entity", self.entity, "must be a pattern; '*' is any entity")
        for field, wanted in (("attributes", self.attributes), ("without", self.without)):
            for attribute, values in wanted:
                check_identifier(field, attribute)
                if not values:
                    raise RuleError(f"{field}.{attribute}", list(values), "must have one value or more")

    @property
    def types(self) -> tuple[str, ...]:
        """Names of the detectors."""
        return (self.type, *self.more_types)

    @property
    def key(self) -> Key:
        """Of the first detector."""
        return self.domain, self.kind, self.type

    @property
    def keys(self) -> tuple[Key, ...]:
        """Of all detectors."""
        return tuple((self.domain, self.kind, type_) for type_ in self.types)

    @cached_property
    def plain(self) -> bool:
        """Whether it takes every signal of its detectors."""
        narrow = self.minimum_score > 0 or self.minimum_severity > Severity.MINOR or self.entity != "*"
        return not (narrow or self.attributes or self.where or self.without)

    def takes(self, signal: Signal) -> bool:
        """Whether a signal of one of its detectors is meant."""
        if self.plain:
            return True
        return (
            signal.score >= self.minimum_score
            and signal.severity >= self.minimum_severity
            and _pattern(self.entity).fullmatch(signal.entity_id) is not None
            and all(attribute_of(signal, name) in values for name, values in self.attributes)
            and not any(attribute_of(signal, name) in values for name, values in self.without)
            and all(bound.meets(signal) for bound in self.where)
        )


@lru_cache(maxsize=1024)
def _pattern(glob: str) -> re.Pattern[str]:
    return re.compile(".*".join(map(re.escape, glob.split("*"))))


def measure_of(signal: Signal, measure: str) -> float:
    """A figure of a signal's evidence; NaN where there is none."""
    return next((e.value for e in signal.evidence if e.measure == measure), math.nan)


def attribute_of(signal: Signal, name: str) -> str:
    """What a signal says of its entity, "entity" being its id; "" where it says nothing."""
    if name == "entity":
        return signal.entity_id
    return next((value for key, value in signal.attributes if key == name), "")
