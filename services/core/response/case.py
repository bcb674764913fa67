"""What a responder knows of an incident, what it tells, and how it words that."""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from enum import IntEnum

from services.core.correlation.incident import IncidentState
from services.core.signals import NAMESPACE, Severity, Signal


class Reason(IntEnum):
    """Why somebody is told; equal in number to urban.correlation.v1.NotificationReason."""

    OPENED = 1
    RAISED = 2
    LOWERED = 3
    ESCALATED = 4
    ENDED = 5
    WITHDRAWN = 6


@dataclass(frozen=True)
class Seen:
    """One version of an incident, as far as a plan looks at it."""

    id: str
    city: str
    rule: str
    revision: int
    state: IncidentState
    severity: Severity
    title: str
    latitude: float
    longitude: float
    h3_cell: int
    acted: frozenset[str] = frozenset()  # of the clocks' names: what has happened in this round
    closed: bool = False  # somebody has verified that it is over
    settled: bool = False  # nothing changes it any more
    reopen_count: int = 0
    supersedes: tuple[str, ...] = ()
    superseded_by: str = ""
    planned_event: str = ""
    muted: bool = False  # it is beyond a limit, flaps, or is inhibited: nobody is told anything but its end
    signals: tuple[Signal, ...] = ()  # empty where no plan asks for them
    explanation: str = ""  # what happened, in a sentence or two; empty: an older version of the software told it


@dataclass
class Case:
    """One incident in the hands of its plan."""

    seen: Seen  # its newest version, without signals
    plan: str
    opened_ms: int  # when it was first told, by record time
    heard_ms: int  # record time of its newest version
    level: str = ""  # empty: nobody is told
    since_ms: int = 0  # when this level was reached: its clocks run from then on
    round: int = 0  # how often it was reopened
    steps: int = 0  # changes of level so far
    told: tuple[str, ...] = ()  # everybody who was told, in order
    breached: tuple[str, ...] = ()  # clocks that ran out in this round: "acknowledge", and where: "alarm/acknowledge"
    ended: bool = False  # everybody was told that it is over
    live: bool = True  # False: it is somebody else's, or over for good

    def ran_out(self, clock: str) -> bool:
        """Whether a clock has run out at this level in this round."""
        # Checkpoints of before levels were noted do not say at which: then it may have been this one.
        unknown = clock in self.breached and not any(b.endswith(f"/{clock}") for b in self.breached)
        return unknown or f"{self.level}/{clock}" in self.breached

    def run_out(self, clock: str) -> str:
        """Notes that a clock has run out at this level; gives the step's name, of which ids are made."""
        # The first of a round is named as before levels were noted: what was told then is not told again.
        first = clock not in self.breached
        self.breached = tuple(dict.fromkeys((*self.breached, clock, f"{self.level}/{clock}")))
        return f"{self.round}/clock/{clock}" if first else f"{self.round}/clock/{clock}/{self.level}"


@dataclass(frozen=True)
class Notice:
    """One message to one receiver (urban.correlation.v1.Notification)."""

    id: str
    seen: Seen
    plan: str
    plan_version: int
    level: str
    receiver: str
    reason: Reason
    time_ms: int
    clock: str = ""
    due_ms: int = 0
    instruction: str = ""  # what its level asks for; empty: nothing is said, or it is over

    @property
    def text(self) -> str:
        """One sentence for people."""
        if self.reason is Reason.ENDED and self.seen.state is IncidentState.MERGED:
            return f"Goes on under another incident: {self.seen.title}."
        if not self.level and self.reason is Reason.LOWERED:
            return f"Below all levels: {self.seen.title}."
        level, clock = self.level.replace("_", " "), _ACTS.get(self.clock, "")
        return _WORDS[self.reason].format(level=level, clock=clock, title=self.seen.title)


def notice_id(incident_id: str, plan: str, step: str, receiver: str) -> str:
    """The same step of the same incident gives the same id: receivers drop what they have."""
    return str(uuid.uuid5(NAMESPACE, "\x1f".join(("notification", incident_id, plan, step, receiver))))


_ACTS = {
    "acknowledge": "taken it over",
    "dispatch": "sent anything there",
    "feedback": "told how it looks there",
    "close": "verified that it is over",
}
_WORDS = {
    Reason.OPENED: "Level {level}: {title}.",
    Reason.RAISED: "Raised to level {level}: {title}.",
    Reason.LOWERED: "Lowered to level {level}: {title}.",
    Reason.ESCALATED: "Nobody has {clock} in time, level {level}: {title}.",
    Reason.ENDED: "Over: {title}.",
    Reason.WITHDRAWN: "Withdrawn, nothing is to be done: {title}.",
}
