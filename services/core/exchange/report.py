"""What a city tells its neighbours of an incident, and the floor below which nothing is told."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from services.core.correlation.incident import IncidentState
from services.core.exchange.border import RESOLUTION, Border
from services.core.geometry import cell_of
from services.core.signals import Severity, Signal
from services.core.small_numbers import LEAST_SHOWN

__all__ = ["LEAST_PEOPLE", "MOST_CELLS", "RESOLUTION", "Facts", "Report", "report_of"]

# k of the exchange: of fewer people a neighbour learns nothing. Proposed: the floor that this project has everywhere.
LEAST_PEOPLE = LEAST_SHOWN
# An incident lists 1,000 signals at most, so it is in no more cells.
MOST_CELLS = 1_000
# Figures of evidence that are people who were counted, by kind.
PEOPLE = {("community", "people_count"): ("count_max", "count_sum")}
# States of an incident that is not, or is another one.
GONE = frozenset((IncidentState.SUPERSEDED, IncidentState.RETRACTED, IncidentState.MERGED))


@dataclass(frozen=True)
class Facts:
    """One version of an incident as its city knows it, as far as the exchange looks at it."""

    id: str
    city: str
    rule: str
    revision: int
    state: IncidentState
    severity: Severity
    start_ms: int
    end_ms: int
    latitude: float  # of its middle; NaN: not known
    longitude: float
    signals: Sequence[Signal]


@dataclass(frozen=True)
class Report:
    """All that a neighbour learns of one version of an incident. Of one that is gone, that it is gone."""

    city: str
    incident_id: str
    revision: int
    rule: str
    state: IncidentState
    severity: Severity
    start_ms: int
    end_ms: int
    cells: tuple[
        int, ...
    ]  # of resolution 7 inside the border, ascending; none: it is not, or not at the border any more
    signals: tuple[tuple[str, int], ...] = ()  # how many by domain, in the order of the names
    people: int = 0  # counted there; 0: nobody counts, or they are fewer than LEAST_PEOPLE

    @property
    def key(self) -> tuple[str, str]:
        """City and incident: whatever a city calls its incidents, it is no other city's."""
        return self.city, self.incident_id

    @property
    def stands(self) -> bool:
        """Whether there is such an incident at the border."""
        return self.state not in GONE and bool(self.cells)

    @property
    def over(self) -> bool:
        """Whether nobody needs to act on it any more."""
        return self.state is IncidentState.RESOLVED or not self.stands


def report_of(facts: Facts, border: Border, *, told: bool) -> Report | None:
    """The report of a version; None: it concerns no neighbour.

    `told`: an earlier version was reported, so that this one is too, wherever it lies.
    """
    gone = facts.state in GONE
    cells = () if gone else tuple(sorted(cell for cell in _cells(facts) if border.holds(cell)))
    if not cells and not told:
        return None
    return Report(
        city=facts.city,
        incident_id=facts.id,
        revision=facts.revision,
        rule=facts.rule,
        state=facts.state,
        severity=facts.severity,
        start_ms=facts.start_ms,
        end_ms=facts.end_ms,
        cells=cells,
        signals=tuple(sorted(Counter(signal.domain for signal in facts.signals).items())) if cells else (),
        people=people_in(facts.signals) if cells else 0,
    )


def people_in(signals: Iterable[Signal]) -> int:
    """People that were counted, each place by its greatest count; 0 where they are fewer than LEAST_PEOPLE."""
    greatest: dict[str, float] = {}
    for signal in signals:
        measures = PEOPLE.get((signal.domain, signal.kind), ())
        counts = [e.value for e in signal.evidence if e.measure in measures and math.isfinite(e.value)]
        if counts:
            greatest[signal.entity_id] = max(greatest.get(signal.entity_id, 0.0), *counts)
    people = math.floor(math.fsum(greatest.values()))
    return people if people >= LEAST_PEOPLE else 0


def _cells(facts: Facts) -> set[int]:
    """Where its signals are; where no signal knows, the middle."""
    places = {(s.latitude, s.longitude) for s in facts.signals if s.h3_cell} or {(facts.latitude, facts.longitude)}
    return {cell_of(*place, RESOLUTION) for place in places if all(map(math.isfinite, place))}
