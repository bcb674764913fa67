"""A rule of correlation as data: which signals belong together, how near in space and time, and what that means."""

from __future__ import annotations

import math
import re
import string
from dataclasses import dataclass

from services.core.signals import Severity, Signal

IDENTIFIER = re.compile(r"[a-z][a-z0-9_]{0,62}")
# Half of the Earth's girth; no two places are farther apart.
MAX_RADIUS_M = 20_038_000.0
MAX_SECONDS = 366 * 86_400


class RuleError(ValueError):
    """A rule that cannot be: names the field, its value and the reason."""

    def __init__(self, field: str, value: object, reason: str) -> None:
        super().__init__(f"{field} = {value!r}: {reason}")
        self.field, self.value, self.reason = field, value, reason


@dataclass(frozen=True)
class Selector:
    """One of the sides of a rule: the findings of one detector, from a score on."""

    name: str  # the rule's own word for it: "crowd"
    domain: str
    kind: str
    type: str  # name of the detector
    minimum_score: float = 0.0

    def __post_init__(self) -> None:
        for field in ("name", "domain", "kind", "type"):
            _check_identifier(field, getattr(self, field))
        _check_range("minimum_score", self.minimum_score, 0.0, 1.0)

    @property
    def key(self) -> tuple[str, str, str]:
        return self.domain, self.kind, self.type


@dataclass(frozen=True)
class Rule:
    """Signals of different selectors, in no order, that are near each other in space and time make an incident."""

    name: str
    version: int
    about: str  # for people: why this matters
    title: str  # template; {crowd} stands for the entity of the first signal that the selector "crowd" takes
    severity: Severity
    selectors: tuple[Selector, ...]
    radius_m: float  # great-circle distance of two linked signals, at most
    within_s: int  # time between the windows of two linked signals, at most; 0: they touch or overlap
    # A signal neither comes nor changes any more once event time has passed the *start* of its window by so long: the
    # longest window and the longest lateness of the kinds, and one pane. Until then an incident can be corrected.
    settled_after_s: int

    def __post_init__(self) -> None:
        _check_identifier("rule", self.name)
        _check_range("version", self.version, 1, 2**31)
        _check_range("radius_m", self.radius_m, 1.0, MAX_RADIUS_M)
        _check_range("within_s", self.within_s, 0, MAX_SECONDS)
        _check_range("settled_after_s", self.settled_after_s, 1, MAX_SECONDS)
        if not self.about.strip():
            raise RuleError("about", self.about, "must say what the rule is for")
        self._check_selectors()
        self._check_title()

    def _check_selectors(self) -> None:
        names, keys = [s.name for s in self.selectors], [s.key for s in self.selectors]
        if len(self.selectors) < 2:
            raise RuleError("signals", names, "must name at least two kinds of signal")
        if len(set(names)) != len(names):
            raise RuleError("signals", names, "names must differ")
        if len(set(keys)) != len(keys):
            raise RuleError("signals", [".".join(key) for key in keys], "a detector may be named only once")

    def _check_title(self) -> None:
        allowed = {"city", *(s.name for s in self.selectors)}
        try:
            parts = list(string.Formatter().parse(self.title))
        except ValueError as error:
            raise RuleError("title", self.title, str(error)) from None
        for _, name, spec, conversion in parts:
            if name is not None and (name not in allowed or spec or conversion):
                raise RuleError("title", self.title, f"{{{name}}} must be one of {', '.join(sorted(allowed))}")
        if not self.title.strip():
            raise RuleError("title", self.title, "must not be empty")

    @property
    def within_ms(self) -> int:
        return self.within_s * 1000

    @property
    def settled_after_ms(self) -> int:
        return self.settled_after_s * 1000

    def side_of(self, signal: Signal) -> int | None:
        """Index of the selector that takes this signal as it stands now; None: the rule does not look at it."""
        if signal.retracted or math.isnan(signal.latitude) or math.isnan(signal.longitude):
            return None
        key = (signal.domain, signal.kind, signal.type)
        for side, selector in enumerate(self.selectors):
            if selector.key == key:
                return side if signal.score >= selector.minimum_score else None
        return None


def _check_identifier(field: str, value: str) -> None:
    if not IDENTIFIER.fullmatch(value):
        raise RuleError(field, value, "must be 1 to 63 of a-z, 0-9 and '_', and start with a letter")


def _check_range(field: str, value: float, low: float, high: float) -> None:
    if not low <= value <= high:
        raise RuleError(field, value, f"must lie between {low:g} and {high:g}")
