"""States as bytes: named arrays and lists of texts, and which of them lie in parts that are written by themselves.

What a large pane holds is a part, and so are the names of many entities and what detectors remember of them: most of a
state has not changed since the checkpoint before, and what has not changed is neither packed nor written again.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple, TypeVar

import lz4.frame
import numpy as np
from numpy.typing import NDArray

from services.core.state import MEMORY, PartitionState, lengths_of
from urban.common.v1.checkpoint_pb2 import StateBody

# A pane of fewer cells is no part, nor are the names of fewer entities: a record has its price.
SMALLEST_PART = 4_096
SMALLEST_MEMORY_BYTES = 65_536  # what is remembered in less is no part
NAMES = -1  # in place of the place of a pane
REMEMBERED = -2
_TEXTS_OF_NAMES = ("cities", "entity_ids")

T = TypeVar("T")
Arrays = Mapping[str, NDArray[Any]]
Texts = Mapping[str, Sequence[str]]


class Stretch(NamedTuple):
    """Some of a state."""

    arrays: Arrays
    texts: Texts


def pack(arrays: Arrays, texts: Texts) -> bytes:
    """A StateBody as one lz4 frame. Equal states give equal bytes. ValueError: not little-endian numbers."""
    body = StateBody()
    for name in sorted(arrays):
        array = np.ascontiguousarray(arrays[name])
        if array.dtype.byteorder == ">" or array.dtype.hasobject:
            raise ValueError(f"array {name}: {array.dtype} is not little-endian numbers")
        body.arrays.add(name=name, dtype=array.dtype.str, shape=array.shape, data=array.tobytes())
    for name in sorted(texts):
        body.texts.add(name=name, values=texts[name])
    return bytes(lz4.frame.compress(body.SerializeToString(), store_size=False))


def unpack(body: bytes) -> tuple[dict[str, NDArray[Any]], dict[str, Sequence[str]]]:
    """The arrays (writable) and texts of a body."""
    state = StateBody.FromString(lz4.frame.decompress(body))
    arrays = {a.name: np.frombuffer(a.data, np.dtype(a.dtype)).reshape(tuple(a.shape)).copy() for a in state.arrays}
    return arrays, {t.name: list(t.values) for t in state.texts}


class Cut:
    """A state, cut into parts and what is left."""

    def __init__(self, state: PartitionState) -> None:
        cells = state.arrays["panes.cells"].tolist() if state.panes else []
        # By their place: the panes that are parts, left out of the state or not.
        self.panes = {i: state.panes[i] for i, n in enumerate(cells) if n >= SMALLEST_PART}
        self.has_names = len(state.texts.get(_TEXTS_OF_NAMES[1], ())) >= SMALLEST_PART
        self._left_out = {i for i, pane in enumerate(state.panes) if pane in state.left_out}
        self._stretches: dict[int, dict[str, NDArray[Any]]] = {i: {} for i in self.panes}
        self._remembered = Stretch(_begins(MEMORY, state.arrays), _begins(MEMORY, state.texts))
        size = sum(array.nbytes for array in self._remembered.arrays.values())
        apart = state.memory is not None and (state.memory in state.left_out or size >= SMALLEST_MEMORY_BYTES)
        if state.memory is not None and apart:
            self.panes[REMEMBERED] = state.memory
        rest = {n: self._cut(n, state.arrays) for n in state.arrays if not (apart and n.startswith(MEMORY))}
        texts = {n: t for n, t in state.texts.items() if not (self.has_names and n in _TEXTS_OF_NAMES)}
        self.rest = Stretch(rest, {n: t for n, t in texts.items() if not (apart and n.startswith(MEMORY))})
        self._texts = state.texts

    def _cut(self, name: str, arrays: Arrays) -> NDArray[Any]:
        """What is left of an array."""
        array, lengths = arrays[name], lengths_of(name, arrays) if self.panes else None
        if lengths is None:
            return array
        rest, end = [array[:0]], 0
        for place, length in enumerate(lengths):
            if place in self._left_out:
                continue
            stretch = array[end : end + length]
            end += length
            if place in self.panes:
                self._stretches[place][name] = stretch
            else:
                rest.append(stretch)
        return np.concatenate(rest)

    def part(self, place: int) -> Stretch:
        """What a part holds."""
        if place == NAMES:
            return Stretch({}, {name: self._texts[name] for name in _TEXTS_OF_NAMES})
        return self._remembered if place == REMEMBERED else Stretch(self._stretches[place], {})


def _begins(begin: str, named: Mapping[str, T]) -> dict[str, T]:
    return {name: value for name, value in named.items() if name.startswith(begin)}


def join(rest: bytes, parts: Mapping[int, bytes]) -> tuple[dict[str, NDArray[Any]], dict[str, Sequence[str]]]:
    """Arrays and texts of a state from what Cut made of it, packed; the parts by their place."""
    arrays, texts = unpack(rest)
    stretches = {place: unpack(body) for place, body in parts.items()}
    if NAMES in stretches:
        texts |= stretches.pop(NAMES)[1]
    if REMEMBERED in stretches:
        remembered, words = stretches.pop(REMEMBERED)
        arrays, texts = arrays | remembered, texts | words
    if stretches:
        for name in list(arrays):
            lengths = lengths_of(name, arrays)
            if lengths is not None:
                arrays[name] = np.concatenate([*_stretches_of(name, arrays[name], lengths, stretches)])
    return arrays, texts


def _stretches_of(
    name: str, rest: NDArray[Any], lengths: Sequence[int], parts: Mapping[int, tuple[Arrays, Texts]]
) -> Iterator[NDArray[Any]]:
    end = 0
    for place, length in enumerate(lengths):
        if place in parts:
            yield parts[place][0][name]
        else:
            yield rest[end : end + length]
            end += length
