"""All that a correlator knows, as plain data: what a checkpoint holds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from services.core.correlation.action import Action
from services.core.correlation.event_time import EventTimeState
from services.core.correlation.planned import PlannedEvent
from services.core.signals import Signal


@dataclass(frozen=True)
class IncidentRecord:
    """What is remembered of an incident beside the signals that it stands on."""

    id: str
    rule: str  # by name
    revision: int
    settled_ms: int  # event time after which it is forgotten; only of those that are superseded or retracted
    superseded_by: str = ""
    standing: bool = True
    inhibited_by: str = ""  # what stands for it, or stood for it until it was settled


@dataclass(frozen=True)
class PassedIncident:
    """An incident that is settled, and still counts for the limit of its rule, or for whether another one flaps."""

    rule: str
    version: int
    city: str
    start_ms: int
    id: str
    entities: tuple[tuple[str, str, str], ...] = ()  # domain, kind, entity; where its rule asks for flapping


@dataclass
class CorrelatorCounters:
    """What became of the findings and reports that were taken."""

    taken: int = 0  # findings that told something new
    repeated: int = 0  # an older version, or the same once more
    unmatched: int = 0  # of no rule's concern
    settled: int = 0  # too late to change anything: event time had passed them by the rule's time to settle
    reports: int = 0  # watermark reports
    overflow: int = 0  # too many to hold, or too many in one place and time to link


@dataclass(frozen=True)
class LedgerState:
    """What is remembered of the incidents of all rules."""

    incidents: tuple[IncidentRecord, ...] = ()  # by id
    actions: tuple[Action, ...] = ()  # on the incidents above, and those that wait for one; by id
    planned: tuple[PlannedEvent, ...] = ()  # that may still explain an incident; by city and id
    passed: tuple[PassedIncident, ...] = ()  # by rule, version, city, start and id


class SignalChanges(NamedTuple):
    """What became of the signals that a correlator knows, since it was last asked."""

    new: Sequence[Signal]  # in the version that counts now
    gone: Sequence[str]  # by id


@dataclass(frozen=True)
class CorrelatorState:
    """State of a correlator after some record of the log."""

    event_time: EventTimeState
    signals: tuple[Signal, ...]  # every version that still matters, retracted ones too; by id
    counters: CorrelatorCounters
    ledger: LedgerState = field(default_factory=LedgerState)  # empty where it is one with that of other rules
    closed: bool = False  # its rule is no longer in force: it takes no new signal, and what it found runs out
