"""In which order signals, actions and planned events were folded: after a kill it is done in that order again.

The three come on topics of their own, and no log says how they met. So each version of an incident is told with how far
every topic was read when it was made. What was told since a checkpoint says then where an action has to be folded among
the signals: else it could be read before the incident that it is about, two versions would become one, and what is
told next would have a number that everybody has seen already.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import NamedTuple

from services.runtime.catalogue import INCIDENT_ACTIONS, PLANNED_EVENTS
from services.runtime.log import Headers

# Of a record of urban.incidents.v1: the next offsets of the signals, the actions and the planned events, with commas.
HEADER = "urban_read"


class Read(NamedTuple):
    """The next offset of each topic."""

    signals: int
    actions: int
    planned: int

    def header(self) -> tuple[str, bytes]:
        """As it is told with a version."""
        return HEADER, ",".join(map(str, self)).encode()


class Turn(NamedTuple):
    """A topic is to be folded up to an offset before the signal at `signals` is taken."""

    signals: int
    topic: str
    until: int


def read_of(headers: Headers) -> Read | None:
    """What a version was told with; None: a version of the software that did not tell it."""
    try:
        signals, actions, planned = map(int, dict(headers)[HEADER].split(b","))
    except (KeyError, ValueError):
        return None
    return Read(signals, actions, planned)


def turns_of(told: Iterable[Read], start: Read) -> Iterator[Turn]:
    """The order in which everything was folded that came to these versions, from a start on.

    Between two versions nothing that was folded changed any incident. So it may be folded right behind the first.
    """
    at = start
    for read in told:
        for topic, before, until in (
            (INCIDENT_ACTIONS, at.actions, read.actions),
            (PLANNED_EVENTS, at.planned, read.planned),
        ):
            if until > before:
                yield Turn(at.signals, topic, until)
        at = Read(*map(max, at, read))
