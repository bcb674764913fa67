"""What every reader of a recording gives: observations in columns, and what was wrong with the others."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from services.core.frame import Int64Array, NumberArray, UInt32Array
from services.core.kind import Kind


@dataclass(frozen=True)
class Refusal:
    """An observation of a recording that is not taken: where it stands, and which value of which field is wrong."""

    file: str
    line: int  # from 1; 0: the file as a whole
    field: str
    value: str
    reason: str

    def __str__(self) -> str:
        what = f"{self.field} = {self.value}" if self.value else self.field
        return f"{self.file}:{self.line}: {what}: {self.reason}" if self.line else f"{self.file}: {what}: {self.reason}"


Refuse = Callable[[Refusal], None]
"""Is told of every observation that a reader cannot take, in the order of the file."""


@dataclass(frozen=True)
class Names:
    """The entity ids of one stream, each with a number in the order of appearance."""

    ids: list[str] = field(default_factory=list)
    _numbers: dict[str, int] = field(default_factory=dict)

    def number(self, entity_id: str) -> int:
        found = self._numbers.setdefault(entity_id, len(self.ids))
        if found == len(self.ids):
            self.ids.append(entity_id)
        return found

    def numbers(self, entity_ids: Sequence[str]) -> UInt32Array:
        return np.array([self.number(entity_id) for entity_id in entity_ids], np.uint32)


@dataclass(frozen=True)
class Block:
    """Some observations of one kind. All arrays have one element per observation."""

    entity: UInt32Array  # number among the Names of its stream
    time_ms: Int64Array  # start of the time measured over, UTC
    period_s: NDArray[np.int32]  # length of the time measured over
    line: Int64Array  # of the file, from 1
    columns: Mapping[str, NumberArray]  # every column of the kind

    def __len__(self) -> int:
        return len(self.time_ms)

    def take(self, rows: Int64Array | NDArray[np.bool_] | slice) -> Block:
        """Those at these places, in that order."""
        columns = {name: values[rows] for name, values in self.columns.items()}
        return Block(self.entity[rows], self.time_ms[rows], self.period_s[rows], self.line[rows], columns)


def join(blocks: Sequence[Block]) -> Block:
    """One behind the other; at least one."""
    if len(blocks) == 1:
        return blocks[0]
    first = blocks[0]
    return Block(
        np.concatenate([b.entity for b in blocks]),
        np.concatenate([b.time_ms for b in blocks]),
        np.concatenate([b.period_s for b in blocks]),
        np.concatenate([b.line for b in blocks]),
        {name: np.concatenate([b.columns[name] for b in blocks]) for name in first.columns},
    )


def absent(kind: Kind, observations: int) -> dict[str, NumberArray]:
    """Columns in which nothing is told: NaN, and code 0."""
    return {c.name: np.full(observations, 0 if c.codes else np.nan, np.dtype(c.type.value)) for c in kind.columns}
