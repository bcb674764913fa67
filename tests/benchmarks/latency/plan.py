"""What the city sends and when, to the millisecond, and so what must come of it: nothing is drawn while it runs.

Frame i of a stream is due at i / pace, and its observations are of that moment, rounded down to a millisecond. The
gateways of a stream take turns, and with them the partitions. Twice in each partition and second a road stands still
and people crowd beside it, at a place where nothing happens before or after: one incident each.
"""

from __future__ import annotations

import heapq
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from services.runtime.catalogue import OBSERVATION_PARTITIONS
from services.runtime.partitioner import partitions_of
from tests.benchmarks.latency.kinds import WINDOW_MS

ROADS, PEOPLE = "roads", "people"
ROWS = {ROADS: 256, PEOPLE: 16}
# Gateways of people counts, and their frames a second: every partition hears of time every 50 ms.
PEOPLE_GATEWAYS, PEOPLE_FRAMES_PER_S = 40, 80.0
# Each road tells so often a second, at every rate.
REPORTS_PER_S = 10
PLACES_PER_WINDOW = 2 * OBSERVATION_PARTITIONS
PLACE = -1  # in the place of a gateway


class Due(NamedTuple):
    """One frame. Ordered by its time."""

    due_ms: float  # after the start
    stream: str
    number: int  # of its gateway's frames; of a place frame: its window
    gateway: int  # PLACE: what is told of places
    partition: int


@dataclass(frozen=True)
class Plan:
    """A city of so many observations of roads a second, from a whole second of the wall clock on."""

    observations_per_s: int
    seconds: int
    start_ms: int

    @property
    def gateways(self) -> dict[str, int]:
        roads = self.observations_per_s // REPORTS_PER_S // ROWS[ROADS]
        return {ROADS: max(roads // OBSERVATION_PARTITIONS, 1) * OBSERVATION_PARTITIONS, PEOPLE: PEOPLE_GATEWAYS}

    @property
    def frames_per_s(self) -> dict[str, float]:
        return {ROADS: self.observations_per_s / ROWS[ROADS], PEOPLE: PEOPLE_FRAMES_PER_S}

    @property
    def windows(self) -> range:
        """All windows that end, by number."""
        return range(self.seconds)

    def start_of(self, window: int) -> int:
        """In ms since 1970."""
        return self.start_ms + window * WINDOW_MS

    def frames(self) -> Iterator[Due]:
        """All frames in the order of time; the last ones, a window long, only end the windows before."""
        return heapq.merge(*(self._stream(name) for name in ROWS), self._places())

    def time_ms(self, frame: Due) -> int:
        """When its observations were made, in ms since 1970."""
        return self.start_ms + int(frame.due_ms)

    def closings(self, stream: str) -> NDArray[np.float64]:
        """When the observation is due that closes a window, in ms since 1970. Shape: (windows, partitions)."""
        due_ms = np.array([f.due_ms for f in self._stream(stream)])
        closing = np.empty((self.seconds, OBSERVATION_PARTITIONS))
        for partition in range(OBSERVATION_PARTITIONS):
            mine = due_ms[partition::OBSERVATION_PARTITIONS]
            ends_ms = (np.arange(self.seconds) + 1) * WINDOW_MS
            closing[:, partition] = self.start_ms + mine[np.searchsorted(mine, ends_ms)]
        return closing

    def rows(self) -> NDArray[np.int64]:
        """Rows of each window of roads. Shape: (windows, partitions)."""
        told = {(f.gateway, int(f.due_ms) // WINDOW_MS) for f in self._stream(ROADS)}
        expected = np.full((self.seconds + 1, OBSERVATION_PARTITIONS), PLACES_PER_WINDOW // OBSERVATION_PARTITIONS)
        for gateway, window in told:
            expected[window, gateway % OBSERVATION_PARTITIONS] += ROWS[ROADS]
        return expected[: self.seconds]

    def sent(self, stream: str) -> Counter[tuple[int, int]]:
        """Frames by start of the window in ms since 1970, and gateway."""
        return Counter((self.start_of(int(f.due_ms) // WINDOW_MS), f.gateway) for f in self._stream(stream))

    def places(self) -> range:
        """The numbers of all places; see `window_of`."""
        return range(self.seconds * PLACES_PER_WINDOW)

    def _stream(self, stream: str) -> Iterator[Due]:
        pace, gateways = self.frames_per_s[stream], self.gateways[stream]
        for i in range(int((self.seconds + 1) * pace)):
            gateway = i % gateways
            yield Due(i * 1000 / pace, stream, i // gateways + 1, gateway, gateway % OBSERVATION_PARTITIONS)

    def _places(self) -> Iterator[Due]:
        for window in self.windows:
            for partition in range(OBSERVATION_PARTITIONS):
                for stream in sorted(ROWS):
                    # In the middle of the window; no two at once.
                    due_ms = window * WINDOW_MS + WINDOW_MS / 2 + 7.0 * partition
                    yield Due(due_ms, stream, window + 1, PLACE, partition)


def window_of(place: int) -> int:
    """The window in which something happens at a place."""
    return place // PLACES_PER_WINDOW


def places_of(frame: Due) -> list[int]:
    """The places that a frame of places tells of: those of its window and partition."""
    first = (frame.number - 1) * PLACES_PER_WINDOW
    return list(range(first + frame.partition, first + PLACES_PER_WINDOW, OBSERVATION_PARTITIONS))


def place_ids(stream: str, places: range) -> list[str]:
    """Ids of the entity at each place, each in the partition that is the place's number modulo their count."""
    tries = 64
    names = [f"{stream}-{place:05d}-{n:02d}" for place in places for n in range(tries)]
    partition = partitions_of(names, OBSERVATION_PARTITIONS).reshape(len(places), tries)
    wanted = np.array(places)[:, None] % OBSERVATION_PARTITIONS
    chosen = np.argmax(partition == wanted, axis=1)
    return [names[row * tries + int(n)] for row, n in enumerate(chosen)]


def position_of(place: int) -> tuple[float, float]:
    """Latitude and longitude: a grid of more than 1.5 km, so that no two places belong together."""
    row, column = divmod(place, 40)
    return -37.0 + row * 0.02, 174.0 + column * 0.02
