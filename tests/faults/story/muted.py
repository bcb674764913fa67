"""Incidents of which nobody is told: limited, flapping, inhibited; and one of which nobody knows all."""

from __future__ import annotations

from dataclasses import replace

from services.core.signals import Signal
from tests.core.correlation.city import HOUR, MINUTE, NOON, congestion, crowding
from tests.faults.story.steps import Step, signals
from tests.integration.correlation.city import reports, written

# Behind the first part of the story, and with all that counts for a limit in one day.
AT = NOON + 48 * HOUR
MARKET_M, STAGE_M, CROSSING_M, YARD_M = 60_000.0, 80_000.0, 100_000.0, 120_000.0


def muted() -> list[Step]:
    """Every reason for which nobody is told, come and gone, and an absence that is unknown at first."""
    return [*_limited(), *_flapping(), *_inhibited(), *_unknown()]


def _limited() -> list[Step]:
    earlier = _pair("market-early", AT - 30 * MINUTE, MARKET_M + 5_000)
    return [
        signals(
            "one is opened, and one beyond the limit",
            *written(*_pair("market", AT, MARKET_M), *_pair("market-late", AT + 10 * MINUTE, MARKET_M + 10_000)),
            *reports(AT + 70 * MINUTE),
        ),
        signals("limited, as an earlier one is found", *written(*earlier)),
        signals("not limited any more", *written(_gone(earlier[1]))),
    ]


def _flapping() -> list[Step]:
    first, again = _pair("stage", AT, STAGE_M), _pair("stage", AT + 4 * HOUR, STAGE_M)
    return [
        signals("one is opened that will come back", *written(*first)),
        signals("opened again, and flapping", *written(*again), *reports(AT + 5 * HOUR)),
        signals("steady, as the first is retracted", *written(_gone(first[1]))),
    ]


def _inhibited() -> list[Step]:
    at = AT + 4 * HOUR
    parade = _pair("parade", at, CROSSING_M + 50)
    return [
        signals("a crossing is opened", *written(*_pair("crossing", at, CROSSING_M))),
        signals("inhibited by a parade", *written(*parade)),
        signals("not inhibited any more", *written(_gone(parade[1]))),
    ]


def _unknown() -> list[Step]:
    at = AT + 4 * HOUR
    blind = congestion("yard-blind", at, north_m=YARD_M, type="detector_silent")
    return [
        signals("opened, and nobody knows of the road", *written(blind, crowding("yard", at, north_m=YARD_M))),
        signals("known: the road is not slow", *written(_gone(blind))),
        signals("all of them are resolved by their signals", *reports(at + 4 * HOUR)),
    ]


def _pair(name: str, start_ms: int, north_m: float) -> tuple[Signal, Signal]:
    return crowding(name, start_ms, north_m=north_m), congestion(f"{name}-road", start_ms, north_m=north_m + 100)


def _gone(signal: Signal) -> Signal:
    """It was wrong: it never was."""
    return replace(signal, revision=2, retracted=True)
