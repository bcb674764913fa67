"""Columns that are told when somebody first asks for one: most windows are judged without a look at the one before."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

Columns = Mapping[str, NDArray[np.float64]]


class OnDemand(Columns):
    """Columns of these names, in this order; `tell` is called once at most, and tells them all."""

    def __init__(self, names: Sequence[str], tell: Callable[[], Columns]) -> None:
        self._names = tuple(names)
        self._tell: Callable[[], Columns] | None = tell
        self._told: Columns = {}

    def __getitem__(self, name: str) -> NDArray[np.float64]:
        if name not in self._names:
            raise KeyError(name)
        if self._tell is not None:
            self._told, self._tell = self._tell(), None
        return self._told[name]

    def __contains__(self, name: object) -> bool:
        return name in self._names

    def __iter__(self) -> Iterator[str]:
        return iter(self._names)

    def __len__(self) -> int:
        return len(self._names)
