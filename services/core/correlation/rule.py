"""A rule of correlation as data: which signals belong together, and when such a group is an incident."""

from __future__ import annotations

import math
import string
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise

from services.core.correlation.bond import Bond
from services.core.correlation.checks import MAX_RADIUS_M, MAX_SECONDS, RuleError, check_identifier, check_range
from services.core.correlation.condition import (
    Absent,
    AllOf,
    Chain,
    Condition,
    Count,
    Present,
    Share,
    leaves,
    needed_by,
)
from services.core.correlation.incident import Threshold
from services.core.correlation.restraint import Flapping, Inhibition, Limit
from services.core.correlation.rule_checks import check_condition
from services.core.correlation.selector import Key, Selector
from services.core.signals import Severity, Signal


@dataclass(frozen=True)
class Rule:
    """Signals that hang together by bonds are a group; a group of which the condition is true is an incident."""

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
    when: Condition | None = None  # None: a signal of every name takes part
    # What comes back at one of its entities within so long after its last window is the same incident; 0: is a new one.
    keep_open_s: int = 0
    same: tuple[str, ...] = ()  # attributes that two linked signals both have, with one value
    bonds: tuple[
        Bond, ...
    ] = ()  # of pairs of names for which other bounds hold; two of one name are linked by these only
    limit: Limit | None = None
    flapping: Flapping | None = None
    inhibits: tuple[Inhibition, ...] = ()

    def __post_init__(self) -> None:
        check_identifier("rule", self.name)
        check_range("version", self.version, 1, 2**31)
        check_range("radius_m", self.radius_m, 1.0, MAX_RADIUS_M)
        check_range("within_s", self.within_s, 0, MAX_SECONDS)
        check_range("keep_open_s", self.keep_open_s, 0, MAX_SECONDS)
        check_range("settled_after_s", self.settled_after_s, 1, MAX_SECONDS)
        if not self.about.strip():
            raise RuleError("about", self.about, "must say what the rule is for")
        self._check_selectors()
        check_condition(self.when, [s.name for s in self.selectors])
        self._check_bonds()
        self._check_title()
        for number, inhibition in enumerate(self.inhibits):
            if inhibition.rule == self.name:
                raise RuleError(f"inhibits[{number}].rule", inhibition.rule, "must be another rule")

    @property
    def restrained(self) -> bool:
        """Whether what else stands may keep its incidents, or by them others, from telling people."""
        return self.limit is not None or self.flapping is not None or bool(self.inhibits)

    @cached_property
    def condition(self) -> Condition:
        """When a group is an incident."""
        return self.when if self.when is not None else AllOf(tuple(Present(s.name) for s in self.selectors))

    @cached_property
    def absences(self) -> tuple[Absent, ...]:
        """What must not be near."""
        return tuple(leaf for leaf in leaves(self.condition) if isinstance(leaf, Absent))

    @cached_property
    def context(self) -> frozenset[str]:
        """Names of the signals that are only looked out for: they take part in no group."""
        return frozenset(name for absent in self.absences for name in (absent.of, *absent.unknown_if))

    @cached_property
    def needed(self) -> frozenset[str]:
        """Names of which at least one signal takes part in every incident."""
        return needed_by(self.condition)

    @cached_property
    def needed_sides(self) -> tuple[int, ...]:
        """The selectors of these names."""
        return tuple(i for i, s in enumerate(self.selectors) if s.name in self.needed)

    @cached_property
    def sides(self) -> dict[str, int]:
        """Index of each selector by its name."""
        return {s.name: i for i, s in enumerate(self.selectors)}

    @cached_property
    def all_bonds(self) -> tuple[Bond, ...]:
        """Those that the rule names, and for every other pair of different names the one of the rule as a whole."""
        named = {frozenset((bond.first, bond.second)) for bond in self.bonds}
        members = [s.name for s in self.selectors if s.name not in self.context]
        rest = (
            Bond(first, second, self.radius_m, self.within_s, same=self.same)
            for i, first in enumerate(members)
            for second in members[i + 1 :]
            if {first, second} not in named
        )
        return (*self.bonds, *rest)

    @cached_property
    def within_ms(self) -> int:
        """The longest time between the windows of two linked signals, or after which something must be absent."""
        bonds = max((bond.within_ms for bond in self.all_bonds), default=0)
        return max([self.within_s * 1000, bonds, *(absent.after_s * 1000 for absent in self.absences)])

    @cached_property
    def open_ms(self) -> int:
        """Event time after its last window for which an incident waits for what may still belong to it."""
        return self.within_ms + self.keep_open_s * 1000

    @cached_property
    def thresholds(self) -> tuple[Threshold, ...]:
        """The bounds that it sets, as its incidents tell them."""
        bounds = [Threshold("radius_m", self.radius_m), Threshold("within_s", self.within_s)]
        bounds += [Threshold("keep_open_s", self.keep_open_s)] if self.keep_open_s else []
        for bond in self.bonds:
            name = f"{bond.first}_{bond.second}"
            bounds += [Threshold(f"{name}_radius_m", bond.radius_m), Threshold(f"{name}_within_s", bond.within_s)]
        bounds += [Threshold(f"{s.name}_minimum_score", s.minimum_score) for s in self.selectors if s.minimum_score > 0]
        return tuple(bounds)

    @property
    def settled_after_ms(self) -> int:
        return self.settled_after_s * 1000

    @cached_property
    def sides_of_key(self) -> dict[Key, tuple[tuple[int, Selector], ...]]:
        """The selectors of a detector, in the order of the rule."""
        found: dict[Key, tuple[tuple[int, Selector], ...]] = {}
        for side, selector in enumerate(self.selectors):
            for key in selector.keys:
                found[key] = (*found.get(key, ()), (side, selector))
        return found

    def side_of(self, signal: Signal) -> int | None:
        """Index of the first selector that takes this signal as it stands now; None: the rule does not look at it."""
        if signal.retracted or math.isnan(signal.latitude) or math.isnan(signal.longitude):
            return None
        for side, selector in self.sides_of_key.get((signal.domain, signal.kind, signal.type), ()):
            if selector.plain or selector.takes(signal):
                return side
        return None

    def _check_selectors(self) -> None:
        names = [s.name for s in self.selectors]
        if not names or (self.when is None and len(names) < 2):
            raise RuleError("signals", names, "must name at least two kinds of signal, or say when")
        if len(set(names)) != len(names):
            raise RuleError("signals", names, "names must differ")
        taken: set[Key] = set()
        for selector in self.selectors:
            if twice := taken & set(selector.keys):
                key = ".".join(min(twice))
                reason = "an earlier name takes every signal of this detector: a detector may be named only once"
                raise RuleError("signals", key, reason)
            taken |= set(selector.keys) if selector.plain else set()

    def _check_bonds(self) -> None:
        pairs: set[frozenset[str]] = set()
        for bond in self.bonds:
            names, pair = [bond.first, bond.second], frozenset((bond.first, bond.second))
            for name in names:
                if name not in self.sides:
                    raise RuleError("links", names, f"{name!r} is none of {', '.join(self.sides)}")
                if name in self.context:
                    raise RuleError("links", names, f"{name!r} must be absent: it is linked with nothing")
            if pair in pairs:
                raise RuleError("links", names, "the same two names stand there twice")
            pairs.add(pair)
        for name in self._alone():
            if frozenset((name,)) not in pairs:
                reason = f"several signals of one name must be linked: add links between [{name}, {name}]"
                raise RuleError("when", name, reason)

    def _alone(self) -> Iterator[str]:
        """Names of which several signals are needed that nothing else can link."""
        members = [s.name for s in self.selectors if s.name not in self.context]
        for leaf in leaves(self.condition):
            if isinstance(leaf, Chain):
                yield from (a for a, b in pairwise(leaf.steps) if a == b)
            elif len(members) == 1 and (isinstance(leaf, Share) or (isinstance(leaf, Count) and leaf.at_least > 1)):
                yield members[0]

    def _check_title(self) -> None:
        allowed = {"city", *self.needed}
        try:
            parts = list(string.Formatter().parse(self.title))
        except ValueError as error:
            raise RuleError("title", self.title, str(error)) from None
        for _, name, spec, conversion in parts:
            if name is not None and (name not in allowed or spec or conversion):
                reason = f"{{{name}}} must be one of {', '.join(sorted(allowed))}"
                raise RuleError("title", self.title, f"{reason}: what takes part in every incident")
        if not self.title.strip():
            raise RuleError("title", self.title, "must not be empty")
