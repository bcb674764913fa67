"""What one run of a row of the fault matrix is given, and what it has to tell."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from tests.faults.world import World


@dataclass
class Outcome:
    """What a run came to. Observations are counted, not records."""

    faults: Counter[str] = field(default_factory=Counter)  # by what was done: {"processor killed": 3}
    observations: int = 0  # sent or, where callers take part, acknowledged
    lost: int = 0  # missing in the results
    doubled: int = 0  # counted more than once in the results
    ledger_difference: int = 0  # observations read and not accounted for
    longest_pause_s: float = 0.0  # without progress of the results under load; 0: not measured
    struck: frozenset[str] = frozenset()  # of a row that has a list of all its faults: those that were injected
    every: frozenset[str] = frozenset()  # that list

    def __add__(self, other: Outcome) -> Outcome:
        return Outcome(
            self.faults + other.faults,
            self.observations + other.observations,
            self.lost + other.lost,
            self.doubled + other.doubled,
            self.ledger_difference + other.ledger_difference,
            max(self.longest_pause_s, other.longest_pause_s),
            self.struck | other.struck,
            self.every | other.every,
        )

    def check(self) -> None:
        """AssertionError where something was lost or doubled, or where nothing was put to the test."""
        assert (self.lost, self.doubled, self.ledger_difference) == (0, 0, 0), self
        assert self.observations > 0, self
        assert self.faults.total() > 0, self


@dataclass
class Trial:
    """One run: everything random in it comes from `chance`, so that the seed tells it all."""

    seed: int
    faults: int  # how many to inject, about
    servers: World | None = None  # of a row in real processes

    def __post_init__(self) -> None:
        self.chance = random.Random(self.seed)

    @property
    def world(self) -> World:
        assert self.servers is not None, "this row needs servers"
        return self.servers


Run = Callable[[Trial], Awaitable[Outcome]]


@dataclass(frozen=True)
class Row:
    """How a fault of the matrix is put to the test in one ring."""

    fault: str  # its name in the matrix
    ring: str
    run: Run  # raises AssertionError where the invariant does not hold
    once: int  # faults injected by `make test`: some 10 to 20 s
    whole: int  # faults injected by `make faults`, over all its seeds
