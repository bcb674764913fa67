"""Sessions in plain loops: all observations are sorted and joined anew at every border."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from services.core.kind import Window

Row = tuple[str, str, int, int, Any]  # city, entity, time, end, observation
Told = tuple[str, str, int, int, int, list[Any]]  # city, entity, start, end, revision, observations


def first_end(window: Window, time_ms: int, end_ms: int, border_ms: int) -> int:
    """End of the session of one observation alone, as far as event time is looked at."""
    alone = -(-(end_ms + window.gap_ms) // border_ms) * border_ms
    return min(alone, cut_after(window, time_ms))


def cut_after(window: Window, time_ms: int) -> int:
    return (time_ms // window.size_ms + 1) * window.size_ms


@dataclass
class SessionOracle:
    """What has left, and what leaves next."""

    window: Window
    lateness_ms: int
    left: dict[tuple[str, str, int], tuple[int, int]] = field(default_factory=dict)  # end and revision
    final_ms: int = -(2**62)  # sessions whose cut and lateness lie before it are forgotten

    def leave(self, rows: Iterable[Row], now_ms: int, watermark_ms: int) -> list[Told]:
        by_entity: dict[tuple[str, str, int], list[Row]] = defaultdict(list)
        for row in rows:
            cut = cut_after(self.window, row[2])
            if cut + self.lateness_ms > self.final_ms:
                by_entity[row[0], row[1], cut].append(row)
        told: list[Told] = []
        for (city, entity, cut), own in by_entity.items():
            sessions = self._join(own, cut)
            for start, end, inside in sessions:
                state = (end, len(inside))
                if end <= now_ms and self.left.get((city, entity, start)) != state:
                    self.left[city, entity, start] = state
                    told.append((city, entity, start, end, len(inside), inside))
            for other in [k for k in self.left if k[:2] == (city, entity) and cut_after(self.window, k[2]) == cut]:
                holder = max(s for s in sessions if s[0] <= other[2])
                if holder[0] != other[2]:
                    del self.left[other]
                    told.append((*other, other[2], len(holder[2]), []))
        self.final_ms = watermark_ms
        self.left = {
            k: v for k, v in self.left.items() if cut_after(self.window, k[2]) + self.lateness_ms > watermark_ms
        }
        return told

    def _join(self, rows: list[Row], cut: int) -> list[tuple[int, int, list[Any]]]:
        """Start, end and observations of the sessions of one entity between two cuts."""
        found: list[tuple[int, int, list[Any]]] = []
        reached = 0
        for _, _, time, end, observation in sorted(rows, key=lambda row: row[2:4]):
            if found and time < reached + self.window.gap_ms:
                start, _, inside = found.pop()
                reached = max(reached, end)
            else:
                start, inside, reached = time, [], end
            found.append((start, min(reached + self.window.gap_ms, cut), [*inside, observation]))
        return found
