"""The body of a checkpoint: named arrays and lists of texts as one lz4 frame, of which only what changed is packed.

A frame is a row of blocks, each compressed by itself. What the panes of a partition hold has blocks of its own for each
pane, and those of a pane that was not touched since are taken as they are: most of a state has not changed since the
checkpoint before. Where blocks begin depends on the state alone, so that equal states give equal bytes.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import lz4.block
import lz4.frame
import numpy as np
from numpy.typing import NDArray

from services.core.panes import SMALLEST_LEFT_OUT
from services.core.state import CELLS, Change, PartitionState
from services.runtime.wire import field_head
from urban.common.v1.checkpoint_pb2 import StateArray, StateBody, StateTexts

BLOCK_BYTES = 4 << 20  # the most that a block of this frame may hold
# Arrays of panes with fewer elements are not worth blocks of their own.
SMALLEST_CUT = SMALLEST_LEFT_OUT
_OF_EVERY_CELL = f"{CELLS}slot"
_END = bytes(4)
_AS_IT_IS = 1 << 31  # in the length of a block: it is not compressed

_Piece = tuple[Any, tuple[str, Change] | None]  # something with bytes (None: known), and their name


def _begin() -> bytes:
    compressor = lz4.frame.LZ4FrameCompressor(block_size=lz4.frame.BLOCKSIZE_MAX4MB, block_linked=False)
    return bytes(compressor.begin())


_BEGIN = _begin()


def pack(arrays: Mapping[str, NDArray[Any]], texts: Mapping[str, Sequence[str]]) -> bytes:
    """Body of a checkpoint. Equal states give equal bytes. ValueError: an array is not of little-endian numbers."""
    pieces = [*_pieces_of_arrays(arrays, None), *_pieces_of_texts(texts)]
    return _frame(pieces, {})[0]


class Packer:
    """Packs the states of one partition, one after the other."""

    def __init__(self) -> None:
        self._known: dict[tuple[str, Change], bytes] = {}

    @property
    def known(self) -> frozenset[Change]:
        """The panes whose cells a state may leave out."""
        return frozenset(pane for name, pane in self._known if name == _OF_EVERY_CELL)

    def pack(self, state: PartitionState) -> bytes:
        """The same bytes as any other packer's."""
        pieces = [*_pieces_of_arrays(state.arrays, state), *_pieces_of_texts(state.texts)]
        body, self._known = _frame(pieces, self._known)
        return body


def unpack(body: bytes) -> tuple[dict[str, NDArray[Any]], dict[str, list[str]]]:
    """The arrays (writable) and texts of a body."""
    state = StateBody.FromString(lz4.frame.decompress(body))
    arrays = {a.name: np.frombuffer(a.data, np.dtype(a.dtype)).reshape(tuple(a.shape)).copy() for a in state.arrays}
    return arrays, {t.name: list(t.values) for t in state.texts}


def _pieces_of_arrays(arrays: Mapping[str, NDArray[Any]], state: PartitionState | None) -> Iterator[_Piece]:
    for name in sorted(arrays):
        array = np.ascontiguousarray(arrays[name])
        if array.dtype.byteorder == ">" or array.dtype.hasobject:
            raise ValueError(f"array {name}: {array.dtype} is not little-endian numbers")
        lengths = state.lengths(name) if state is not None else None
        whole = array.shape if lengths is None else (sum(lengths),)
        size = math.prod(whole) * array.itemsize
        head = StateArray(name=name, dtype=array.dtype.str, shape=whole).SerializeToString()
        head += field_head(StateArray.DATA_FIELD_NUMBER, size) if size else b""
        yield field_head(StateBody.ARRAYS_FIELD_NUMBER, len(head) + size) + head, None
        if state is None or lengths is None or sum(lengths) < SMALLEST_CUT or len(lengths) != len(state.panes):
            yield array.reshape(-1).view(np.uint8), None
            continue
        yield from _cut(name, array, lengths, state)


def _cut(name: str, array: NDArray[Any], lengths: Sequence[int], state: PartitionState) -> Iterator[_Piece]:
    """The array by panes; nothing but the name of those that were left out."""
    left_out = state.left_out if name.startswith(CELLS) else frozenset()
    end = 0
    for length, pane in zip(lengths, state.panes, strict=True):
        if pane in left_out:
            yield None, (name, pane)
            continue
        yield array[end : end + length].view(np.uint8), (name, pane)
        end += length


def _pieces_of_texts(texts: Mapping[str, Sequence[str]]) -> Iterator[_Piece]:
    for name in sorted(texts):
        told = StateTexts(name=name, values=texts[name]).SerializeToString()
        yield field_head(StateBody.TEXTS_FIELD_NUMBER, len(told)) + told, None


def _frame(
    pieces: Sequence[_Piece], known: Mapping[tuple[str, Change], bytes]
) -> tuple[bytes, dict[tuple[str, Change], bytes]]:
    """Pieces one after the other as one lz4 frame, and the blocks of those that may come again."""
    parts, loose, kept = [_BEGIN], [], {}
    for piece, key in pieces:
        if key is None:
            loose.append(piece)
            continue
        parts.append(_blocks(b"".join(loose)))
        loose = []
        parts.append(known[key] if piece is None or key in known else _blocks(piece))
        kept[key] = parts[-1]
    return b"".join([*parts, _blocks(b"".join(loose)), _END]), kept


def _blocks(data: Any) -> bytes:
    parts = []
    for begin in range(0, len(data), BLOCK_BYTES):
        raw = data[begin : begin + BLOCK_BYTES]
        packed = lz4.block.compress(raw, store_size=False)
        smaller = len(packed) < len(raw)
        parts.append(struct.pack("<I", len(packed) if smaller else len(raw) | _AS_IT_IS))
        parts.append(packed if smaller else bytes(raw))
    return b"".join(parts)
