"""Figures that grow while there is work, told again and again as lines of JSON, and how long each stood still.

A name is a role and which of its parts: `api/0` is a stream, `processor/3` a partition.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterable, Mapping
from itertools import pairwise
from pathlib import Path

Sample = tuple[float, Mapping[str, float]]  # when (s since 1970), and the figures of then by their names


def tell(figures: Mapping[str, float]) -> None:
    """Print a sample of now; threads may do so beside each other."""
    # In one piece: print writes the line and its end apart, and another thread's line may come between.
    sys.stdout.write(json.dumps({"at": round(time.time(), 3), "figures": figures}) + "\n")
    sys.stdout.flush()


class Samples:
    """What programs tell into files, read on at each look."""

    def __init__(self, *logs: Path) -> None:
        self._read = dict.fromkeys(logs, 0)
        self._samples: list[Sample] = []

    def look(self) -> list[Sample]:
        """All samples so far in the order of time; lines that are none are passed over."""
        for log, place in self._read.items():
            with log.open("rb") as file:
                file.seek(place)
                whole = file.read().rpartition(b"\n")[0]
            self._read[log] = place + len(whole) + 1 if whole else place
            told = (json.loads(line) for line in whole.splitlines() if line.startswith(b'{"at"'))
            self._samples += ((one["at"], one["figures"]) for one in told)
        self._samples.sort(key=lambda sample: sample[0])
        return self._samples


def latest(samples: Iterable[Sample]) -> dict[str, float]:
    """The highest value of each figure."""
    found: dict[str, float] = {}
    for _, figures in samples:
        for name, value in figures.items():
            found[name] = max(value, found.get(name, value))
    return found


def longest_pauses(samples: Iterable[Sample], begin: float, end: float) -> dict[str, float]:
    """The longest time (s) without growth between two moments, by role: that of its part which waited longest.

    A figure that falls back has not grown until it is higher than it ever was.
    """
    moved: dict[str, list[float]] = {}
    highest: dict[str, float] = {}
    for at, figures in samples:
        for name, value in figures.items():
            if at <= end and value > highest.get(name, float("-inf")):
                highest[name] = value
                moved.setdefault(name, []).append(at)
    pauses: dict[str, float] = {}
    for name, moments in moved.items():
        role = name.partition("/")[0]
        stood = [after - before for before, after in pairwise([*moments, end]) if after > begin]
        pauses[role] = max(pauses.get(role, 0.0), *stood)
    return pauses
