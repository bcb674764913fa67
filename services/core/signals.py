"""What detectors find, and the signals that become of it."""

from __future__ import annotations

import hashlib
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum

import numpy as np
from numpy.typing import NDArray

# Name space of every id that Urban Brain derives (a version 4 UUID drawn once, never to change).
NAMESPACE = uuid.UUID("5fda0ce9-b015-4598-941e-07ac153a73c9")


class Severity(IntEnum):
    """After CAP 1.2; equal in number to urban.common.v1.Severity."""

    MINOR = 1
    MODERATE = 2
    SEVERE = 3
    EXTREME = 4


# Labels of an entity that its signals carry: what two entities can be of, and signals of both be correlated by.
# "place" is what kind of place it is: platform, venue, square.
CARRIED_LABELS = ("building", "cabinet", "district", "line", "line_m", "place", "road", "road_m")
# Of them, where on a line or road an entity lies, in metres from a point that all of it count from.
POSITION_LABELS = {"line": "line_m", "road": "road_m"}
# Of them, whose entities are counted: a signal also says how many entities of its city have its value of the label.
COUNTED_LABELS = {"building": "building_entities", "cabinet": "cabinet_entities"}
# Of these, where only those entities are counted of which some detector tells that they have fallen silent: what hangs
# on one cabinet is asked for to know which share of it does.
HEARD_LABELS = frozenset({"cabinet"})


@dataclass(frozen=True)
class EvidenceColumn:
    """One figure that a detector weighed, for every row of its batch. NaN: none."""

    measure: str  # with unit: "travel_time_index", "speed_kmh_mean"
    value: NDArray[np.float64]
    threshold: float | NDArray[np.float64]
    expected: NDArray[np.float64] | None = None  # what is normal

    def some(self, rows: NDArray[np.int64]) -> EvidenceColumn:
        """That of these rows."""
        threshold = self.threshold[rows] if isinstance(self.threshold, np.ndarray) else self.threshold
        expected = None if self.expected is None else self.expected[rows]
        return EvidenceColumn(self.measure, self.value[rows], threshold, expected)


@dataclass(frozen=True)
class Finding:
    """A detector's word on every row of a batch. Shapes: (rows,)."""

    breached: NDArray[np.bool_]
    severity: NDArray[np.int64]  # of Severity, where breached
    score: NDArray[np.float64]  # 0 (just) to 1, where breached
    evidence: tuple[EvidenceColumn, ...]
    models: Sequence[str] | None = None  # of each row, what it was judged by: "hj-633-2026"; None: the baseline, if any

    def some(self, rows: NDArray[np.int64]) -> Finding:
        """The word on these rows."""
        evidence = tuple(column.some(rows) for column in self.evidence)
        return Finding(self.breached[rows], self.severity[rows], self.score[rows], evidence)


@dataclass(frozen=True)
class Evidence:
    """One figure behind one signal."""

    measure: str
    value: float
    threshold: float
    expected: float = float("nan")


@dataclass(frozen=True, slots=True)
class Signal:
    """One detector's finding about one entity and one window; equal to urban.common.v1.Signal."""

    id: str
    city: str
    domain: str
    kind: str
    type: str
    entity_id: str
    window: str
    start_ms: int
    end_ms: int
    retracted: bool
    severity: Severity
    score: float
    evidence: tuple[Evidence, ...]
    revision: int
    detector_version: str
    model: str = ""
    latitude: float = float("nan")  # NaN: the entity's position is not known
    longitude: float = float("nan")
    h3_cell: int = 0
    attributes: tuple[tuple[str, str], ...] = ()  # labels of the entity, by name: ("road", "SH1")


def signal_id(city: str, domain: str, kind: str, detector: str, entity_id: str, window: str, start_ms: int) -> str:
    """The same finding has the same id on every run: UUID version 5 of what it is about."""
    return id_of(city, domain, kind, detector, entity_id, window, str(start_ms))


def id_of(*parts: str) -> str:
    """UUID version 5 of some texts in our name space: `str(uuid.uuid5(…))` without the object in between."""
    digest = bytearray(hashlib.sha1(NAMESPACE.bytes + "\x1f".join(parts).encode(), usedforsecurity=False).digest()[:16])
    digest[6] = digest[6] & 0x0F | 0x50
    digest[8] = digest[8] & 0x3F | 0x80
    text = digest.hex()
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"
