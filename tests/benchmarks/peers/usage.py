"""CPU time and memory of a process and all that it starts, looked at again and again."""

from __future__ import annotations

import time
from dataclasses import dataclass, field

import psutil


@dataclass
class Usage:
    """What a tree of processes has used so far; children that have ended count with what was seen of them last."""

    root: psutil.Process
    peak_rss_mb: float = 0.0
    _cpu_s: dict[int, float] = field(default_factory=dict)

    @classmethod
    def of(cls, pid: int) -> Usage:
        return cls(psutil.Process(pid))

    def look(self) -> float:
        """CPU-seconds, user and system, until now."""
        rss = 0
        try:
            tree = [self.root, *self.root.children(recursive=True)]
        except psutil.NoSuchProcess:
            tree = []
        for process in tree:
            try:
                spent = process.cpu_times()
                rss += process.memory_info().rss
            except psutil.NoSuchProcess:
                continue
            self._cpu_s[process.pid] = max(self._cpu_s.get(process.pid, 0.0), spent.user + spent.system)
        self.peak_rss_mb = max(self.peak_rss_mb, rss / 1e6)
        return sum(self._cpu_s.values())


@dataclass(frozen=True)
class Sample:
    """How far a run had come at a moment."""

    wall_s: float
    cpu_s: float
    rows: int  # of the results


@dataclass
class Course:
    """The samples of a run, and what they say."""

    samples: list[Sample] = field(default_factory=list)
    began_s: float = field(default_factory=time.monotonic)

    def add(self, cpu_s: float, rows: int) -> None:
        self.samples.append(Sample(time.monotonic() - self.began_s, cpu_s, rows))

    def steady(self, rows: int, observations: int) -> dict[str, float] | None:
        """Rates between a tenth and nine tenths of the results: without start, warm-up and end.

        `rows`: those that leave while observations come, without the last windows, which all leave at the end. None
        where the results came at so few moments that there is no between.
        """
        inner = [s for s in self.samples if 0.1 * rows <= s.rows <= 0.9 * rows]
        if len(inner) < 3 or inner[-1].rows <= inner[0].rows or inner[-1].cpu_s <= inner[0].cpu_s:
            return None
        share = (inner[-1].rows - inner[0].rows) / rows * observations
        return {
            "observations_per_cpu_s": round(share / (inner[-1].cpu_s - inner[0].cpu_s)),
            "observations_per_s": round(share / (inner[-1].wall_s - inner[0].wall_s)),
        }
