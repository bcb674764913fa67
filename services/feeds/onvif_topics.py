"""Which topics of ONVIF are taken, and what of their data: the table between a device's words and camera_event."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from datetime import datetime

from services.feeds.onvif_messages import DELETED, MetadataFault, Notice, read_time, shown
from services.security.indices.camera_topics import CameraTopic

TOPICS: Mapping[tuple[str, ...], CameraTopic] = {
    ("RuleEngine", "LineDetector", "Crossed"): CameraTopic.LINE_CROSSED,
    ("RuleEngine", "FieldDetector", "ObjectsInside"): CameraTopic.OBJECTS_INSIDE,
    ("RuleEngine", "LoiteringDetector", "ObjectIsLoitering"): CameraTopic.LOITERING,
    ("RuleEngine", "CountAggregation", "OccupancyCounter"): CameraTopic.OCCUPANCY_COUNTER,
    ("RuleEngine", "CountAggregation", "Counter"): CameraTopic.LINE_COUNTER,
    ("RuleEngine", "ObjectAbandoned"): CameraTopic.OBJECT_ABANDONED,
    ("VideoSource", "SignalLoss"): CameraTopic.SIGNAL_LOSS,
    # Who noticed it stands behind: AnalyticsService, ImagingService, RecordingService.
    ("VideoSource", "GlobalSceneChange"): CameraTopic.GLOBAL_SCENE_CHANGE,
    ("VideoSource", "ImageTooDark"): CameraTopic.IMAGE_TOO_DARK,
    ("VideoSource", "ImageTooBright"): CameraTopic.IMAGE_TOO_BRIGHT,
    ("VideoSource", "ImageTooBlurry"): CameraTopic.IMAGE_TOO_BLURRY,
    ("AccessControl", "Duress"): CameraTopic.DURESS,
    ("Door", "State", "DoorTamper"): CameraTopic.DOOR_TAMPER,
    ("Credential", "State", "ApbViolation"): CameraTopic.APB_VIOLATION,
}
_LONGEST_TOPIC = max(map(len, TOPICS))
# What a rule, a door or an access point is called in a notice.
_PLACE_ITEMS = ("Rule", "DoorToken", "AccessPointToken")
_TOKEN_ITEMS = ("VideoSource", "VideoSourceToken", "VideoSourceConfigurationToken", "Source")
_BOOLEANS = {"true": True, "1": True, "false": False, "0": False}
# Of tdc:DoorTamperState; Unknown is none of both.
_TAMPER_STATES = {"TamperDetected": True, "NotInTamper": False}
_PEOPLE = frozenset({"Human", "Person"})
_UNFIT = re.compile(r"[^A-Za-z0-9._~-]+")
# An entity id of 128 holds a camera, a video source and a rule.
LONGEST_CAMERA = 62
_LONGEST_NAME = 32
_MARK = 9  # "~" and eight hexadecimal digits


def topic_of(notice: Notice) -> CameraTopic | None:
    """The topic that is taken, or None; a topic below one that is taken is that one."""
    for length in range(min(_LONGEST_TOPIC, len(notice.topic)), 0, -1):
        if (topic := TOPICS.get(notice.topic[:length])) is not None:
            return topic
    return None


def place_of(notice: Notice) -> str:
    """Name of the rule, door or access point, fit for an entity id; empty where there is none."""
    return next((name_of(notice.source[item]) for item in _PLACE_ITEMS if notice.source.get(item)), "")


def token_of(notice: Notice) -> str:
    """Token of the video source, fit for an entity id; empty where it is not told."""
    return next((name_of(notice.source[item]) for item in _TOKEN_ITEMS if notice.source.get(item)), "")


def name_of(text: str, longest: int = _LONGEST_NAME) -> str:
    """A name as a part of an entity id. What is changed or cut gets a mark of what it was: two names stay two."""
    fit = _UNFIT.sub("-", text)
    if fit == text and len(fit) <= longest:
        return fit
    return f"{fit[: longest - _MARK]}~{hashlib.sha256(text.encode()).hexdigest()[:8]}"


def is_over(notice: Notice) -> bool:
    """Whether it says that something is no more: the property is deleted, or its state is false."""
    return notice.operation == DELETED or _BOOLEANS.get(notice.data.get("State", "").lower()) is False


def state_of(notice: Notice, item: str = "State") -> bool:
    """A state that is on or off. A property that is deleted is off. MetadataFault where it is neither."""
    if notice.operation == DELETED:
        return False
    text = notice.data.get(item, "")
    if (state := _BOOLEANS.get(text.lower())) is None:
        raise MetadataFault(f"{_path(notice)}: {item} = {shown(text)} must be true or false")
    return state


def door_tamper_of(notice: Notice) -> bool | None:
    """Whether a door is tampered with; None where the device does not know."""
    text = notice.data.get("State", "")
    if notice.operation == DELETED or text == "Unknown":
        return None
    if text not in _TAMPER_STATES:
        raise MetadataFault(f"{_path(notice)}: State = {shown(text)} must be {', '.join(_TAMPER_STATES)} or Unknown")
    return _TAMPER_STATES[text]


def count_of(notice: Notice) -> int:
    """What a counter shows; more may have gone than came, and there is never less than nobody."""
    text = notice.data.get("Count", "")
    try:
        return max(0, int(text))
    except ValueError:
        raise MetadataFault(f"{_path(notice)}: Count = {shown(text)} must be a whole number") from None


def since_of(notice: Notice) -> datetime | None:
    """Since when an object loiters; None where it is not told."""
    text = notice.data.get("Since")
    return None if text is None else read_time(f"{_path(notice)}: Since", text)


def objects_of(notice: Notice) -> list[str]:
    """Ids of the objects that triggered a rule."""
    return notice.data.get("ObjectId", "").split()


def counts_people(notice: Notice) -> bool:
    """Whether what is counted may be people: a device that tells classes tells people among them."""
    classes = notice.data.get("ClassTypes", "").split()
    return not classes or not _PEOPLE.isdisjoint(classes)


def _path(notice: Notice) -> str:
    return "/".join(notice.topic)
