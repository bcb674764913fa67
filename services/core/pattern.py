"""What only the order of single observations tells: which of them complete something, as a success after failures."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

Made = TypeVar("Made")


@dataclass(frozen=True)
class Steps:
    """Observations of some entities, by entity, then time, then columns; each once. Shapes: (n,)."""

    entity: NDArray[np.int64]  # a number of the entity's own
    time_ms: NDArray[np.int64]
    columns: Mapping[str, NDArray[np.float64]]  # NaN: missing
    _made: dict[object, Any] = field(default_factory=dict, init=False, repr=False, compare=False)

    def __len__(self) -> int:
        return len(self.entity)

    def once(self, name: object, make: Callable[[], Made]) -> Made:
        """What `make` makes of these steps alone, made once for all patterns that ask for it. Not to be changed."""
        if name not in self._made:
            self._made[name] = make()
        found: Made = self._made[name]
        return found


@dataclass(frozen=True)
class Pattern:
    """Something that only the order of single observations tells, such as a success after failures.

    `mark` says which observations complete it. It is given all that is known of some entities and must judge each
    observation by what lies at most `within_ms` of its trail before it. A window tells how many of its observations
    complete it, as the result column `name`.
    """

    name: str  # "brute_force_count"
    mark: Callable[[Steps], NDArray[np.bool_]]


@dataclass(frozen=True)
class Trail:
    """Single observations of a kind that are kept for as long as its patterns look back."""

    columns: tuple[str, ...]  # that are kept of each
    within_ms: int  # how far before an observation the patterns look
    patterns: tuple[Pattern, ...]
    subject: str = ""  # column: patterns are of observations with the same number there; "": of the whole entity
    most: int = 4_096  # of one entity in one pane; where there are more, windows tell NaN

    def __post_init__(self) -> None:
        if not self.patterns or not self.columns:
            raise ValueError("a trail needs columns and patterns")
        if self.within_ms <= 0 or self.most <= 0:
            raise ValueError(f"a trail of {self.within_ms} ms and {self.most} observations holds nothing")
        if self.subject and self.subject not in self.columns:
            raise ValueError(f"the subject {self.subject!r} is no column of the trail")
        names = [p.name for p in self.patterns]
        if len(set(names)) != len(names) or not all(name.isidentifier() and name.islower() for name in names):
            raise ValueError(f"patterns need different names, lower-case identifiers: {names}")
