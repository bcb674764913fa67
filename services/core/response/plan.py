"""A response plan as data: its levels, who is told at each, and the clocks that run until somebody has acted.

Which level an incident is at is a function of what it stands on: it goes up with a figure at once, and down when the
figure has been lower for the plan's `lower_after_s`, by the times of the windows.
"""

from __future__ import annotations

import math
import string
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from services.core.correlation.account import MAX_LISTED_SIGNALS
from services.core.correlation.checks import IDENTIFIER, RuleError
from services.core.signals import Severity, Signal

# What a clock waits for, in the order of an emergency: taken over, something sent, word from there, verified closed.
CLOCKS = ("acknowledge", "dispatch", "feedback", "close")
ANY_RULE = "*"
MAX_CLOCK_S = 366 * 86_400
MAX_HOURS = 366 * 24.0
MAX_INSTRUCTION = 500
# What an instruction may name in braces.
_NAMED = ("city", "incident")
# Two windows of an hour: one that is lower, or that is missing, changes nothing yet. A proposal.
LOWER_AFTER_S = 7_200


@dataclass(frozen=True)
class Condition:
    """A measure of the incident's evidence stays above a value for so many hours in a row, at one entity."""

    measure: str  # name with unit, as in the evidence of signals: "aqi_24h"
    above: float
    hours: float = 0.0  # 0: a window is enough

    def __post_init__(self) -> None:
        _check_identifier("measure", self.measure)
        if not 0.0 <= self.hours <= MAX_HOURS:
            raise RuleError("hours", self.hours, f"must lie between 0 and {MAX_HOURS:g}")

    def holds(self, signals: Sequence[Signal], lower_after_s: int) -> bool:
        """Whether at some entity the value is above, or has not yet been lower for so long, at the incident's end."""
        spans: dict[tuple[str, str], list[tuple[int, int]]] = {}
        end_ms = 0
        # An incident that lists so many may have more, of lower scores. Time stands still then at the newest figure
        # that is listed: where scores grow with the figure a level may be too high, and is never too low.
        whole = len(signals) < MAX_LISTED_SIGNALS
        for signal in signals:
            values = [e.value for e in signal.evidence if e.measure == self.measure]
            if values or whole:
                end_ms = max(end_ms, signal.end_ms)
            if any(value > self.above for value in values):
                entity = signal.domain, signal.entity_id
                spans.setdefault(entity, []).append((signal.start_ms, signal.end_ms))
        hours_ms, lower_ms = self.hours * 3_600_000, lower_after_s * 1000
        return any(end_ms - _held_until_ms(found, hours_ms, lower_ms) < lower_ms for found in spans.values())


@dataclass(frozen=True)
class Clock:
    """Somebody must have acted in time; else others are told, once."""

    waits_for: str
    seconds: int
    tell: tuple[str, ...]

    def __post_init__(self) -> None:
        if self.waits_for not in CLOCKS:
            raise RuleError("clocks", self.waits_for, f"must be one of {', '.join(CLOCKS)}")
        if not 1 <= self.seconds <= MAX_CLOCK_S:
            raise RuleError("seconds", self.seconds, f"must lie between 1 and {MAX_CLOCK_S}")
        _check_receivers(self.tell)


@dataclass(frozen=True)
class Level:
    """One step of a plan: when it is reached, and what follows."""

    name: str
    tell: tuple[str, ...]
    severity: Severity = Severity.MINOR  # from this severity of the incident on
    any_of: tuple[tuple[Condition, ...], ...] = ()  # and one of these groups holds whole; none: nothing more is asked
    clocks: tuple[Clock, ...] = ()
    instruction: str = ""  # one line for who is told: what to do; {city} and {incident}, its id, are filled in

    def __post_init__(self) -> None:
        _check_identifier("level", self.name)
        _check_receivers(self.tell)
        names = [clock.waits_for for clock in self.clocks]
        if len(set(names)) != len(names):
            raise RuleError("clocks", names, "a clock may be named only once")
        _check_instruction(self.instruction)

    def instruction_for(self, city: str, incident_id: str) -> str:
        """What is to be done about an incident; empty: nothing is said."""
        return self.instruction.format(city=city, incident=incident_id)

    def reached(self, severity: Severity, signals: Sequence[Signal], lower_after_s: int) -> bool:
        """Whether an incident of this severity, which stands on these signals, is at this level."""
        if severity < self.severity:
            return False
        return not self.any_of or any(all(c.holds(signals, lower_after_s) for c in group) for group in self.any_of)


@dataclass(frozen=True)
class Plan:
    """What is done about the incidents of some rules."""

    name: str
    version: int
    about: str  # for people: why, and after which source
    rules: tuple[str, ...]  # names of rules; "*": those that no other plan names
    levels: tuple[Level, ...]  # the lowest first
    lower_after_s: int = LOWER_AFTER_S  # so long a figure must have been lower, by event time, before a level goes down

    def __post_init__(self) -> None:
        _check_identifier("plan", self.name)
        if not 1 <= self.version < 2**31:
            raise RuleError("version", self.version, "must be 1 or greater")
        if not self.about.strip():
            raise RuleError("about", self.about, "must say what the plan is for")
        if not 1 <= self.lower_after_s <= MAX_CLOCK_S:
            raise RuleError("lower_after_s", self.lower_after_s, f"must lie between 1 and {MAX_CLOCK_S}")
        if not self.rules or len(set(self.rules)) != len(self.rules):
            raise RuleError("rules", list(self.rules), "must name rules, each once")
        for i, rule in enumerate(self.rules):
            if rule != ANY_RULE:
                _check_identifier(f"rules[{i}]", rule)
        names = [level.name for level in self.levels]
        if not names or len(set(names)) != len(names):
            raise RuleError("levels", names, "must be at least one, and of different names")
        for lower, higher in pairwise(self.levels):
            if higher.severity < lower.severity:
                raise RuleError("levels", higher.name, f"is above {lower.name}, and begins at a lower severity")

    @property
    def asks_for_signals(self) -> bool:
        """Whether a level looks at the evidence of the incident's signals."""
        return any(level.any_of for level in self.levels)

    def level_of(self, severity: Severity, signals: Sequence[Signal]) -> Level | None:
        """The highest level that an incident has reached; None: none, and nobody is told."""
        highest_first, after_s = reversed(self.levels), self.lower_after_s
        return next((level for level in highest_first if level.reached(severity, signals, after_s)), None)

    def rank(self, name: str) -> int:
        """Place of a level, -1 where the plan has none of this name."""
        return next((i for i, level in enumerate(self.levels) if level.name == name), -1)


def _held_until_ms(spans: list[tuple[int, int]], hours_ms: float, lower_ms: int) -> float:
    """End of the last stretch without a gap that was long enough, or came back before the time was over; may overlap.

    Minus infinity: there is none.
    """
    until_ms, start_ms, end_ms = -math.inf, 0, 0
    for begin_ms, finish_ms in sorted(spans):
        if begin_ms > end_ms:
            start_ms = begin_ms
        end_ms = max(end_ms, finish_ms)
        if end_ms - start_ms >= hours_ms or begin_ms - until_ms < lower_ms:
            until_ms = end_ms
    return until_ms


def _check_identifier(field: str, value: str) -> None:
    if not IDENTIFIER.fullmatch(value):
        raise RuleError(field, value, "must be 1 to 63 of a-z, 0-9 and '_', and start with a letter")


def _check_instruction(text: str) -> None:
    if len(text) > MAX_INSTRUCTION or not text.isprintable():
        raise RuleError("instruction", text, f"must be one line of {MAX_INSTRUCTION} characters at most")
    try:
        parts = list(string.Formatter().parse(text))
    except ValueError as error:
        raise RuleError("instruction", text, str(error)) from None
    for _, name, spec, conversion in parts:
        if name is not None and (name not in _NAMED or spec or conversion):
            raise RuleError("instruction", text, f"{{{name}}} must be one of {', '.join(_NAMED)}")


def _check_receivers(names: tuple[str, ...]) -> None:
    if not names or len(set(names)) != len(names):
        raise RuleError("tell", list(names), "must name somebody, each once")
    for i, name in enumerate(names):
        _check_identifier(f"tell[{i}]", name)
