"""What the followers of a course know after the windows up to some start: one memory each, and one that they share."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from services.core.anomaly.memory import Field, Int64Array, Memory
from services.core.following.follower import Follower
from services.core.following.weighed import WEIGHED

T = TypeVar("T")

NEVER_MS = -(2**62)
LAST_MS = "last_ms"


class Memories:
    """The memories of some followers, by slot."""

    def __init__(self, followers: Sequence[Follower]) -> None:
        self._followers = tuple(followers)
        self.common = Memory((Field(LAST_MS, NEVER_MS, dtype="<i8"), *WEIGHED))
        self.own = [Memory(follower.fields) for follower in followers]

    def __len__(self) -> int:
        return len(self.common)

    def _all(self) -> list[Memory]:
        return [self.common, *self.own]

    def last_ms(self, slots: int) -> Int64Array:
        """Start of the last window that was taken in, by slot; NEVER_MS: none."""
        return np.asarray(self.common.of(LAST_MS)[:slots], np.int64)

    def grow(self, slots: int) -> None:
        """Makes room for so many slots at least."""
        for memory in self._all():
            memory.grow(slots)

    def forget(self, slots: Int64Array) -> None:
        """These slots are free."""
        for memory in self._all():
            memory.forget(slots)

    def copy(self, other: Memories, slots: Int64Array) -> None:
        """Makes these slots what they are in the others."""
        for mine, theirs in zip(self._all(), other._all(), strict=True):
            mine.copy(theirs, slots)

    def clone(self) -> Memories:
        """The same once more."""
        found = Memories(self._followers)
        found.common, found.own = self.common.clone(), [memory.clone() for memory in self.own]
        return found

    def to_arrays(self, names: Sequence[str]) -> dict[str, NDArray[Any]]:
        """All there is, under these names of the followers."""
        named = {"common": self.common, **{f"by.{n}": m for n, m in zip(names, self.own, strict=True)}}
        return {f"{owner}.{name}": array for owner, m in named.items() for name, array in m.to_arrays().items()}

    def put(self, names: Sequence[str | None], arrays: Mapping[str, NDArray[Any]]) -> None:
        """Goes on from what to_arrays told; a follower without a name remembers nothing yet."""
        self.common.put(of_owner("common", arrays))
        self.grow(len(self.common))
        for name, memory in zip(names, self.own, strict=True):
            if name is not None:
                memory.put(of_owner(f"by.{name}", arrays))


def of_owner(owner: str, named: Mapping[str, T]) -> dict[str, T]:
    """The arrays, or texts, whose names begin with that of their owner, without it."""
    return {name.removeprefix(f"{owner}."): one for name, one in named.items() if name.startswith(f"{owner}.")}
