"""Files of a test, read as `urban replay` reads them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from services.cli.domains import find_kind
from services.feeds.recordings.block import Refusal
from services.feeds.recordings.numbering import NumberedFrame, Span
from services.feeds.recordings.reading import Plan, Reading, Tally

CITY = "testville"

# A mapping of a matrix: each column is an entity.
WIDE = """
about = "a matrix"
[time]
start = "2024-06-03T03:00:00"
step_s = 300
zone = "America/Los_Angeles"
[kinds."traffic.road_flow"]
entity = "loop-{column}"
wide = "speed_kmh"
period_s = 300
[kinds."traffic.road_flow".columns]
speed_kmh = { factor = 1.609344, missing = ["0"] }
"""


@dataclass
class Read:
    """What a recording holds."""

    frames: list[NumberedFrame]
    refused: list[Refusal]
    notes: list[str]
    tally: Tally

    @property
    def rows(self) -> list[tuple[str, int, int, dict[str, float]]]:
        """Entity, time, period and the numbers that are told, of each observation, by time, entity and numbers."""
        found = []
        for numbered in self.frames:
            frame = numbered.frame
            for i in range(len(frame)):
                told = {n: float(v[i]) for n, v in frame.columns.items() if not np.isnan(v[i])}
                found.append((frame.entity_ids[frame.entity[i]], int(frame.time_ms[i]), frame.period_s, told))
        return sorted(found, key=lambda row: (row[1], row[0], sorted(row[3].items())))

    @property
    def numbers(self) -> set[tuple[str, int]]:
        """Source and number of each frame."""
        return {(numbered.frame.source_id, numbered.frame.sequence) for numbered in self.frames}

    def lines(self) -> list[tuple[int, str, str]]:
        """Line, field and value of what was refused."""
        return [(r.line, r.field, r.value) for r in self.refused]


def read(kinds: str, *files: Path, form: str = "", span: Span | None = None, **rest: Any) -> Read:
    """All of it. ValueError: what is wrong with the files or how they are to be read."""
    found = [find_kind(name) for name in kinds.split(",")]
    refused: list[Refusal] = []
    notes: list[str] = []
    tally = Tally(refused.append)
    plan = Plan(found[0][0], [kind for _, kind in found], files, CITY, form, span or Span(), **rest)
    reading = Reading(plan, tally, notes.append)
    return Read(list(reading.frames()), refused, notes, tally)


def write(path: Path, lines: Sequence[str]) -> Path:
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path
