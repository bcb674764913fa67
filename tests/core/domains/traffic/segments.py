"""Many segments or stations in one partition, minute by minute: what the engine tells of them with their neighbours."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from services.core.frame import Frame
from services.core.kind import MINUTE_MS, Kind
from services.core.partition import Partition
from services.core.signals import Signal
from services.core.windows import WindowBatch
from services.traffic.domain import ROAD_FLOW

Float64Array = NDArray[np.float64]

T0 = 1_717_372_800_000  # 2024-06-03T00:00Z


def kind_with(detector: str) -> Kind:
    """Road flow with this detector and no other."""
    return replace(ROAD_FLOW, detectors=tuple(d for d in ROAD_FLOW.detectors if d.name == detector))


class Segments:
    """A partition of segments with these names, numbers and neighbours downstream."""

    def __init__(
        self, kind: Kind, names: Sequence[str], downstream: Mapping[str, str], numbers: Mapping[str, float]
    ) -> None:
        self.kind, self.names = kind, tuple(names)
        self.partition = Partition("traffic", kind, 0)
        self._downstream = downstream
        defaults = {name: default for d in kind.detectors for name, default in d.attributes}
        self._numbers = {name: numbers.get(name, default) for name, default in defaults.items()}
        self.windows: dict[tuple[str, str, int], dict[str, float]] = {}  # by window, name and minute, the newest
        self.standing: dict[tuple[str, int], Signal] = {}  # by name and minute, those that are not withdrawn

    def tell(
        self,
        minute: int,
        columns: Mapping[str, Float64Array],
        which: Sequence[int] | None = None,
        clock_minute: float | None = None,
        sequence: int = 0,
    ) -> None:
        """One minute of all segments, or of some; columns are of all."""
        rows = np.arange(len(self.names)) if which is None else np.array(which, np.int64)
        missing = np.full(len(rows), math.nan, "<f4")
        clock = minute + 1 if clock_minute is None else clock_minute
        frame = Frame(
            city="auckland",
            entity_ids=self.names,
            entity=rows.astype(np.uint32),
            time_ms=np.full(len(rows), T0 + minute * MINUTE_MS),
            period_s=60,
            columns={
                c.name: columns[c.name][rows].astype("<f4") if c.name in columns else missing for c in self.kind.columns
            },
            source_id="gateway" if sequence else "",
            sequence=sequence,
            clock_ms=T0 + round(clock * MINUTE_MS),
        )
        self.take(frame)

    def wait(self, minute: float) -> None:
        """The clock goes on, and nobody tells anything."""
        empty = {c.name: np.empty(0, "<f4") for c in self.kind.columns}
        none = np.empty(0, np.int64)
        frame = Frame("auckland", (), none.astype(np.uint32), none, 60, empty, clock_ms=T0 + round(minute * MINUTE_MS))
        self.take(replace(frame, heartbeat=True))

    def take(self, frame: Frame) -> None:
        for closing in self.partition.fold([frame]):
            assert not closing.refused
            for batch in closing.batches:
                self._keep(batch)
                for signal in self.partition.detect(self._completed(batch)):
                    key = signal.entity_id, (signal.start_ms - T0) // MINUTE_MS
                    self.standing.pop(key, None)
                    if not signal.retracted:
                        self.standing[key] = signal

    def restart(self) -> None:
        self.partition = Partition.restore("traffic", self.kind, self.partition.snapshot())

    def minutes(self) -> NDArray[np.bool_]:
        """Where a signal stands. Shape: (minutes up to the last of them, segments)."""
        place = {name: i for i, name in enumerate(self.names)}
        found = np.zeros((1 + max((minute for _, minute in self.standing), default=-1), len(self.names)), np.bool_)
        for name, minute in self.standing:
            found[minute, place[name]] = True
        return found

    def _keep(self, batch: WindowBatch) -> None:
        if len(self.names) > 20:
            return  # nobody looks at the windows of so many
        for row, (slot, start_ms) in enumerate(zip(batch.slot.tolist(), batch.start_ms.tolist(), strict=True)):
            told = {name: float(values[row]) for name, values in batch.measures.items()}
            self.windows[batch.window.name, batch.entity_ids[slot], (start_ms - T0) // MINUTE_MS] = told

    def _completed(self, batch: WindowBatch) -> WindowBatch:
        names = [batch.entity_ids[slot] for slot in batch.slot.tolist()]
        labels = {"downstream_id": np.array([self._downstream.get(name, "") for name in names], object)}
        attributes = {name: np.full(len(batch), value) for name, value in self._numbers.items()}
        return replace(batch, labels=labels, attributes=attributes)
