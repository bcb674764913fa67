"""Holds what was told against what is known to have happened: signals against expected ones, incidents against both."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from services.core.signals import Signal
from services.feeds.scenario.happening import Expected, Happening


def kind_of(signal: Signal) -> str:
    """As an expected signal names it: "traffic.road_flow.congestion"."""
    return f"{signal.domain}.{signal.kind}.{signal.type}"


def is_raised(expected: Expected, signals: Iterable[Signal]) -> bool:
    """Whether one of these is the expected one."""
    return any(matches(expected, signal) for signal in signals)


def matches(expected: Expected, signal: Signal) -> bool:
    """Whether a signal is about the entity and the time of an expected one.

    A window that follows at once is about it, too: what has ended is seen then (a silence), or only counts when an
    hour of it is full.
    """
    return (
        signal.entity_id == expected.entity_id
        and kind_of(signal) == expected.signal
        and signal.start_ms < expected.to_ms + (signal.end_ms - signal.start_ms)
        and signal.end_ms > expected.from_ms
    )


def explains(happening: Happening, signal: Signal) -> bool:
    """Whether a signal is about one of the entities of a happening while it lasted, something was still to be expected
    of it, or in the window after."""
    length_ms = signal.end_ms - signal.start_ms
    return (
        signal.entity_id in happening.entities
        and signal.start_ms < happening.told_to_ms + length_ms
        and signal.end_ms > happening.from_ms
    )


def unexplained(happenings: Sequence[Happening], signals: Iterable[Signal]) -> list[Signal]:
    """Signals that no happening is behind."""
    by_entity: dict[str, list[Happening]] = {}
    for happening in happenings:
        for entity in happening.entities:
            by_entity.setdefault(entity, []).append(happening)
    return [s for s in signals if not any(explains(h, s) for h in by_entity.get(s.entity_id, ()))]
