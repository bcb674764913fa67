"""Incidents: what several signals mean together, with all that they stand on (urban.correlation.v1.Incident)."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import IntEnum
from functools import cached_property, lru_cache
from typing import Any, NamedTuple

from services.core.correlation.action import Hands
from services.core.correlation.explanation import explain
from services.core.correlation.query import windows_query
from services.core.correlation.verdict import Outcome
from services.core.signals import Severity, Signal, id_of


class IncidentState(IntEnum):
    """Where an incident is in its life; equal in number to urban.correlation.v1.IncidentState."""

    OPEN = 1
    ACKNOWLEDGED = 2
    RESOLVED = 3
    SUPERSEDED = 4
    RETRACTED = 5
    REOPENED = 6
    MERGED = 7


class Link(NamedTuple):
    """Two signals that belong together."""

    first_signal_id: str  # of the selector that the rule names first; of one selector: the earlier one
    second_signal_id: str
    distance_m: float  # great circle, to the millimetre
    gap_s: float  # between the windows; 0 where they touch or overlap


@dataclass(frozen=True)
class Threshold:
    """A bound of the rule, "radius_m"."""

    name: str
    value: float


@dataclass(frozen=True)
class Muted:
    """Why nobody is told of an incident, though it stands."""

    limited: bool = False  # it is beyond the limit of its rule
    surplus: int = 0  # of the last one within the limit: how many are beyond it; it is told itself
    flaps: int = 0  # so many like it began shortly before it; 0: it does not flap
    flapping_since_ms: int = 0  # start of the first of these
    inhibited_by: str = ""  # id of the incident that inhibits it; empty: none

    @property
    def holds(self) -> bool:
        """Whether nobody is told."""
        return self.limited or self.flaps > 0 or bool(self.inhibited_by)


NOT_MUTED = Muted()


@dataclass(frozen=True)
class Change:
    """What a version of an incident changed: for the audit."""

    what: str  # "opened", "acknowledged", "reopened" …
    actor: str = ""  # empty: the correlation itself
    time_ms: int = 0  # of an action, by wall clock; 0: event time knows
    why: str = ""
    request_id: str = ""


@dataclass(frozen=True)
class Incident:
    """One version of an incident."""

    id: str
    city: str
    rule: str
    rule_version: int
    state: IncidentState
    severity: Severity
    title: str
    start_ms: int
    end_ms: int
    latitude: float
    longitude: float
    h3_cell: int
    extent_m: float
    signals: tuple[Signal, ...]  # by start and id
    links: tuple[Link, ...]
    thresholds: tuple[Threshold, ...]
    signal_count: int  # signals that it stands on: more than it lists where there are very many
    link_count: int
    revision: int
    superseded_by: str = ""
    supersedes: tuple[str, ...] = ()  # incidents whose place it took, by id
    hands: Hands = field(default_factory=Hands)  # what people have made of it
    planned_event: str = ""  # id of a planned event that explains it; empty: none
    muted: Muted = NOT_MUTED
    settled: bool = False  # the last version: no signal and no action changes it any more
    outcomes: tuple[Outcome, ...] = ()  # of the rule's conditions beside those that name a signal
    changes: tuple[Change, ...] = field(default=(), compare=False)  # against the version before

    @property
    def over(self) -> bool:
        """Whether nobody needs to act on it any more."""
        return self.state not in (IncidentState.OPEN, IncidentState.ACKNOWLEDGED, IncidentState.REOPENED)

    # Both are made when they are written: most versions on the way to one are told to nobody.

    @cached_property
    def query(self) -> str:
        """The ClickHouse query that returns exactly the windows behind the signals that it lists."""
        return windows_query(self.city, self.signals)

    @cached_property
    def explanation(self) -> str:
        """What it says to people."""
        return explain(self)

    @property
    def acknowledged_by(self) -> str:
        return self.hands.acknowledged_by

    @property
    def acknowledge_time_ms(self) -> int:
        return self.hands.acknowledge_time_ms


def changed(incident: Incident, **fields: Any) -> Incident:
    """The incident with some fields as given: like `dataclasses.replace`, but cheap: a version needs several."""
    after = object.__new__(Incident)
    after.__dict__.update(incident.__dict__)
    after.__dict__.pop("explanation", None)
    if "signals" in fields:
        after.__dict__.pop("query", None)
    after.__dict__.update(fields)
    return after


@lru_cache(maxsize=16_384)
def incident_id(city: str, rule: str, version: int, first_signal_id: str) -> str:
    """The same log gives the same id: UUID version 5 of city, rule, version and the first signal by start and id."""
    return id_of(city, rule, str(version), first_signal_id)
