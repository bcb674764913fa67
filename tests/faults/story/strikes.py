"""Every kill that the story allows: in which step, whom, and at which moment; and which of them one run strikes."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby
from typing import NamedTuple

from tests.faults.story.undisturbed import Expected

PROCESSOR, RESPONDER = "processor", "responder"
BEFORE_READ, BEFORE_STORED, BEFORE_TOLD, BEFORE_CHECKPOINT, AT_RANDOM = MOMENTS = (
    "before it is read",
    "before it is stored",
    "before it is told",
    "before a checkpoint",
    "at random",
)
MID_DELIVERY = "in mid-delivery"
# So far from each other lie, as parts of a whole, the places in the order of two neighbours: any few are of all parts.
GOLDEN = 0.6180339887


class Strike(NamedTuple):
    """One kill -9."""

    step: int  # number in the story
    name: str  # of the step
    role: str
    moment: str

    def __str__(self) -> str:
        return f"{self.name}: {self.role} {self.moment}"


def strikes_in(number: int, expected: Expected) -> list[Strike]:
    """Of one step: who tells nothing in it has no moments of telling."""
    of_processor = MOMENTS if expected.versions else ()
    of_responder = (*MOMENTS, MID_DELIVERY) if expected.notices else (BEFORE_READ, AT_RANDOM)
    both = [(PROCESSOR, moment) for moment in of_processor] + [(RESPONDER, moment) for moment in of_responder]
    return [Strike(number, expected.step.name, *one) for one in both]


def tellings(expected: Sequence[Expected]) -> list[list[Strike]]:
    """All strikes, each once, in as few tellings as there can be: in one of them a step is struck once at most."""
    of_steps = [strikes_in(number, one) for number, one in enumerate(expected)]
    count = max(map(len, of_steps))
    order = sorted(range(len(of_steps)), key=lambda number: number * GOLDEN % 1)
    # Neighbours are struck at different moments.
    places = [[(number, (telling + number) % count) for number in order] for telling in range(count)]
    return [[of_steps[number][place] for number, place in row if place < len(of_steps[number])] for row in places]


def slice_of(every: Sequence[Sequence[Strike]], seed: int, size: int) -> list[list[Strike]]:
    """The strikes of one seed, telling by telling: the next seed goes on behind them, and after all with the first."""
    flat = [(telling, strike) for telling, strikes in enumerate(every) for strike in strikes]
    begin = (seed - 1) * size
    taken = [flat[place % len(flat)] for place in range(begin, begin + size)]
    return [[strike for _, strike in group] for _, group in groupby(taken, key=lambda one: one[0])]
