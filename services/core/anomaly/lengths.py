"""How unusual the length of something is for its entity: of a flat line, of a gap, of the silence that goes on."""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import chain

import numpy as np

from services.core.anomaly.flat import Flat
from services.core.anomaly.memory import Field, Float64Array, Int64Array, Memory, Places, places_of
from services.core.anomaly.missing import Presence
from services.core.anomaly.score import Tail, a_week, score
from services.core.anomaly.turns import turns


@dataclass(frozen=True)
class LengthScores:
    """What is to be said of each row, from 0 to 1 as of values. Arrays: (rows,); NaN where a row was not judged."""

    flat: Float64Array  # the score of how long the value has not moved
    missing: Float64Array  # the score of the windows that were missing just before


def _tail(name: str) -> Tail:
    """In windows: long ones are few, and nights have a length of their own, beyond which is news."""
    return Tail(name, least=2.0, excess=0.5, prior=5.0, records=True)


@dataclass(frozen=True)
class Lengths:
    """Judges flat lines and gaps of many entities against the past of each, as `Unusual` does their values.

    It stands by itself, with a memory of its own: what is told of values costs nothing of this. State is a function of
    the rows of each entity alone, in the order of their starts.
    """

    window_ms: int  # from one window's start to the next one's
    still: Flat = field(default_factory=Flat)
    presence: Presence = field(init=False)
    run: Tail = field(default_factory=lambda: _tail("run"))
    gap: Tail = field(default_factory=lambda: _tail("gap"))

    def __post_init__(self) -> None:
        object.__setattr__(self, "presence", Presence(self.window_ms))

    @property
    def fields(self) -> tuple[Field, ...]:
        parts = (self.presence.fields, self.still.fields, self.run.fields, self.gap.fields)
        return (Field("seen"), *chain.from_iterable(parts))

    def judge(self, memory: Memory, slot: Int64Array, start_ms: Int64Array, value: Float64Array) -> LengthScores:
        """Judges rows and takes them in. Shapes: (rows,); those of an entity by start; NaN or infinity is no value."""
        flat, missing = np.full((2, len(slot)), np.nan)
        for some in turns(self.presence, memory, slot, start_ms, value):
            flat[some], missing[some] = self._step(memory, slot[some], start_ms[some], value[some])
        return LengthScores(flat, missing)

    def silent(self, memory: Memory, now_ms: int) -> Float64Array:
        """The score of each entity's silence by now; 0 for one that was never seen. Shape: (entities,)."""
        slot = np.arange(len(memory))
        seen = memory.of("seen")[slot]
        return self._score(self.gap, memory, slot, self.presence.silent(memory, now_ms), seen, seen)

    def _step(
        self, memory: Memory, slot: Int64Array, start_ms: Int64Array, value: Float64Array
    ) -> tuple[Float64Array, Float64Array]:
        places = places_of(slot)
        seen = memory.of("seen")[places].copy()
        gap = self.presence.gap(memory, places, start_ms)
        self.presence.take(memory, places, start_ms)
        run, ended = self.still.step(memory, places, value)
        flat = self._score(self.run, memory, places, run, seen, seen + 1)
        missing = self._score(self.gap, memory, places, gap, seen, seen + 1)
        # A run teaches when it is over, and that there was no gap is known from the second window on.
        for tail, length, known in ((self.run, ended, ended > 0), (self.gap, gap, seen > 0)):
            rows = np.flatnonzero(known)
            tail.learn(memory, slot[rows], length[rows], seen[rows])
        memory.of("seen")[places] = seen + 1
        return flat, missing

    def _score(
        self,
        tail: Tail,
        memory: Memory,
        places: Places,
        length: Float64Array,
        seen: Float64Array,
        told: Float64Array,
    ) -> Float64Array:
        """`seen` windows taught the tail; `told` were told by now."""
        surprise = tail.surprise(memory, places, length, seen)
        return score(a_week(surprise, self.presence.a_week(memory, places, told)))
