"""Texts that lie end to end, of which any are taken at once.

Arrow's `take` does the same. But its first use loads Arrow's library of computations: 8 MB in each process.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from services.runtime.record_columns import at_every_byte


class Texts:
    """Texts by their place, which never change."""

    def __init__(self, texts: Iterable[bytes]) -> None:
        """`texts`: in UTF-8."""
        parts = list(texts)
        lengths = np.array([0, *map(len, parts)], np.int64)
        # What is taken is read as wide as the widest, also at the end.
        self._data = b"".join((*parts, bytes(int(lengths.max()))))
        self._begin = np.cumsum(lengths).astype(np.uint32)

    def __len__(self) -> int:
        return len(self._begin) - 1

    def take(self, places: NDArray[np.integer]) -> bytes:
        """Those at these places, one after the other. Shape: (n,)."""
        return self._gather(self._begin[places], self.lengths(places))

    def take_array(self, places: NDArray[np.integer], skip: NDArray[np.uint32] | None = None) -> pa.StringArray:
        """The same as an Arrow array of strings; each without its first `skip` bytes, shape (n,)."""
        begin, lengths = self._begin[places], self.lengths(places)
        if skip is not None:
            begin, lengths = begin + skip, lengths - skip
        offsets = np.concatenate((np.zeros(1, np.int32), np.cumsum(lengths, dtype=np.int32)))
        data = self._gather(begin, lengths)
        return pa.StringArray.from_buffers(len(places), pa.py_buffer(offsets), pa.py_buffer(data))

    def lengths(self, places: NDArray[np.integer]) -> NDArray[np.uint32]:
        """How many bytes these have. Shape: (n,)."""
        return np.asarray(self._begin[places + 1] - self._begin[places])

    def _gather(self, begin: NDArray[np.uint32], lengths: NDArray[np.uint32]) -> bytes:
        widest = int(lengths.max()) if len(lengths) else 0
        if not widest:
            return b""
        taken = at_every_byte(self._data, f"V{widest}")[begin]
        if int(lengths.min()) == widest:
            return taken.tobytes()
        inside = np.arange(widest) < lengths[:, None]
        return taken.view(np.uint8).reshape(len(begin), widest)[inside].tobytes()
