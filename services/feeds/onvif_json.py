"""ONVIF events as JSON over MQTT (ONVIF Core, "Event broker", payload onvif-ej) as notices.

A line is what `mosquitto_sub -F %J` prints of a message: `{"tst": "…", "topic": "…", "payload": {…}}`; an empty payload
says that a property is deleted, at `tst`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any

import orjson

from services.feeds.onvif_messages import (
    CAMERA_ITEMS,
    DELETED,
    MOST_BYTES,
    Items,
    MetadataFault,
    Notice,
    read_time,
    shown,
    taken,
)

_FORM = "/onvif-ej/"


def read_line(line: bytes, items: Items = CAMERA_ITEMS) -> tuple[str, Notice]:
    """The device (its topic prefix) and the notice of one line. MetadataFault names what cannot be taken."""
    if len(line) > MOST_BYTES:
        raise MetadataFault(f"{len(line)} bytes are more than {MOST_BYTES}")
    message = _object("line", line)
    topic, payload = message.get("topic"), message.get("payload")
    if not isinstance(topic, str):
        raise MetadataFault(f"topic = {shown(topic)} is no topic")
    received = read_time("tst", str(message["tst"])) if message.get("tst") else None
    if isinstance(payload, Mapping):
        return _message(topic, payload, items)
    if payload is not None and not isinstance(payload, str):
        raise MetadataFault(f"payload is no object but a {type(payload).__name__}")
    return read_message(topic, (payload or "").encode(), received, items)


def read_message(
    topic: str, payload: bytes, received: datetime | None = None, items: Items = CAMERA_ITEMS
) -> tuple[str, Notice]:
    """The device (its topic prefix) and the notice of one message, received at that time. MetadataFault as above."""
    if len(payload) > MOST_BYTES:
        raise MetadataFault(f"{len(payload)} bytes are more than {MOST_BYTES}")
    if payload.strip():
        return _message(topic, _object("payload", payload), items)
    device, segments, values = _topic(topic)
    if received is None:
        raise MetadataFault(f"{_named(topic)}: the payload is empty, and it is not told when that was")
    # Only values are told; the last one is the rule, or the source where there is no rule.
    last = "Rule" if segments[0] == "RuleEngine" else "Source"
    names = [*(str(place) for place in range(len(values) - 1)), last]
    return device, Notice(received, segments, DELETED, dict(zip(names, values, strict=False)))


def _message(topic: str, payload: Mapping[str, Any], items: Items) -> tuple[str, Notice]:
    device, segments, _ = _topic(topic)
    try:
        time = read_time("UtcTime", str(payload.get("UtcTime") or ""))
        source = taken(_items(payload, "Source"), items.source)
        data = taken(_items(payload, "Data"), items.data)
    except MetadataFault as fault:
        raise MetadataFault(f"{_named(topic)}: {fault}") from None
    # The form has no keys: of what each object has its own property, the objects stand in the data.
    return device, Notice(time, segments, source=source, data=data)


def _topic(topic: str) -> tuple[str, tuple[str, ...], tuple[str, ...]]:
    """Device, segments of the topic of ONVIF, and values of its source."""
    device, form, rest = topic.partition(_FORM)
    local, _, source = rest.partition("/&")
    segments = tuple(local.split("/"))
    if not device or not form or not all(segments):
        raise MetadataFault(f"topic = {shown(_named(topic))} must be PREFIX/onvif-ej/TOPIC[/&SOURCE]")
    return device, segments, tuple(source.split("/")) if source else ()


def _named(topic: str) -> str:
    """A topic for people, without the values of its source: one of them may be a credential."""
    return topic.partition("/&")[0]


def _items(payload: Mapping[str, Any], group: str) -> Iterator[tuple[str, str]]:
    items = payload.get(group)
    if items is None:
        return
    if not isinstance(items, Mapping):
        raise MetadataFault(f"{group} is no object but a {type(items).__name__}")
    for name, value in items.items():
        # Elements, such as the description of an object, are not taken.
        if not isinstance(value, Mapping | list):
            yield name, str(value).lower() if isinstance(value, bool) else str(value)


def _object(name: str, text: bytes) -> Mapping[str, Any]:
    try:
        found = orjson.loads(text)
    except orjson.JSONDecodeError as error:
        # What it may hold of persons is not repeated.
        raise MetadataFault(f"{name} of {len(text)} bytes is no JSON: {error}") from None
    if not isinstance(found, dict):
        raise MetadataFault(f"{name} is no object but a {type(found).__name__}")
    return found
