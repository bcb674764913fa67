"""What cameras tell as the engine's frames, and the signals that become of it, whatever the order of arrival."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from services.core.frame import Frame
from services.core.partition import Partition
from services.core.signals import Signal
from services.core.windows import WindowBatch
from services.security.camera_event import CAMERA_EVENT
from services.security.indices.camera_topics import CameraTopic

# 2026-06-01T00:00Z
T0_MS = 1_780_272_000_000
HOUR_S = 3_600.0


@dataclass(frozen=True)
class Event:
    """One row of camera_event, `at_s` seconds after T0."""

    at_s: float
    topic: CameraTopic = CameraTopic.HEARTBEAT
    entity_id: str = "cam-1"
    columns: tuple[tuple[str, float], ...] = ()

    @classmethod
    def of(cls, at_s: float, topic: CameraTopic, entity_id: str = "cam-1", **columns: float) -> Event:
        return cls(at_s, topic, entity_id, tuple(columns.items()))


def beats(first_s: float, last_s: float, every_s: float = 60.0, entity_id: str = "cam-1") -> list[Event]:
    """Heartbeats from the first to the last, inclusive."""
    return [Event(at, entity_id=entity_id) for at in np.arange(first_s, last_s + every_s / 2, every_s).tolist()]


def frame_of(events: Sequence[Event], offset: int) -> Frame:
    ids = sorted({event.entity_id for event in events})
    columns = {c.name: np.full(len(events), 0 if c.codes else np.nan, c.type.value) for c in CAMERA_EVENT.columns}
    for row, event in enumerate(events):
        columns["topic"][row] = event.topic
        for name, value in event.columns:
            columns[name][row] = value
    time_ms = T0_MS + np.array([round(event.at_s * 1000) for event in events], np.int64)
    entity = np.array([ids.index(event.entity_id) for event in events], np.uint32)
    return Frame("testville", ids, entity, time_ms, 0, columns, offset=offset, clock_ms=int(time_ms.max()))


def batches_of(
    partition: Partition, events: Sequence[Event], *, until_s: float = 24 * HOUR_S, rows: int = 1
) -> Iterator[WindowBatch]:
    """Windows of these events in this order of arrival, so many in a frame, until the clock has come to `until_s`."""
    parts = [events[i : i + rows] for i in range(0, len(events), rows)]
    frames = [frame_of(part, offset) for offset, part in enumerate(parts)]
    nothing = {c.name: np.empty(0, c.type.value) for c in CAMERA_EVENT.columns}
    none = (np.empty(0, np.uint32), np.empty(0, np.int64))
    end_ms = T0_MS + int(until_s * 1000)
    frames.append(Frame("testville", (), *none, 0, nothing, offset=len(parts), clock_ms=end_ms, heartbeat=True))
    for frame in frames:
        for closing in partition.fold([frame]):
            assert not closing.refused
            yield from closing.batches
    assert partition.counters.difference == 0


def signals_of(
    events: Sequence[Event],
    numbers: Mapping[str, Mapping[str, float]] | None = None,
    *,
    until_s: float = 24 * HOUR_S,
    rows: int = 1,
) -> list[Signal]:
    """All signals of these events, as above; `numbers` of entities by name."""
    partition = Partition("security", CAMERA_EVENT, 0)
    defaults = {name: default for d in CAMERA_EVENT.detectors for name, default in d.attributes}
    signals = []
    for batch in batches_of(partition, events, until_s=until_s, rows=rows):
        known = [(numbers or {}).get(batch.entity_ids[slot], {}) for slot in batch.slot.tolist()]
        attributes = {name: np.array([of.get(name, default) for of in known]) for name, default in defaults.items()}
        signals += partition.detect(replace(batch, attributes=attributes))
    return signals


def standing(signals: Sequence[Signal]) -> dict[str, Signal]:
    """What stands in the end, by id: the greatest revision, without what was retracted."""
    last: dict[str, Signal] = {}
    for signal in signals:
        before = last.get(signal.id)
        if before is None or (signal.revision, signal.retracted) >= (before.revision, before.retracted):
            last[signal.id] = signal
    return {id_: signal for id_, signal in last.items() if not signal.retracted}


def ends_of(signals: Sequence[Signal], kind: str) -> list[int]:
    """Seconds after T0 at which the windows end in which a type of signal stands."""
    found = [s for s in standing(signals).values() if s.type == kind]
    return sorted((s.end_ms - T0_MS) // 1000 for s in found)


def evidence_of(signal: Signal) -> dict[str, float]:
    return {e.measure: e.value for e in signal.evidence if not math.isnan(e.value)}
