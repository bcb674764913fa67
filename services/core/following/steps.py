"""One step of all followers: the windows of one start, shown to each that looks at them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from services.core.anomaly.memory import Float64Array, Int64Array
from services.core.cities import CityOfSlot
from services.core.following.follower import NUMBER, Follower, Moment, nobody
from services.core.following.memories import LAST_MS, Memories
from services.core.following.neighbours import Neighbours
from services.core.following.past import Past
from services.core.following.weighed import observations_weighed, weigh
from services.core.kind import Detector
from services.core.signals import Finding


@dataclass(frozen=True)
class Told:
    """What a detector says of windows of one start. Arrays: (rows,)."""

    place: int  # of the detector in its kind
    start_ms: int
    slot: Int64Array
    revision: Int64Array  # observations that were weighed: a greater one is newer
    finding: Finding  # on the rows


class Steps:
    """Shows windows that are kept to the followers, and tells what they say."""

    def __init__(
        self,
        detectors: Mapping[int, Detector],
        every_ms: int,
        past: Past,
        cities: CityOfSlot,
        neighbours: Mapping[str, Neighbours],
    ) -> None:
        """`detectors`: those with a follower, by their place in the kind; `neighbours`: by label."""
        self.followers = {place: d.follower for place, d in detectors.items() if d.follower is not None}
        self._attributes = {place: d.attributes for place, d in detectors.items()}
        self._keep_ms = max(f.keep_ms for f in self.followers.values())
        self._every_ms, self._past, self._cities, self._neighbours = every_ms, past, cities, neighbours

    def step(
        self, memories: Memories, start_ms: int, slot: Int64Array, told_from: Int64Array | None = None
    ) -> list[Told]:
        """Takes in windows of one start; what is said of those that are to be told. `told_from`: by slot."""
        revision = self._past.revision(start_ms, slot)
        weigh(memories.common, slot, start_ms, revision)
        last = memories.common.of(LAST_MS)
        silent_ms = start_ms - last[slot]
        last[slot] = start_ms
        hours = self._cities.hour_of_week(start_ms, slot)
        values = {name: self._past.at(start_ms, name, slot) for name in self._past.names}
        told: list[Told] = []
        weighed = None if told_from is None else observations_weighed(memories.common, slot, start_ms)
        for (place, follower), memory in zip(self.followers.items(), memories.own, strict=True):
            rows = self._wanted(follower, slot, values)
            mine = slot if rows is None else slot[rows]
            if not len(mine):
                continue
            # By event time, and not by when room was made: that depends on the order of arrival.
            memory.forget(slot[silent_ms > follower.keep_ms])
            of_rows = values if rows is None else {name: array[rows] for name, array in values.items()}
            neighbour = self._neighbours[follower.label].of(mine) if follower.label else nobody(len(mine))
            moment = Moment(
                memory=memory,
                slot=mine,
                start_ms=start_ms,
                measures={name: of_rows[name] for name in follower.measures},
                attributes={name: of_rows[NUMBER + name] for name, _ in self._attributes[place]},
                hour_of_week=hours if rows is None else hours[rows],
                neighbour=neighbour,
                windows=self._past,
                every_ms=self._every_ms,
            )
            finding = follower.step(moment)
            if told_from is not None and weighed is not None:
                revision = weighed if rows is None else weighed[rows]
                if follower.label:
                    lately = start_ms - last[neighbour] <= self._keep_ms
                    of_neighbour = observations_weighed(memories.common, neighbour, start_ms)
                    revision = revision + np.where(lately, of_neighbour, 0)
                told.append(_some(Told(place, start_ms, mine, revision, finding), told_from[mine] <= start_ms))
        return told

    def _wanted(self, follower: Follower, slot: Int64Array, values: Mapping[str, Float64Array]) -> Int64Array | None:
        """The rows that a follower is shown; None: all."""
        wanted = np.ones(len(slot), np.bool_)
        if follower.only:
            wanted &= ~np.isnan(values[NUMBER + follower.only])
        if follower.unusual and not self._cities.all_want_the_unusual:
            wanted &= self._cities.wants_the_unusual(slot)
        return None if wanted.all() else np.flatnonzero(wanted)


def _some(told: Told, wanted: NDArray[np.bool_]) -> Told:
    if wanted.all():
        return told
    rows = np.flatnonzero(wanted)
    return Told(told.place, told.start_ms, told.slot[rows], told.revision[rows], told.finding.some(rows))
