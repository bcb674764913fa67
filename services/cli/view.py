"""What a running city looks like at one moment, from its processes' figures: rates, lag, event time, incidents."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field

from services.cli.figures import Figures

# A rate is taken over the last seconds, so that it is calm and still true.
RATE_SPAN_S = 5.0


@dataclass(frozen=True)
class Newest:
    """How many incidents there are, and the newest in a line and in a sentence or two."""

    count: int = 0
    line: str = ""
    explanation: str = ""


@dataclass(frozen=True)
class View:
    """One moment of a running city."""

    seconds: float  # since it was asked for
    phase: str  # of the feed: "history", "replay" …
    clock_ms: int | None  # event time that the feed has come to
    figures: Mapping[str, Figures] = field(default_factory=dict)  # by service
    rates: Mapping[str, float] = field(default_factory=dict)  # observations a second, by service
    newest: Newest = field(default_factory=Newest)

    @property
    def observations(self) -> int:
        return sum(figures.observations for figures in self.figures.values())

    @property
    def rate(self) -> float:
        return sum(self.rates.values())

    @property
    def windows(self) -> int:
        return sum(figures.windows for figures in self.figures.values())

    @property
    def signals(self) -> int:
        return sum(figures.signals for figures in self.figures.values())

    @property
    def lag(self) -> int:
        return sum(figures.lag for figures in self.figures.values())


class Meter:
    """Makes rates of counters that were read one after another."""

    def __init__(self) -> None:
        self._readings: deque[tuple[float, dict[str, int]]] = deque()

    def rates(self, seconds: float, counts: Mapping[str, int]) -> dict[str, float]:
        """Growth a second of each counter since up to RATE_SPAN_S ago; a counter that is new or fell: 0."""
        self._readings.append((seconds, dict(counts)))
        while len(self._readings) > 2 and seconds - self._readings[1][0] >= RATE_SPAN_S:
            self._readings.popleft()
        before_s, before = self._readings[0]
        elapsed = seconds - before_s
        if elapsed <= 0:
            return dict.fromkeys(counts, 0.0)
        return {name: max(0, count - before.get(name, count)) / elapsed for name, count in counts.items()}
