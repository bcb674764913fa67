"""Which numbered frames of which source were seen, so that a frame sent again is folded once."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

# How far a frame may fall behind the newest one of its source and still be told from one that was seen.
SPAN = 64
# More sources than that are not remembered; the one that was silent for the most frames goes first.
MAX_SOURCES = 65_536

_MASK = 2**SPAN - 1


class Sources:
    """Per source the greatest sequence number, and which of the 64 below it were seen (as IPsec's anti-replay window).

    What is older than these counts as seen.
    """

    def __init__(self) -> None:
        # In the order in which the sources were heard last: a function of the log.
        self._seen: dict[str, tuple[int, int]] = {}

    def __len__(self) -> int:
        return len(self._seen)

    def repeats(self, source_id: str, sequence: int) -> bool:
        """Whether this number of this source was seen before; from now on it was. `sequence`: 1 to 2**64 - 1."""
        greatest, below = self._seen.pop(source_id, (0, 0))
        ahead = sequence - greatest
        if ahead > 0:
            below = ((below << ahead) | (1 << (ahead - 1))) & _MASK if ahead <= SPAN and greatest else 0
            self._seen[source_id] = (sequence, below)
            if len(self._seen) > MAX_SOURCES:
                del self._seen[next(iter(self._seen))]
            return False
        bit = 1 << (-ahead - 1) if ahead else 0
        repeated = ahead == 0 or -ahead > SPAN or bool(below & bit)
        self._seen[source_id] = (greatest, below if repeated else below | bit)
        return repeated

    def to_arrays(self) -> tuple[list[str], NDArray[np.uint64], NDArray[np.uint64]]:
        """Ids, greatest numbers and masks of the sources, the one heard last at the end."""
        greatest = np.array([g for g, _ in self._seen.values()], np.uint64)
        below = np.array([b for _, b in self._seen.values()], np.uint64)
        return list(self._seen), greatest, below

    @classmethod
    def of_arrays(cls, ids: Sequence[str], greatest: NDArray[np.uint64], below: NDArray[np.uint64]) -> Sources:
        """The sources that to_arrays told."""
        sources = cls()
        pairs = zip(greatest.tolist(), below.tolist(), strict=True)
        sources._seen = dict(zip(ids, pairs, strict=True))
        return sources
