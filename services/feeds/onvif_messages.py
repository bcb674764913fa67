"""What ONVIF devices tell, without the form that it came in: notices of events, scenes, and signs of life.

Source: ONVIF Core (25 Event handling), Analytics (5 Scene description, Annex of rules) and Imaging (Tampering), in the
state of github.com/onvif/specs of 2026-07-23. Of what a device tells only named items are taken: no picture, no plate,
no face and no name of a holder ever leaves a reader, and no credential but to be hashed (onvif_access.py).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import NamedTuple

# Items that say where a notice comes from, in their order, and what it tells.
SOURCE_ITEMS = frozenset(
    {
        *("VideoSource", "VideoSourceToken", "VideoSourceConfigurationToken", "Source"),
        *("AnalyticsConfiguration", "VideoAnalyticsConfigurationToken", "Rule", "DoorToken", "AccessPointToken"),
    }
)
DATA_ITEMS = frozenset({"State", "IsInside", "Count", "Since", "ObjectId", "ClassTypes", "ApbViolation"})


class Items(NamedTuple):
    """Names of the items that a reader takes."""

    source: frozenset[str]
    data: frozenset[str]


CAMERA_ITEMS = Items(SOURCE_ITEMS, DATA_ITEMS)
DELETED = "Deleted"
# A document or payload that is larger is refused before it is read.
MOST_BYTES = 4 * 2**20
_LONGEST_SHOWN = 80


@dataclass(frozen=True)
class Notice:
    """One event: its topic in segments without the prefix of ONVIF's own topics, and the items of it that are taken."""

    time: datetime  # UTC
    topic: tuple[str, ...]
    operation: str = ""  # of a property: Initialized, Changed or Deleted
    source: Mapping[str, str] = field(default_factory=dict)
    object_id: str = ""  # key of a property that each object has
    data: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Scene:
    """How much is in the picture at one moment."""

    time: datetime  # UTC
    objects: int
    people: int
    confidence: float | None = None  # mean likelihood of the people
    source: str = ""


@dataclass(frozen=True)
class Sign:
    """A device answered, and had nothing else to say."""

    time: datetime  # UTC, by the device


class MetadataFault(ValueError):
    """A message that cannot be taken: which element or field, its value, and why."""


Message = Notice | Scene | Sign | MetadataFault


def read_time(name: str, text: str | None) -> datetime:
    """A time of ONVIF, which is UTC whether it says so or not. MetadataFault where it is none."""
    if not text or not text.strip():
        raise MetadataFault(f"{name} is missing")
    try:
        if "T" not in text:
            raise ValueError
        time = datetime.fromisoformat(text.strip())
    except ValueError:
        raise MetadataFault(f"{name} = {shown(text)} is no time, as 2026-06-01T08:30:00.250Z") from None
    return time.replace(tzinfo=UTC) if time.tzinfo is None else time.astimezone(UTC)


def shown(value: object) -> str:
    """A value in a message to people, not longer than they would read."""
    text = repr(value)
    return text if len(text) <= _LONGEST_SHOWN else f"{text[:_LONGEST_SHOWN]}… ({len(text)} characters)"


def taken(items: Iterable[tuple[str, str]], names: frozenset[str]) -> dict[str, str]:
    """Those items that are taken, in their order; of several of one name, all of them, apart by blanks."""
    found: dict[str, str] = {}
    for name, value in items:
        if name in names:
            found[name] = f"{found[name]} {value}" if name in found else value
    return found
