"""What is to happen at moments of event time: many things at one of them, or each once at the one given last."""

from __future__ import annotations

import heapq
from collections.abc import Hashable
from typing import Any, Generic, Protocol, TypeVar


class _Ordered(Hashable, Protocol):
    def __lt__(self, other: Any, /) -> bool: ...


K = TypeVar("K", bound=_Ordered)


class Moments(Generic[K]):
    """Things by moment. Cost by logarithm: a moment that was taken back stays in the heap until it comes."""

    def __init__(self) -> None:
        self._when: dict[K, int] = {}
        self._heap: list[tuple[int, K]] = []

    def __contains__(self, key: object) -> bool:
        return key in self._when

    def put(self, key: K, when_ms: int) -> None:
        """Gives a thing its moment, in place of the one that it had."""
        if self._when.get(key) != when_ms:
            self._when[key] = when_ms
            heapq.heappush(self._heap, (when_ms, key))

    def drop(self, key: K) -> None:
        """It will not happen."""
        self._when.pop(key, None)

    def next_ms(self) -> int | None:
        """The next moment; None: nothing is to happen."""
        while self._heap and self._when.get(self._heap[0][1]) != self._heap[0][0]:
            heapq.heappop(self._heap)
        return self._heap[0][0] if self._heap else None

    def take(self, moment_ms: int) -> list[K]:
        """What is to happen until then, in order; it is done with."""
        due: list[K] = []
        if not self._heap or self._heap[0][0] > moment_ms:
            return due
        while (next_ms := self.next_ms()) is not None and next_ms <= moment_ms:
            _, key = heapq.heappop(self._heap)
            del self._when[key]
            due.append(key)
        return sorted(due)


class Calendar(Generic[K]):
    """Things by moment, as often as they were put there. Many share a moment: windows end together."""

    def __init__(self) -> None:
        self._things: dict[int, list[K]] = {}
        self._heap: list[int] = []
        self._count = 0

    def __len__(self) -> int:
        return self._count

    def put(self, when_ms: int, thing: K) -> None:
        """Notes a thing for a moment."""
        self._count += 1
        things = self._things.get(when_ms)
        if things is None:
            self._things[when_ms] = [thing]
            heapq.heappush(self._heap, when_ms)
        else:
            things.append(thing)

    def next_ms(self) -> int | None:
        """The next moment; None: there is none."""
        return self._heap[0] if self._heap else None

    def take(self, until_ms: int) -> list[K]:
        """The things up to a moment, by moment and then by order; they are done with."""
        taken: list[K] = []
        while self._heap and self._heap[0] <= until_ms:
            things = self._things.pop(heapq.heappop(self._heap))
            things.sort()
            taken += things
        self._count -= len(taken)
        return taken
