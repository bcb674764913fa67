"""Ids as they stand in records, and a small number for each: a text is made of them once, not with every record."""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import repeat

import numpy as np
from numpy.typing import NDArray

# As many as a partition has entities by default, and some; then it begins anew.
_MOST_IDS = 262_144
UNREADABLE = -1


class IdCodes:
    """Ids by the order of their first appearance. Whoever holds `ids` has a dictionary that grows and never changes."""

    def __init__(self, odd: re.Pattern[bytes] | None = None) -> None:
        """`odd`: what no id's bytes may hold to be read as they stand."""
        self._odd = odd
        self.ids: list[str] = []
        self._codes: dict[bytes | str | None, int] = {}

    def make_room(self) -> None:
        """Forget all where they are too many. Not between `read` and the use of what it gave."""
        if len(self.ids) > _MOST_IDS:
            self.ids, self._codes = [], {}

    def read(self, raw: NDArray[np.uint8]) -> NDArray[np.int64]:
        """The place among `ids` of each row's bytes; UNREADABLE where they are no UTF-8, or odd. Shape: (n,)."""
        count, width = raw.shape
        texts = np.ascontiguousarray(raw).view(f"V{width}")[:, 0].tolist() if width else [b""] * count
        codes = np.fromiter(map(self._codes.get, texts, repeat(UNREADABLE)), np.int64, count)
        for place in np.flatnonzero(codes == UNREADABLE).tolist():
            codes[place] = self._code_of(texts[place])
        return codes

    def add(self, texts: Sequence[str]) -> NDArray[np.int64]:
        """A new place for each of a dictionary that is known as a whole, though one may have a place. Shape: (n,)."""
        self.ids.extend(texts)
        return np.arange(len(self.ids) - len(texts), len(self.ids))

    def read_texts(self, texts: Sequence[bytes | str | None]) -> NDArray[np.int64]:
        """The place of each among `ids`; UNREADABLE for None and what is no UTF-8. Shape: (n,)."""
        codes = np.fromiter(map(self._codes.get, texts, repeat(UNREADABLE)), np.int64, len(texts))
        for place in np.flatnonzero(codes == UNREADABLE).tolist():
            codes[place] = self._code_of(texts[place])
        return codes

    def _code_of(self, told: bytes | str | None) -> int:
        code = self._codes.get(told)
        if code is None:
            if isinstance(told, bytes) and self._odd is not None and self._odd.search(told):
                return UNREADABLE
            try:
                text = told.decode() if isinstance(told, bytes) else told
            except UnicodeDecodeError:
                return UNREADABLE
            if text is None:
                return UNREADABLE
            code = self._codes[told] = len(self.ids)
            self.ids.append(text)
        return code
