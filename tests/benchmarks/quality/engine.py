"""A scenario's city in one process: its frames through the real partitions of every kind, and what they find.

What a processor does with Kafka and ClickHouse around it is done here by hand: entities give attributes, labels and
positions, the city's own past gives baselines. Each kind has one partition.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from typing import Any

import numpy as np
from numpy.typing import NDArray

from services.core import signals
from services.core.correlation.event_time import Watermarks
from services.core.frame import Frame
from services.core.geometry import cell_of
from services.core.kind import Kind
from services.core.partition import Partition
from services.core.signals import Signal
from services.core.windows import WindowBatch
from services.feeds.scenario.city import City
from services.feeds.scenario.delivery import Step, steps
from services.feeds.scenario.group import Group
from services.feeds.scenario.script import Script
from tests.benchmarks.quality.normal import Normal, normal_of

Int64Array = NDArray[np.int64]

# Labels of entities that signals carry, in versions of the core in which they do.
CARRIED_LABELS: tuple[str, ...] = getattr(signals, "CARRIED_LABELS", ())

# Minutes of the clock that are taken at once while nothing happens; a divisor of an hour.
QUIET_MINUTES = 30


@dataclass(frozen=True)
class Told:
    """What all kinds said when the city's clock had come to a moment."""

    clock_ms: int
    signals: tuple[Signal, ...]
    watermarks: tuple[Watermarks, ...]


class KindEngine:
    """One kind of the city: its partition, and what the register says of its entities."""

    def __init__(self, city: City, name: str, normal_before_ms: int, *, unusual: bool) -> None:
        groups = [group for group in city.groups.values() if group.kind_name == name]
        self.domain, kind = groups[0].domain, groups[0].kind
        self.kind: Kind = kind if unusual else kind.without_unusual()
        self.partition = Partition(self.domain, self.kind, 0)
        self.refused = self.late = 0
        self._city = city
        ids = [entity_id for group in groups for entity_id in group.ids]
        self._number = {entity_id: i for i, entity_id in enumerate(ids)}
        self._places = np.concatenate([np.stack(group.places) for group in groups], axis=1)
        wanted = {n: default for d in self.kind.detectors for n, default in d.attributes}
        wanted |= {n: default for index in self.kind.indices for n, default in index.attributes}
        self._attributes = {
            n: np.concatenate([group.numbers.get(n, np.full(len(group), default)) for group in groups])
            for n, default in wanted.items()
        }
        self._carried = [_carried(group, i) for group in groups for i in range(len(group))]
        labels = {d.follower.label for d in self.kind.detectors if d.follower and d.follower.label}
        self._labels = {
            n: np.array([told for group in groups for told in group.labels.get(n, ("",) * len(group))], object)
            for n in labels
        }
        firsts = np.cumsum([0] + [len(group) for group in groups]).tolist()
        named = {group.name: first for group, first in zip(groups, firsts, strict=False)}
        self._normal: Normal | None = normal_of(city, kind, named, normal_before_ms)
        self._entity: Int64Array = np.empty(0, np.int64)

    def take(self, frames: list[Frame], clock_ms: int) -> list[Signal]:
        """Signals of these frames and of the clock that has come so far, with positions."""
        found: list[Signal] = []
        for closing in self.partition.fold([*frames, self._heartbeat(clock_ms)]):
            self.refused += sum(refused.count for refused in closing.refused)
            self.late += sum(len(late) for late in closing.late)
            for batch in closing.batches:
                found += self.partition.detect(self._completed(batch))
        return [self._placed(signal) for signal in found]

    def watermarks(self) -> Watermarks | None:
        """How far its event time has come."""
        if self.partition.watermark_ms is None:
            return None
        return Watermarks(self.domain, self.kind.name, {0: self.partition.watermark_ms})

    def _completed(self, batch: WindowBatch) -> WindowBatch:
        ids = batch.entity_ids
        if len(self._entity) < len(ids):
            # Slots stay: no entity of the city is silent for so long that its place is given to another.
            new = [self._number[entity_id] for entity_id in ids[len(self._entity) :]]
            self._entity = np.concatenate([self._entity, np.array(new, np.int64)])
        entity = self._entity[batch.slot]
        window = batch.window.name
        baseline = None
        if self._normal is not None and self.kind.baseline and self.kind.baseline.window == window:
            baseline = self._normal.of(batch, entity)
        return replace(
            batch,
            attributes={name: values[entity] for name, values in self._attributes.items()},
            labels={name: values[entity] for name, values in self._labels.items()},
            baseline=baseline,
        )

    def _placed(self, signal: Signal) -> Signal:
        number = self._number[signal.entity_id]
        latitude, longitude = self._places[:, number].tolist()
        carried: dict[str, Any] = {"attributes": self._carried[number]} if CARRIED_LABELS else {}
        return replace(signal, latitude=latitude, longitude=longitude, h3_cell=cell_of(latitude, longitude), **carried)

    def _heartbeat(self, clock_ms: int) -> Frame:
        nothing = {c.name: np.empty(0, c.type.value) for c in self.kind.columns}
        none, never = np.empty(0, np.uint32), np.empty(0, np.int64)
        return Frame(self._city.name, (), none, never, 0, nothing, clock_ms=clock_ms, heartbeat=True)


class CityEngine:
    """All kinds of a city, or some."""

    def __init__(self, city: City, script: Script, *, kinds: Collection[str] = (), unusual: bool = True) -> None:
        """`kinds`: "traffic.road_flow"; none: all. `unusual`: whether detectors of the unusual take part."""
        names = sorted({group.kind_name for group in city.groups.values()})
        self.city, self.script = city, script
        self.kinds: Mapping[str, KindEngine] = {
            name: KindEngine(city, name, script.from_ms, unusual=unusual)
            for name in names
            if not kinds or name in kinds
        }
        self.observations = 0

    def run(self, minutes: int = 1, *, quiet_ms: int = 0) -> Iterator[Told]:
        """The run, so many minutes at once; in the end the clock goes on until every window has left.

        What is told does not depend on `minutes`, only how exactly it is known when: in the first `quiet_ms`, in which
        nothing happens, that need not be known, and larger steps take a third less time.
        """
        made = steps(self.city, self.script)
        last_ms = self.script.from_ms
        quiet_until_ms = last_ms + quiet_ms
        while some := list(islice(made, QUIET_MINUTES if last_ms < quiet_until_ms else minutes)):
            yield self._take(some)
            last_ms = some[-1].time_ms
        longest_ms = max(w.size_ms + e.kind.disorder_ms for e in self.kinds.values() for w in e.kind.windows)
        yield self._take([Step(last_ms + 2 * longest_ms, ())])

    def _take(self, some: Sequence[Step]) -> Told:
        frames: dict[str, list[Frame]] = {name: [] for name in self.kinds}
        for group, frame in (told for step in some for told in step.frames):
            if group.kind_name in frames:
                frames[group.kind_name].append(frame)
                self.observations += len(frame)
        clock_ms = some[-1].time_ms
        found = [s for name, engine in self.kinds.items() for s in engine.take(frames[name], clock_ms)]
        marks = [mark for engine in self.kinds.values() if (mark := engine.watermarks()) is not None]
        return Told(clock_ms, tuple(found), tuple(marks))


def _carried(group: Group, i: int) -> tuple[tuple[str, str], ...]:
    told = ((name, group.labels[name][i]) for name in CARRIED_LABELS if name in group.labels)
    return tuple((name, value) for name, value in told if value)
