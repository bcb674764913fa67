"""Metadata as devices send it, small enough to read: XML documents and messages over MQTT."""

from __future__ import annotations

import json
from collections.abc import Mapping

NAMESPACES = (
    'xmlns:tt="http://www.onvif.org/ver10/schema" xmlns:wsnt="http://docs.oasis-open.org/wsn/b-2"'
    ' xmlns:tns1="http://www.onvif.org/ver10/topics" xmlns:acme="http://www.acme.com/topics"'
)


def items(group: str, values: Mapping[str, object]) -> str:
    inside = "".join(f'<tt:SimpleItem Name="{name}" Value="{value}"/>' for name, value in values.items())
    return f"<tt:{group}>{inside}</tt:{group}>" if values else ""


def event(
    time: str,
    topic: str,
    data: Mapping[str, object] | None = None,
    source: Mapping[str, object] | None = None,
    *,
    key: Mapping[str, object] | None = None,
    operation: str = "Changed",
) -> str:
    """A notification as XML."""
    return (
        f"<wsnt:NotificationMessage><wsnt:Topic Dialect='d'>\n {topic}\n</wsnt:Topic><wsnt:Message>"
        f'<tt:Message UtcTime="{time}" PropertyOperation="{operation}">{items("Source", source or {})}'
        f"{items('Key', key or {})}{items('Data', data or {})}</tt:Message></wsnt:Message></wsnt:NotificationMessage>"
    )


def stream(*events: str, frames: str = "") -> bytes:
    """A document of a metadata stream."""
    analytics = f"<tt:VideoAnalytics>{frames}</tt:VideoAnalytics>" if frames else ""
    inside = f"{analytics}<tt:Event>{''.join(events)}</tt:Event>"
    return f'<?xml version="1.0"?><tt:MetadataStream {NAMESPACES}>{inside}</tt:MetadataStream>\n'.encode()


def poll(time: str, *events: str) -> bytes:
    """An answer to PullMessages, as SOAP."""
    return (
        f'<s:Envelope xmlns:s="http://www.w3.org/2003/05/soap-envelope" {NAMESPACES}'
        ' xmlns:tet="http://www.onvif.org/ver10/events/wsdl"><s:Body><tet:PullMessagesResponse>'
        f"<tet:CurrentTime>{time}</tet:CurrentTime><tet:TerminationTime>{time}</tet:TerminationTime>"
        f"{''.join(events)}</tet:PullMessagesResponse></s:Body></s:Envelope>"
    ).encode()


def frame(time: str, *classes: tuple[str, float], more: str = "") -> str:
    """A frame with an object of each class and likelihood."""
    objects = "".join(
        f'<tt:Object ObjectId="{i}"><tt:Appearance><tt:Class><tt:Type Likelihood="{likelihood}">{kind}</tt:Type>'
        "</tt:Class></tt:Appearance></tt:Object>"
        for i, (kind, likelihood) in enumerate(classes)
    )
    return f'<tt:Frame UtcTime="{time}">{objects}{more}</tt:Frame>'


def mqtt(topic: str, payload: object, received: str = "2026-06-01T08:30:00Z") -> bytes:
    """A line as `mosquitto_sub -F %J` prints it."""
    return json.dumps({"tst": received, "topic": topic, "qos": 0, "retain": 1, "payload": payload}).encode()
