"""What happens in a scenario beyond the ordinary: how it changes what sensors tell, and what should be found of it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

import numpy as np

from services.feeds.scenario.group import degrees
from services.feeds.scenario.rows import Int64Array, Rows


class What(StrEnum):
    """Whether a rule should speak."""

    INCIDENT = "incident"  # it should
    NEAR_MISS = "near_miss"  # something that it needs is lacking: it should not
    PLANNED = "planned"  # it looks like one, and people knew before (`announced`): nobody should be told
    DECOY = "decoy"  # something of one domain that lasts or is wide
    FAULT = "fault"  # of a sensor


class How(StrEnum):
    """What is done to a number."""

    SET = "set"
    TIMES = "times"
    ADD = "add"
    DROP = "drop"  # the whole observation


@dataclass(frozen=True)
class Change:
    """Of these sensors, what is measured from a moment on and before another one (by the start of the observation)."""

    group: str
    sensors: tuple[int, ...]
    from_ms: int
    to_ms: int
    how: How
    column: str = ""
    value: float = 0.0


@dataclass(frozen=True)
class Added:
    """Observations that there are besides: moments, so their period is 0."""

    group: str
    rows: Rows


@dataclass(frozen=True)
class Expected:
    """A signal that a detector should raise."""

    signal: str  # "traffic.road_flow.congestion"
    entity_id: str
    from_ms: int  # what it is about
    to_ms: int
    needs_past: bool = False  # only a detector that has seen some days of this sensor can know


@dataclass(frozen=True)
class Part:
    """One side of what happens, as one domain sees it."""

    name: str
    changes: tuple[Change, ...] = ()
    added: tuple[Added, ...] = ()
    expected: tuple[Expected, ...] = ()
    needed: bool = True  # without it there is no incident
    touched: tuple[str, ...] = ()  # entities that tell of it besides those that are expected to raise something

    @property
    def from_ms(self) -> int:
        return min([c.from_ms for c in self.changes] + [int(a.rows.time_ms.min()) for a in self.added])

    @property
    def to_ms(self) -> int:
        return max([c.to_ms for c in self.changes] + [int(a.rows.time_ms.max()) + 1 for a in self.added])


@dataclass(frozen=True)
class Happening:
    """One line of the truth."""

    id: str
    what: What
    name: str  # of an incident or a near miss: the rule, by the name of its file
    north_m: float
    east_m: float
    parts: tuple[Part, ...]
    lacking: str = ""  # of a near miss: the part that is not there

    @property
    def from_ms(self) -> int:
        return min(part.from_ms for part in self.parts)

    @property
    def to_ms(self) -> int:
        return max(part.to_ms for part in self.parts)

    @property
    def told_to_ms(self) -> int:
        """Until when signals of it are to be expected: an alert of heavy pollution outlasts the pollution."""
        return max([self.to_ms, *(expected.to_ms for expected in self.expected)])

    @property
    def expected(self) -> tuple[Expected, ...]:
        return tuple(expected for part in self.parts for expected in part.expected)

    @property
    def entities(self) -> frozenset[str]:
        """Ids of all that tell of it."""
        ids = [e.entity_id for e in self.expected] + [i for part in self.parts for i in part.touched]
        return frozenset(ids)

    def document(self) -> Mapping[str, object]:
        """As a line of the truth tells it; times in ms since 1970-01-01T00:00Z."""
        latitude, longitude = degrees(np.array(self.north_m), np.array(self.east_m))
        return {
            "id": self.id,
            "what": self.what,
            "name": self.name,
            "from_ms": self.from_ms,
            "to_ms": self.to_ms,
            "latitude": round(float(latitude), 6),
            "longitude": round(float(longitude), 6),
            **({"lacking": self.lacking} if self.lacking else {}),
            "parts": [
                {
                    "name": part.name,
                    "from_ms": part.from_ms,
                    "to_ms": part.to_ms,
                    "needed": part.needed,
                    "signals": [
                        {
                            "signal": e.signal,
                            "entity_id": e.entity_id,
                            "from_ms": e.from_ms,
                            "to_ms": e.to_ms,
                            **({"needs_past": True} if e.needs_past else {}),
                        }
                        for e in part.expected
                    ],
                    **({"touched": list(part.touched)} if part.touched else {}),
                }
                for part in self.parts
            ],
        }


def apply(changes: Sequence[Change], rows: Rows) -> Rows:
    """Rows of one group after these changes, one after the other."""
    columns = {name: values.copy() for name, values in rows.columns.items()}
    kept = np.ones(len(rows), np.bool_)
    for change in changes:
        hit = np.isin(rows.sensor, change.sensors) & (rows.time_ms >= change.from_ms) & (rows.time_ms < change.to_ms)
        if change.how is How.DROP:
            kept &= ~hit
            continue
        values = columns[change.column]
        if change.how is How.SET:
            values[hit] = change.value
        elif change.how is How.TIMES:
            values[hit] *= change.value
        else:
            values[hit] += change.value
    told = Rows(rows.time_ms, rows.sensor, columns, rows.period_s)
    return told if kept.all() else told.take(kept)


def added_in(happenings: Iterable[Happening], group: str, from_ms: int, to_ms: int) -> list[Rows]:
    """What is added to a group within [from, to)."""
    found = []
    for happening in happenings:
        for part in happening.parts:
            for added in part.added:
                if added.group == group:
                    mine = (added.rows.time_ms >= from_ms) & (added.rows.time_ms < to_ms)
                    if mine.any():
                        found.append(added.rows.take(mine))
    return found


def joined(parts: Sequence[Rows]) -> Rows:
    """Rows of one group and period one after the other. All have the same columns, and there is at least one part."""
    columns = {name: np.concatenate([part.columns[name] for part in parts]) for name in parts[0].columns}
    delays: Int64Array = np.concatenate([part.delay_ms for part in parts])
    return Rows(
        np.concatenate([part.time_ms for part in parts]),
        np.concatenate([part.sensor for part in parts]),
        columns,
        parts[0].period_s,
        delays,
    )
