"""What one camera tells, as entities, topics and columns of camera_event, in the order in which it tells it.

A property of ONVIF is told when it changes, and a counter counts from its last reset; how long a state has held and how
many crossed since are found here, by the device's own times. So the same messages give the same rows.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from datetime import datetime, timedelta

from services.feeds.onvif_messages import Notice, Scene, Sign
from services.feeds.onvif_topics import (
    count_of,
    counts_people,
    door_tamper_of,
    is_over,
    objects_of,
    place_of,
    since_of,
    state_of,
    token_of,
    topic_of,
)
from services.security.indices.camera_topics import TAMPER_TOPICS, CameraTopic

Columns = dict[str, float]
Told = tuple[str, CameraTopic, Columns]  # entity, topic and columns of a row

# A sign of life, and what is in the picture, are told so often at most: devices tell frames 25 times a second.
BEAT_EVERY = timedelta(seconds=10)
SCENE_EVERY = timedelta(seconds=1)
# How many are there holds until another number is told, and is told so often again.
COUNT_EVERY = timedelta(minutes=1)
_LONGEST_S = 7 * 86_400.0
_MOST_OBJECTS = 1_000  # of a zone that are remembered, and may have left unseen


class Camera:
    """What has to be remembered of one camera; its rules are entities of their own, named behind it."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._tampers: dict[tuple[str, ...], None] = {}  # that hold now: topic and source
        self._tampered_since: datetime | None = None
        self._inside: dict[str, dict[str, None]] = {}  # by zone: objects
        self._counts: dict[str, int] = {}  # by line: as its counter told last
        self._there: dict[str, tuple[datetime, Columns]] = {}  # by zone: when it was told how many, and what
        self._beat: datetime | None = None
        self._scene: datetime | None = None

    def tell(self, message: Notice | Scene | Sign) -> Iterator[Told]:
        """Entity, topic and columns of each row."""
        if isinstance(message, Scene):
            yield from self._tell_scene(message)
        elif isinstance(message, Notice) and (topic := topic_of(message)) is not None:
            if topic in TAMPER_TOPICS:
                yield self._name, topic, self._tell_tamper(message)
            elif (columns := _TELL[topic](self, message)) is not None:
                yield self._entity(place_of(message)), topic, columns
        yield from self._tell_again(message.time)
        if self._beat is None or abs(message.time - self._beat) >= BEAT_EVERY:
            self._beat = message.time
            yield self._name, CameraTopic.HEARTBEAT, self._tampering(message.time)

    def _tell_again(self, now: datetime) -> Iterator[Told]:
        """The numbers that hold in zones that have not told them for a minute."""
        for place, (told, columns) in self._there.items():
            if now - told >= COUNT_EVERY:
                self._there[place] = now, columns
                yield self._entity(place), CameraTopic.OCCUPANCY_COUNTER, columns

    def _entity(self, place: str) -> str:
        return f"{self._name}:{place}" if place else self._name

    def _tell_scene(self, scene: Scene) -> Iterator[Told]:
        if self._scene is not None and abs(scene.time - self._scene) < SCENE_EVERY:
            return
        self._scene = scene.time
        columns: Columns = {"value": scene.objects, "people": scene.people}
        if scene.confidence is not None:
            columns["confidence"] = round(scene.confidence, 6)
        yield self._name, CameraTopic.SCENE, columns

    def _tell_tamper(self, notice: Notice) -> Columns:
        """The picture is tampered with while any of the alarms holds, of whichever service."""
        about, on = (*notice.topic, token_of(notice)), state_of(notice)
        since = self._tampered_since
        if on:
            self._tampers[about] = None
            self._tampered_since = since or notice.time
        else:
            self._tampers.pop(about, None)
        if self._tampers:
            return {"value": float(on), **self._tampering(notice.time)}
        self._tampered_since = None
        return {"value": 0.0, "tampered": 0.0, "tamper_s": 0.0 if since is None else _seconds(since, notice.time)}

    def _tampering(self, now: datetime) -> Columns:
        since = self._tampered_since
        return {} if since is None else {"tampered": 1.0, "tamper_s": _seconds(since, now)}

    def _tell_inside(self, notice: Notice) -> Columns:
        """How many objects are in a zone: each has a property of its own, or all are listed in one."""
        inside = self._inside.setdefault(place_of(notice), {})
        here = state_of(notice, "IsInside")
        if notice.object_id:
            inside.pop(notice.object_id, None)
            if here:
                inside[notice.object_id] = None
        else:
            inside.clear()
            # One at least, where none is named.
            inside.update(dict.fromkeys((objects_of(notice) or ["?"]) if here else []))
        while len(inside) > _MOST_OBJECTS:
            del inside[next(iter(inside))]
        return {"value": float(len(inside))}

    def _tell_loitering(self, notice: Notice) -> Columns | None:
        if is_over(notice):
            return None
        since = since_of(notice)
        return {} if since is None else {"loitering_s": _seconds(since, notice.time)}

    def _tell_occupancy(self, notice: Notice) -> Columns | None:
        place = place_of(notice)
        if is_over(notice):
            self._there.pop(place, None)
            return None
        count = float(count_of(notice))
        columns = {"value": count, "people": count} if counts_people(notice) else {"value": count}
        self._there[place] = notice.time, columns
        return columns

    def _tell_counter(self, notice: Notice) -> Columns | None:
        """Of the first count it is not known when it began; one that is smaller began anew."""
        if is_over(notice):
            return None
        line, count = place_of(notice), count_of(notice)
        before = self._counts.get(line)
        self._counts[line] = count
        if before is None:
            return {"value": float(count)}
        return {"value": float(count), "crossings": float(count - before if count >= before else count)}

    def _tell_crossed(self, notice: Notice) -> Columns:
        return {"crossings": float(max(1, len(objects_of(notice))))}

    def _tell_plain(self, notice: Notice) -> Columns | None:
        return None if is_over(notice) else {"value": 1.0}

    def _tell_door(self, notice: Notice) -> Columns | None:
        return {"value": 1.0} if door_tamper_of(notice) else None

    def _tell_passback(self, notice: Notice) -> Columns | None:
        """A device tells, when it is asked first, of each credential that there is no violation."""
        return {"value": 1.0} if state_of(notice, "ApbViolation") else None


_TELL: Mapping[CameraTopic, Callable[[Camera, Notice], Columns | None]] = {
    CameraTopic.LINE_CROSSED: Camera._tell_crossed,
    CameraTopic.OBJECTS_INSIDE: Camera._tell_inside,
    CameraTopic.LOITERING: Camera._tell_loitering,
    CameraTopic.OCCUPANCY_COUNTER: Camera._tell_occupancy,
    CameraTopic.LINE_COUNTER: Camera._tell_counter,
    CameraTopic.OBJECT_ABANDONED: Camera._tell_plain,
    CameraTopic.DURESS: Camera._tell_plain,
    CameraTopic.DOOR_TAMPER: Camera._tell_door,
    CameraTopic.APB_VIOLATION: Camera._tell_passback,
}


def _seconds(since: datetime, until: datetime) -> float:
    """Seconds between, never fewer than none, as many as a column holds."""
    return round(min(max((until - since).total_seconds(), 0.0), _LONGEST_S), 3)
