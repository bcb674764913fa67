"""Stations whose hours go through the engine, and what is computed and found of them."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any

import numpy as np

from services.core.frame import Frame
from services.core.kind import HOUR_MS, Kind
from services.core.local_time import LocalTime
from services.core.partition import Partition
from services.core.signals import Signal
from services.core.windows import IndexRows, Place

CHINA = Place(LocalTime((0,), (8 * HOUR_MS,)), "cn")
PLACES = {
    "beijing": CHINA,
    "boston": Place(LocalTime((0, 1_773_558_000_000), (-5 * HOUR_MS, -4 * HOUR_MS)), "us"),
}
Row = dict[str, Any]


def ms(text: str) -> int:
    """2026-02-28T00:00+08:00 in ms UTC."""
    return round(datetime.fromisoformat(text).astimezone(UTC).timestamp() * 1000)


def frame_of(
    kind: Kind, start_ms: int, columns: Mapping[str, Sequence[float]], *, city: str = "beijing", period_s: int = 3600
) -> Frame:
    """One station's observations, one every period; NaN in every column: none at all."""
    rows = len(next(iter(columns.values())))
    given = {c.name: np.array(columns.get(c.name, [math.nan] * rows), c.type.value) for c in kind.columns}
    there = ~np.logical_and.reduce([np.isnan(values) for values in given.values()])
    times = start_ms + np.arange(rows, dtype=np.int64) * period_s * 1000
    return Frame(
        city=city,
        entity_ids=("station-1",),
        entity=np.zeros(int(there.sum()), np.uint32),
        time_ms=times[there],
        period_s=period_s,
        columns={name: values[there] for name, values in given.items()},
        clock_ms=int(times[-1]) + period_s * 1000,
    )


def heartbeat(kind: Kind, clock_ms: int) -> Frame:
    nothing = {c.name: np.empty(0, c.type.value) for c in kind.columns}
    return Frame(
        "beijing", (), np.empty(0, np.uint32), np.empty(0, np.int64), 0, nothing, clock_ms=clock_ms, heartbeat=True
    )


@dataclass
class Station:
    """What has left so far; of rows of an index the one with the greatest revision, by table, start and standard."""

    kind: Kind
    attributes: Mapping[str, float] = field(default_factory=dict)
    places: Mapping[str, Place] = field(default_factory=lambda: PLACES)
    rows: dict[tuple[str, int], Row] = field(default_factory=dict)
    signals: list[Signal] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.partition = Partition("environment", self.kind, 0)

    def fold(self, *frames: Frame) -> Station:
        judges = [j for window in self.kind.windows for j in self.kind.judges_of(window.name)]
        wanted = {name: default for j in judges for name, default in j.attributes} | {**self.attributes}
        for closing in self.partition.fold(frames):
            assert not closing.refused
            for batch in closing.batches:
                numbers = {name: np.full(len(batch), value) for name, value in wanted.items()}
                batch = replace(batch, attributes=numbers, places=self.places)
                self.signals += self.partition.detect(batch)
                for index in self.kind.indices:
                    if index.window == batch.window.name:
                        told = index.compute(batch)
                        for i in range(len(told)):
                            self._keep(index.name, told, i)
        return self

    def _keep(self, name: str, told: IndexRows, i: int) -> None:
        row: Row = {column: values[i] for column, values in told.columns.items()}
        row |= {"revision": int(told.revision[i]), "end_ms": int(told.end_ms[i])}
        key = (name, int(told.start_ms[i]))
        known = self.rows.get(key)
        if known is None or row["revision"] >= known["revision"]:
            self.rows[key] = row

    def row(self, table: str, start: str) -> Row:
        return self.rows[table, ms(start)]

    def standing(self, kind_of_signal: str) -> dict[int, Signal]:
        """By start of their windows, the signals of one type that were not withdrawn."""
        newest: dict[str, Signal] = {}
        for signal in self.signals:
            if signal.type == kind_of_signal:
                newest[signal.id] = signal
        return {s.start_ms: s for s in newest.values() if not s.retracted}
