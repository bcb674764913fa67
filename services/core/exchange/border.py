"""Where a city ends: the cells in which what happens concerns a neighbour too."""

from __future__ import annotations

import re
from collections.abc import Iterable

import h3.api.basic_int as h3

# Cells of reports: 5.16 km² and 1.4 km to a side on average (h3geo.org, table of cell statistics, resolution 7).
RESOLUTION = 7
_NAME = re.compile(r"[0-9a-f]{15}")


class Border:
    """A zone of H3 cells of resolution 7 or coarser."""

    def __init__(self, cells: Iterable[int]) -> None:
        """ValueError names what is no cell, or a finer one than reports know."""
        self._cells = frozenset(cells)
        for cell in sorted(self._cells):
            if not h3.is_valid_cell(cell):
                raise ValueError(f"{cell:x} is no H3 cell")
            if h3.get_resolution(cell) > RESOLUTION:
                raise ValueError(
                    f"{cell:x} has resolution {h3.get_resolution(cell)}: reports know {RESOLUTION} at most"
                )
        self._resolutions = sorted({h3.get_resolution(cell) for cell in self._cells})

    def holds(self, cell: int) -> bool:
        """Whether a cell of resolution 7 lies in the zone."""
        return any(h3.cell_to_parent(cell, resolution) in self._cells for resolution in self._resolutions)


def cell_named(text: str) -> int:
    """The cell of a text as H3 writes it, "87bb50000ffffff". ValueError where it is none."""
    cell = int(text, 16) if _NAME.fullmatch(text) else 0
    if not h3.is_valid_cell(cell):
        raise ValueError(f"{text!r} is no H3 cell")
    return cell


def is_cell_of_reports(cell: int) -> bool:
    """Whether it is an H3 cell of the one resolution that reports know."""
    return bool(h3.is_valid_cell(cell)) and h3.get_resolution(cell) == RESOLUTION


def touching(cell: int) -> list[int]:
    """The cell itself and those that have a side in common with it."""
    return list(h3.grid_disk(cell, 1))
