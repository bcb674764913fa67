"""The incidents that two cities have in common: a function of their reports, and of nothing else.

Reports of two cities are *linked* when their rules are of one family, their times overlap or nearly so, and a cell of
one touches a cell of the other. What hangs together by links is one shared incident. No third city's report has a say,
so both cities find the same ones under the same ids, whoever else each of them has as a neighbour.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from enum import IntEnum
from itertools import product

from services.core.exchange.border import touching
from services.core.exchange.report import Report
from services.core.kind import DAY_MS, MINUTE_MS
from services.core.signals import Severity, id_of

# So far apart two reports may be in time and still be of one event. Proposed: the windows of the slower domains.
SLACK_MS = 15 * MINUTE_MS
# Rules that see one event from several sides, so that two cities may find it by different ones; any other rule is a
# family of its own. Part of the contract between cities: ids depend on it.
FAMILIES = {
    "crowd_road_pressure": "crowd",
    "gathering_limit": "crowd",
    "noise_then_crowd": "crowd",
    "scenic_area_full": "crowd",
    "gas_or_fire": "air",
    "hazardous_release": "air",
    "heavy_pollution": "air",
}


Key = tuple[str, str]  # city and incident


class SharedState(IntEnum):
    """Where a shared incident is in its life; equal in number to urban.correlation.v1.SharedIncidentState."""

    OPEN = 1
    RESOLVED = 2  # in every city
    WITHDRAWN = 3  # one of the cities has no part in it any more
    SUPERSEDED = 4  # another shared incident has taken its place


@dataclass(frozen=True)
class SharedIncident:
    """One version of what two cities have in common. Equal in both but for the revision, which each counts itself."""

    id: str
    cities: tuple[str, str]  # in the order of the names
    family: str
    state: SharedState
    severity: Severity
    start_ms: int
    end_ms: int
    cells: tuple[int, ...]
    reports: tuple[Report, ...]  # by city, start and incident
    superseded_by: str = ""
    revision: int = field(default=0, compare=False)  # 0: not told yet

    @property
    def stands(self) -> bool:
        return self.state in (SharedState.OPEN, SharedState.RESOLVED)


def family_of(rule: str) -> str:
    """Rules of one family see the same events."""
    return FAMILIES.get(rule, rule)


def linked(one: Report, other: Report) -> bool:
    """Whether two standing reports of different cities are of one event."""
    return (
        family_of(one.rule) == family_of(other.rule)
        and one.start_ms <= other.end_ms + SLACK_MS
        and other.start_ms <= one.end_ms + SLACK_MS
        and not set(other.cells).isdisjoint(near for cell in one.cells for near in touching(cell))
    )


class Pairing:
    """All reports of two cities, and what they have in common."""

    def __init__(self, city: str, other: str) -> None:
        if city == other:
            raise ValueError(f"city {city!r} has nothing to share with itself")
        self.cities = (min(city, other), max(city, other))
        self._newest: dict[Key, Report] = {}
        self._at: dict[tuple[str, str, int, int], set[Key]] = defaultdict(set)  # by city, family, cell and day
        self._groups: dict[str, SharedIncident] = {}
        self._group_of: dict[Key, str] = {}  # the shared incident that a report is in
        self._told: dict[str, SharedIncident] = {}

    @property
    def standing(self) -> list[SharedIncident]:
        """What the two have in common now, by id."""
        return [self._groups[shared] for shared in sorted(self._groups)]

    def take(self, report: Report) -> list[SharedIncident]:
        """Takes a report of one of the two; gives the versions that are to be told, in order of their ids."""
        return self._tell(self.place(report))

    def recall(self, told: Iterable[SharedIncident]) -> list[SharedIncident]:
        """Takes what was told before, as it lies in the log; gives what is to be told because it is otherwise now."""
        for version in told:
            known = self._told.get(version.id)
            if known is None or known.revision <= version.revision:
                self._told[version.id] = version
        return self._tell(self._told.keys() | self._groups.keys())

    def place(self, report: Report) -> set[str]:
        """Takes a report and tells nothing; gives the ids of the shared incidents that it may have changed."""
        if report.city not in self.cities:
            raise ValueError(f"city {report.city!r} is none of {self.cities}")
        known = self._newest.get(report.key)
        if known is not None and known.revision >= report.revision:
            return set()
        touched = self._members_with(report.key)
        if known is not None:
            self._index(known, remove=True)
        self._newest[report.key] = report
        self._index(report)
        for other in self._linked_with(report):
            touched |= self._members_with(other)
        return self._regroup(touched)

    def _regroup(self, touched: set[Key]) -> set[str]:
        """Groups these incidents anew: all that hung together with the changed one, or does now."""
        before = {self._group_of.pop(key) for key in touched if key in self._group_of}
        for shared in before:
            del self._groups[shared]
        after: set[str] = set()
        for component in self._components(touched):
            group = _group(self.cities, component)
            after.add(group.id)
            self._groups[group.id] = group
            self._group_of |= {report.key: group.id for report in component}
        return before | after

    def _components(self, keys: set[Key]) -> Iterator[list[Report]]:
        """What hangs together by links; a report alone is nothing that is shared."""
        left = {key for key in keys if self._newest[key].stands}
        while left:
            reached = [left.pop()]
            for key in reached:
                for other in self._linked_with(self._newest[key]):
                    if other in left:
                        left.remove(other)
                        reached.append(other)
            if len(reached) > 1:
                yield [self._newest[key] for key in reached]

    def _members_with(self, key: Key) -> set[Key]:
        """The reports of the group that one is in; itself where it is in none."""
        group = self._groups.get(self._group_of.get(key, ""))
        return {key} if group is None else {report.key for report in group.reports}

    def _linked_with(self, report: Report) -> set[Key]:
        if not report.stands:
            return set()
        other = self.cities[0] if report.city == self.cities[1] else self.cities[1]
        family, days = family_of(report.rule), _days(report.start_ms - SLACK_MS, report.end_ms + SLACK_MS)
        places = product({near for cell in report.cells for near in touching(cell)}, days)
        found = {key for cell, day in places for key in self._at.get((other, family, cell, day), ())}
        return {key for key in found if linked(report, self._newest[key])}

    def _index(self, report: Report, *, remove: bool = False) -> None:
        if not report.stands:
            return
        for cell, day in product(report.cells, _days(report.start_ms, report.end_ms)):
            there = self._at[report.city, family_of(report.rule), cell, day]
            if remove:
                there.discard(report.key)
            else:
                there.add(report.key)

    def _tell(self, shared: Iterable[str]) -> list[SharedIncident]:
        versions = []
        for id_ in sorted(shared):
            told, now = self._told.get(id_), self._groups.get(id_)
            if now is None and told is not None:
                now = self._end(told) if told.stands else told
            if now is None or now == told:
                continue
            version = replace(now, revision=told.revision + 1 if told is not None else 1)
            self._told[id_] = version
            versions.append(version)
        return versions

    def _end(self, told: SharedIncident) -> SharedIncident:
        """It is not there any more: another one has a member of it, or nobody."""
        heirs = (self._group_of.get(report.key) for report in told.reports)
        heir = next((heir for heir in heirs if heir is not None), "")
        return replace(told, state=SharedState.SUPERSEDED if heir else SharedState.WITHDRAWN, superseded_by=heir)


def _group(cities: tuple[str, str], component: Iterable[Report]) -> SharedIncident:
    reports = tuple(sorted(component, key=lambda report: (report.city, report.start_ms, report.incident_id)))
    first = [next(report for report in reports if report.city == city) for city in cities]
    return SharedIncident(
        # Of the first incident of each city: what joins later does not change it.
        id=id_of("shared incident", *sorted(report.incident_id for report in first)),
        cities=cities,
        family=family_of(first[0].rule),
        state=SharedState.RESOLVED if all(report.over for report in reports) else SharedState.OPEN,
        severity=max(report.severity for report in reports),
        start_ms=min(report.start_ms for report in reports),
        end_ms=max(report.end_ms for report in reports),
        cells=tuple(sorted({cell for report in reports for cell in report.cells})),
        reports=reports,
    )


def _days(start_ms: int, end_ms: int) -> range:
    """The days of UTC that a stretch of time touches."""
    return range(start_ms // DAY_MS, end_ms // DAY_MS + 1)
