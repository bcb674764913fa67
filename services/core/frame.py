"""Observations in columns, as the engine takes them: what one record of an observation topic holds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

Int64Array = NDArray[np.int64]
UInt32Array = NDArray[np.uint32]
NumberArray = NDArray[np.float32] | NDArray[np.float64] | NDArray[np.uint32]


class LastingIds(tuple[str, ...]):
    """A dictionary of ids that is the same object whenever it comes again, so that it is recognised without a look."""

    __slots__ = ()


@dataclass(frozen=True)
class Frame:
    """Many observations of one city and one partition. All arrays have one element per observation."""

    city: str
    entity_ids: Sequence[str]  # dictionary
    entity: UInt32Array  # index into entity_ids
    time_ms: Int64Array  # start of the time measured over, UTC
    period_s: int  # length of the time measured over
    columns: Mapping[str, NumberArray]  # by the name of the kind's column
    source_id: str = ""
    sequence: int = 0  # 0: not numbered
    clock_ms: int = 0  # the city's clock when the frame was taken (or the record's own time)
    heartbeat: bool = False
    announces: bool = False  # no observations: see `announcement`
    offset: int = -1  # position in the log; -1: not from a log
    index: int = 0  # of its first observation in its record

    def __len__(self) -> int:
        return len(self.entity)

    @property
    def numbered(self) -> bool:
        return bool(self.source_id) and self.sequence > 0


def announcement(city: str, entity_ids: Sequence[str]) -> Frame:
    """A frame without observations: these entities are known from here on; none: those told of by now are all."""
    none = np.empty(0, np.int64)
    return Frame(city, entity_ids, none.astype(np.uint32), none, 0, {}, announces=True)


@dataclass(frozen=True)
class Block:
    """Frames of one city and one period, in columns and in the order of the log.

    `time_ms`, `entity` and the columns have one element per observation, the other arrays one per frame, unless told
    otherwise.
    """

    city: str
    period_s: int
    entity_ids: Sequence[str]  # of all frames: it may hold others too, and grow, but what is there stays
    begin: Int64Array  # (frames + 1,): where each frame's observations begin
    named: Int64Array  # the dictionaries of the frames, one after the other: indices into entity_ids
    named_begin: Int64Array  # (frames + 1,): where each frame's dictionary begins
    entity: Int64Array | UInt32Array  # index into the dictionary of its own frame
    time_ms: Int64Array
    columns: Mapping[str, NumberArray]
    clock_ms: Int64Array
    offsets: Int64Array
    sources: Sequence[tuple[str, int]] = ()  # source and number of each frame; empty: none is numbered

    def __len__(self) -> int:
        """Frames."""
        return len(self.offsets)

    @classmethod
    def of_singles(
        cls,
        city: str,
        period_s: int,
        entity_ids: Sequence[str],
        entity: Int64Array,
        time_ms: Int64Array,
        columns: Mapping[str, NumberArray],
        clock_ms: Int64Array,
        offsets: Int64Array,
        sources: Sequence[tuple[str, int]] = (),
    ) -> Block:
        """Frames of one observation each; `entity` is an index into entity_ids. Arrays: (frames,)."""
        each = np.arange(len(entity) + 1)
        none = np.zeros(len(entity), np.int64)
        return cls(city, period_s, entity_ids, each, entity, each, none, time_ms, columns, clock_ms, offsets, sources)

    def frame(self, place: int) -> Frame:
        """One of them by itself."""
        source_id, sequence = self.sources[place] if self.sources else ("", 0)
        rows = slice(int(self.begin[place]), int(self.begin[place + 1]))
        named = self.named[int(self.named_begin[place]) : int(self.named_begin[place + 1])]
        return Frame(
            city=self.city,
            entity_ids=tuple(self.entity_ids[i] for i in named.tolist()),
            entity=self.entity[rows].astype(np.uint32),
            time_ms=self.time_ms[rows],
            period_s=self.period_s,
            columns={name: values[rows] for name, values in self.columns.items()},
            source_id=source_id,
            sequence=sequence,
            clock_ms=int(self.clock_ms[place]),
            offset=int(self.offsets[place]),
        )

    def take(self, places: Int64Array) -> Block:
        """Those at these places, ascending."""
        begin, rows = _parts(self.begin, places)
        named_begin, names = _parts(self.named_begin, places)
        return Block(
            self.city,
            self.period_s,
            self.entity_ids,
            begin,
            self.named[names],
            named_begin,
            self.entity[rows],
            self.time_ms[rows],
            {name: values[rows] for name, values in self.columns.items()},
            self.clock_ms[places],
            self.offsets[places],
            [self.sources[i] for i in places.tolist()] if self.sources else (),
        )


def begins(lengths: Int64Array) -> Int64Array:
    """Of parts one after the other, where each begins and the last one ends. Shape: (parts + 1,)."""
    return np.concatenate((np.zeros(1, np.int64), np.cumsum(lengths)))


def _parts(begin: Int64Array, places: Int64Array) -> tuple[Int64Array, Int64Array]:
    """Of parts one after the other, some: where each begins when they are alone, and what they hold."""
    lengths = np.diff(begin)[places]
    own = begins(lengths)
    return own, np.arange(own[-1]) + np.repeat(begin[:-1][places] - own[:-1], lengths)


@dataclass(frozen=True)
class Malformed:
    """A record of the log that is no frame. It counts as one observation read and dead-lettered."""

    offset: int
    reason: str
    field: str = "value"
    index: int = 0  # of the row in its record


@dataclass(frozen=True)
class Problem:
    """Why one observation is refused: names the field, the value and the reason."""

    index: int  # of the observation in its frame, stream or record
    field: str
    value: str
    reason: str

    def __str__(self) -> str:
        what = f"{self.field} = {self.value}" if self.value else self.field
        return f"observation {self.index}: {what}: {self.reason}"


@dataclass(frozen=True)
class Refused:
    """Observations of one record that go to the dead letters, with the raw record."""

    offset: int
    problems: tuple[Problem, ...]  # the first 100
    rows: Int64Array = field(repr=False, compare=False)  # all of them: indices in the record
    error_class: str  # "malformed", "invalid", "future", "unknown", "limit"

    @property
    def count(self) -> int:
        """Observations refused."""
        return len(self.rows)


@dataclass(frozen=True)
class Late:
    """Observations of one city and period that came beyond the allowed lateness, in the order of the log.

    Arrays have one element per observation. Their times span less than a frame may.
    """

    city: str
    period_s: int
    entity_ids: Sequence[str]  # dictionary
    entity: UInt32Array  # index into entity_ids
    time_ms: Int64Array
    columns: Mapping[str, NumberArray]
    offsets: Int64Array  # of their records
    rows: Int64Array  # their indices in their records

    def __len__(self) -> int:
        return len(self.entity)
