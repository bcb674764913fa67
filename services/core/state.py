"""What a partition tells of itself: its counters, what leaves it at a border, and its whole state in plain arrays."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from numpy.typing import NDArray

from services.core.frame import Late, Refused
from services.core.windows import WindowBatch

# Ring, start and number of change of a pane: where all three are the same, it is as it was.
Change = tuple[int, int, int]

CELLS = "cells."  # how the names of the arrays of cells begin
TRAIL = "trail/"  # and those of single observations (no column has such a name)
TRAIL_LENGTHS = f"{TRAIL}lengths"
MEMORY = "memory."  # and those of arrays and texts of what followers remember
MEMORY_RING = -1  # in place of a ring: it changes as a whole

NO_WATERMARK = -(2**63)


@dataclass
class Counters:
    """Observations of a partition since its first offset: read = folded + duplicate + late + dead_lettered."""

    read: int = 0
    folded: int = 0
    duplicate: int = 0
    late: int = 0
    dead_lettered: int = 0

    @property
    def difference(self) -> int:
        """Observations unaccounted for; anything but 0 is a fault."""
        return self.read - self.folded - self.duplicate - self.late - self.dead_lettered


@dataclass(frozen=True)
class Closing:
    """What leaves a partition when its watermark passes a border, or at the end of what was folded.

    Batches leave at borders only; refused and late observations with the first closing after their frame. What open
    windows hold so far stands apart, and is no result.
    """

    watermark_ms: int  # NO_WATERMARK: there is none yet
    batches: tuple[WindowBatch, ...]
    refused: tuple[Refused, ...]
    late: tuple[Late, ...]
    early: tuple[WindowBatch, ...] = ()


@dataclass(frozen=True)
class PartitionState:
    """All that a partition needs to go on elsewhere. Canonical: equal logs give equal bytes."""

    partition: int
    next_offset: int
    watermark_ms: int  # NO_WATERMARK: there is none yet
    counters: Counters
    arrays: dict[str, NDArray[Any]]  # little-endian
    texts: dict[str, Sequence[str]]
    # Of the partition that told it, no part of the state: its panes, and those (or the memory) of which the arrays have
    # nothing, because whoever asked knows them from an earlier state.
    panes: tuple[Change, ...] = ()
    left_out: frozenset[Change] = frozenset()
    memory: Change | None = None  # of what followers remember; None: there is none


def lengths_of(name: str, arrays: Mapping[str, NDArray[Any]]) -> list[int] | None:
    """How an array of a state is made up of those of the panes, one after the other; None where it is of no pane."""
    if name.startswith(MEMORY):
        return None
    group, _, what = name.rpartition(".")
    if name.startswith(CELLS):
        told = arrays["panes.cells"]
    elif name.startswith(TRAIL) and name != TRAIL_LENGTHS:
        told = arrays[TRAIL_LENGTHS]
    elif what in ("codes", "counts"):
        told = arrays[f"{group}.lengths"]
    else:
        return None
    return [int(length) for length in told.tolist()]
