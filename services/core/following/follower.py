"""What a detector with a memory declares, and what it is shown: one window of some entities, and what it remembers."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from services.core.anomaly.memory import Field, Float64Array, Int64Array, Memory
from services.core.kind import OBSERVATIONS
from services.core.signals import Finding

__all__ = ["NUMBER", "OBSERVATIONS", "Follower", "Moment", "Windows", "nobody"]

NUMBER = "entity."  # how numbers of an entity are named among those of its window


class Windows(Protocol):
    """The windows that were told, as they are now."""

    def at(self, start_ms: int, name: str, slot: Int64Array) -> Float64Array:
        """A measure of these entities' windows of one start, or NUMBER and the name of an attribute; NaN where there is
        none, or no entity (-1)."""
        ...


@dataclass(frozen=True)
class Moment:
    """Windows of one start of some entities, in the order of their slots. All arrays: (rows,).

    `memory` is to be read and written at `slot`. It then holds what the earlier windows of each entity left in it, and
    those alone: a step must not depend on what other rows there are, nor write to slots of others.
    """

    memory: Memory
    slot: Int64Array
    start_ms: int
    measures: Mapping[str, Float64Array]  # those that the follower declared
    attributes: Mapping[str, Float64Array]  # of the entities, as they were when the window was told
    hour_of_week: Int64Array  # in the city's local time: 0 is Monday 00:00 to 00:59
    neighbour: Int64Array  # slot of the entity that the follower's label names; -1: none, or none of this partition
    windows: Windows
    every_ms: int  # from one window's start to the next one's

    def of_neighbour(self, measure: str, back: int = 0) -> Float64Array:
        """A measure of the neighbour's window, `back` windows ago. NaN: not known."""
        return self.windows.at(self.start_ms - back * self.every_ms, measure, self.neighbour)

    def number_of_neighbour(self, name: str) -> Float64Array:
        """An attribute of the neighbour, as it was when its window of this start was told. NaN: there is none."""
        return self.windows.at(self.start_ms, NUMBER + name, self.neighbour)


@dataclass(frozen=True)
class Follower:
    """A detector that remembers something of each entity, as plain functions and numbers.

    `step` judges the windows of one moment and takes them in; for each entity it is called with one window after the
    other in the order of their starts. Where a late observation revises a window, the ones from there on are judged
    again: it may see a window several times, each time with the memory of the windows before it as they are now.
    """

    fields: tuple[Field, ...]  # what is remembered of an entity
    measures: tuple[str, ...]  # result columns, or OBSERVATIONS, that it looks at
    step: Callable[[Moment], Finding]
    keep_ms: int  # after so long without a window, from start to start, an entity is as never seen
    every_ms: int = 0  # from one window's start to the next one's, where `step` counts on it
    only: str = ""  # number of an entity: who lacks it is not followed
    label: str = ""  # label of an entity that names its neighbour: the id of another one
    back: int = 0  # how many windows back it looks at the neighbour's
    unusual: bool = False  # tells what is unusual, which a city may not want

    def __post_init__(self) -> None:
        if min(self.every_ms, self.keep_ms, self.back) < 0:
            raise ValueError(f"times and windows back must not be negative: {self}")
        if self.back and not self.label:
            raise ValueError(f"without the label of a neighbour nobody's windows {self.back} ago are looked at")
        names = [field.name for field in self.fields]
        if len(set(names)) != len(names):
            raise ValueError(f"fields are remembered under one name: {names}")

    def layout(self, version: str) -> str:
        """What must be the same for one worker to go on from what another one remembered."""
        fields = ", ".join(f"{f.name} {f.dtype}x{f.width} from {f.neutral}" for f in self.fields)
        return f"version {version}, of {', '.join(self.measures)}: {fields}"


def nobody(rows: int) -> Int64Array:
    """Neighbours where there are none."""
    return np.full(rows, -1, np.int64)
