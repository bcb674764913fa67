"""What a city has in common with each of the others that it hears of."""

from __future__ import annotations

from collections.abc import Iterable

from services.core.exchange.pairing import Key, Pairing, SharedIncident
from services.core.exchange.report import Report


class Board:
    """All reports that a city has told and heard, and its shared incidents with every other city."""

    def __init__(self, city: str) -> None:
        self.city = city
        self._newest: dict[Key, Report] = {}
        self._pairings: dict[str, Pairing] = {}  # by the other city

    def revision(self, city: str, incident_id: str) -> int:
        """Of the newest report of an incident; 0: there is none."""
        report = self._newest.get((city, incident_id))
        return 0 if report is None else report.revision

    @property
    def standing(self) -> list[SharedIncident]:
        """The newest of each shared incident that stands."""
        return [shared for other in sorted(self._pairings) for shared in self._pairings[other].standing]

    def take(self, report: Report) -> list[SharedIncident]:
        """Takes a report of this city or another; gives the versions of shared incidents that are to be told."""
        if not self._note(report):
            return []
        return [version for pairing in self._concerned(report) for version in pairing.take(report)]

    def recover(self, reports: Iterable[Report], told: Iterable[SharedIncident]) -> list[SharedIncident]:
        """Takes what a former run has left, as it lies in the log; gives what that run did not come to tell."""
        for report in reports:
            if self._note(report):
                for pairing in self._concerned(report):
                    pairing.place(report)
        by_other: dict[str, list[SharedIncident]] = {}
        for version in told:
            one, two = version.cities
            if self.city in (one, two):  # a file of neighbours may have been another city's before
                by_other.setdefault(two if one == self.city else one, []).append(version)
        for other in by_other:
            self._pairing(other)
        return [
            version
            for other in sorted(self._pairings)
            for version in self._pairings[other].recall(by_other.get(other, ()))
        ]

    def _note(self, report: Report) -> bool:
        """Whether it is news."""
        if report.revision <= self.revision(report.city, report.incident_id):
            return False
        self._newest[report.key] = report
        return True

    def _concerned(self, report: Report) -> list[Pairing]:
        """An own report concerns all others, another city's that city alone."""
        if report.city == self.city:
            return [self._pairings[other] for other in sorted(self._pairings)]
        return [self._pairing(report.city)]

    def _pairing(self, other: str) -> Pairing:
        pairing = self._pairings.get(other)
        if pairing is None:
            pairing = self._pairings[other] = Pairing(self.city, other)
            for (city, _), report in self._newest.items():
                if city == self.city:
                    pairing.place(report)
        return pairing
