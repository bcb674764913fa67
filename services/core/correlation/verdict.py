"""Judges the condition of a rule over one group of signals, in a logic of three values and time."""

from __future__ import annotations

import math
from bisect import bisect_left
from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from enum import IntEnum
from typing import NamedTuple, Protocol

from services.core.correlation.condition import (
    Absent,
    AllOf,
    AnyOf,
    Chain,
    Condition,
    Count,
    Percentile,
    Present,
    Share,
    Total,
)
from services.core.correlation.selector import attribute_of, measure_of
from services.core.signals import COUNTED_LABELS, Signal


class Truth(IntEnum):
    """Of Kleene's logic, where "and" is the least and "or" the greatest; equal in number to the contract's."""

    NOT_HELD = 1
    UNKNOWN = 2  # nobody can say
    PENDING = 3  # event time has not come to it yet
    HELD = 4


class Outcome(NamedTuple):
    """What came of one condition of the rule."""

    condition: str  # in words: "count of odour within 3600 s"
    truth: Truth
    value: float  # what was counted, summed, measured; NaN: nothing
    bound: float  # what it was held against


class Absence(NamedTuple):
    """What is known of something that must not be near."""

    truth: Truth
    found: int  # signals near
    due_ms: int | None = None  # PENDING: the event time at which it can be said
    uncovered: bool = False  # whether a partition of the kind has not passed that time


class Verdict(NamedTuple):
    """Whether a group is an incident now, why, and what may change that beside a signal."""

    truth: Truth
    outcomes: tuple[Outcome, ...] = ()  # of the conditions, in the order of the rule
    due_ms: int | None = None  # event time at which to judge again
    uncovered: bool = False  # to be judged again when a partition that was silent is heard


# Of what has no outcomes to tell.
PLAINLY_HELD, PLAINLY_NOT = Verdict(Truth.HELD), Verdict(Truth.NOT_HELD)


class Member(Protocol):
    """A signal of a group."""

    signal: Signal

    @property
    def neighbours(self) -> Collection[str]:
        """Ids of the signals that it is linked with."""


Members = Mapping[str, Sequence[Member]]  # by name of the rule, each by start and id
LookAround = Callable[[Absent], Absence]


def judge(condition: Condition, members: Members, look_around: LookAround) -> Verdict:
    """Judges the whole tree: no part is left out, since an incident tells what came of each."""
    match condition:
        case AllOf(parts) | AnyOf(parts):
            verdicts = [judge(part, members, look_around) for part in parts]
            truths = [verdict.truth for verdict in verdicts]
            return Verdict(
                min(truths) if isinstance(condition, AllOf) else max(truths),
                tuple(outcome for verdict in verdicts for outcome in verdict.outcomes),
                min((v.due_ms for v in verdicts if v.due_ms is not None), default=None),
                any(verdict.uncovered for verdict in verdicts),
            )
        case Present(name):
            # A name tells itself: the signals are there.
            return PLAINLY_HELD if members.get(name) else PLAINLY_NOT
        case Count():
            return _told(condition.text, _count(condition, members), condition.at_least)
        case Share():
            return _told(condition.text, _share(condition, members), condition.at_least)
        case Total():
            return _told(condition.text, _total(condition, members), condition.at_least)
        case Percentile():
            return _percentile(condition, members)
        case Chain():
            return _chain(condition, members)
        case Absent():
            return _absent(condition, look_around(condition))


def _told(text: str, value: float, bound: float) -> Verdict:
    truth = Truth.HELD if value >= bound else Truth.NOT_HELD
    return Verdict(truth, (Outcome(text, truth, value, float(bound)),))


def _of(names: Sequence[str], members: Members) -> list[Signal]:
    """The signals of some names, by start and id."""
    found = [member.signal for name in names for member in members.get(name, ())]
    return found if len(names) == 1 else sorted(found, key=lambda signal: (signal.start_ms, signal.id))


def _count(count: Count, members: Members) -> float:
    """The greatest number in any stretch of time."""
    signals = _of(count.of, members)
    if not count.distinct:
        if count.within_s is None:
            return float(len(signals))
        starts = [signal.start_ms for signal in signals]
        within_ms = count.within_s * 1000
        return float(max((i + 1 - bisect_left(starts, s - within_ms) for i, s in enumerate(starts)), default=0))
    seen: Counter[str] = Counter()
    most, first = 0, 0
    for signal in signals:
        seen[attribute_of(signal, count.distinct)] += 1
        while count.within_s is not None and signals[first].start_ms < signal.start_ms - count.within_s * 1000:
            value = attribute_of(signals[first], count.distinct)
            seen[value] -= 1
            if not seen[value]:
                del seen[value]
            first += 1
        most = max(most, len(seen) - ("" in seen))
    return float(most)


def _share(share: Share, members: Members) -> float:
    """The greatest share of all values of the attribute; NaN: no signal says how many entities there are."""
    by_value: dict[str, list[Signal]] = {}
    for signal in _of(share.of, members):
        by_value.setdefault(attribute_of(signal, share.among), []).append(signal)
    greatest = math.nan
    for value, signals in by_value.items():
        counts = (attribute_of(signal, COUNTED_LABELS[share.among]) for signal in signals)
        there = max((int(count) for count in counts if count.isdecimal()), default=0)
        if value and there:
            told = _most_entities(signals, share.within_s)
            greatest = max(told / there, 0.0 if math.isnan(greatest) else greatest)
    return min(greatest, 1.0)


def _most_entities(signals: Sequence[Signal], within_s: int | None) -> int:
    """The greatest number of entities in any stretch of time; `signals`: by start."""
    seen: Counter[tuple[str, str]] = Counter()
    most, first = 0, 0
    for signal in signals:
        seen[signal.domain, signal.entity_id] += 1
        while within_s is not None and signals[first].start_ms < signal.start_ms - within_s * 1000:
            gone = signals[first].domain, signals[first].entity_id
            seen[gone] -= 1
            if not seen[gone]:
                del seen[gone]
            first += 1
        most = max(most, len(seen))
    return most


# Sums are made of whole multiples of 2**-60: they do not depend on the order, and nothing is rounded on the way.
_SCALE = 60


def _total(total: Total, members: Members) -> float:
    """The greatest sum in any stretch of time that ends with a start; NaN: no signal has a number."""
    values = [(s.start_ms, measure_of(s, total.measure)) for s in _of(total.of, members)]
    numbers = [(start_ms, int(math.ldexp(value, _SCALE))) for start_ms, value in values if math.isfinite(value)]
    if not numbers:
        return math.nan
    running, first, sums = 0, 0, []
    for at, (start_ms, number) in enumerate(numbers):
        running += number
        while total.within_s is not None and numbers[first][0] < start_ms - total.within_s * 1000:
            running -= numbers[first][1]
            first += 1
        # All that begin at one moment belong to it.
        if at + 1 == len(numbers) or numbers[at + 1][0] != start_ms:
            sums.append(running)
    greatest = max(sums) if total.within_s is not None else running
    return greatest / (1 << _SCALE)


def _percentile(wanted: Percentile, members: Members) -> Verdict:
    numbers = (measure_of(signal, wanted.measure) for signal in _of(wanted.of, members))
    values = sorted(value for value in numbers if not math.isnan(value))
    rank = max(1, math.ceil(wanted.percent / 100.0 * len(values)))
    value = values[rank - 1] if len(values) >= wanted.values else math.nan
    bound = wanted.at_least if wanted.at_least is not None else wanted.at_most
    assert bound is not None  # one of the two is there: the rule was checked
    held = value >= bound if wanted.at_least is not None else value <= bound
    truth = Truth.HELD if held else Truth.NOT_HELD
    return Verdict(truth, (Outcome(wanted.text, truth, value, bound),))


def _chain(chain: Chain, members: Members) -> Verdict:
    """The shortest chain: for every signal of a step, the latest start from which a chain leads to it."""
    latest = {m.signal.id: (m.signal.start_ms, m.signal.start_ms) for m in members.get(chain.steps[0], ())}
    for name in chain.steps[1:]:
        reached: dict[str, tuple[int, int]] = {}
        for member in members.get(name, ()):
            start_ms = member.signal.start_ms
            before = (latest[i] for i in member.neighbours if i in latest)
            begun = max((first for first, last in before if last < start_ms), default=None)
            if begun is not None:
                reached[member.signal.id] = begun, start_ms
        latest = reached
    span_s = min((last - first for first, last in latest.values()), default=math.nan) / 1000
    bound = math.inf if chain.within_s is None else float(chain.within_s)
    truth = Truth.HELD if span_s <= bound else Truth.NOT_HELD
    return Verdict(truth, (Outcome(chain.text, truth, span_s, bound),))


def _absent(absent: Absent, absence: Absence) -> Verdict:
    outcome = Outcome(absent.text, absence.truth, float(absence.found), 0.0)
    opens = absence.truth is Truth.UNKNOWN and absent.unknown_opens
    return Verdict(Truth.HELD if opens else absence.truth, (outcome,), absence.due_ms, absence.uncovered)
