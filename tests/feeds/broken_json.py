"""A document with anything in the place of anything."""

from __future__ import annotations

from collections.abc import Iterator
from copy import deepcopy
from typing import Any

ANYTHING: tuple[Any, ...] = (None, True, -1, 1e308, "x", [], [1], [[1]], {}, {"value": {}}, {"@iot.id": None})


def broken(document: Any) -> Iterator[Any]:
    """Copies of a document of which one part is something else."""
    for path in _paths(document):
        for value in ANYTHING:
            copy = deepcopy(document)
            parent = copy
            for step in path[:-1]:
                parent = parent[step]
            parent[path[-1]] = value
            yield copy


def _paths(part: Any) -> Iterator[tuple[Any, ...]]:
    inner = part.items() if isinstance(part, dict) else enumerate(part) if isinstance(part, list) else ()
    for step, value in inner:
        yield (step,)
        yield from ((step, *rest) for rest in _paths(value))
