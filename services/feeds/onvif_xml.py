"""ONVIF metadata as XML: streams of metadata, and answers to PullMessages, as notices, scenes and signs of life."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import datetime
from xml.etree import ElementTree
from xml.etree.ElementTree import Element

from services.feeds.onvif_messages import (
    CAMERA_ITEMS,
    MOST_BYTES,
    Items,
    Message,
    MetadataFault,
    Notice,
    Scene,
    Sign,
    read_time,
    shown,
    taken,
)

_TT = "{http://www.onvif.org/ver10/schema}"
_WSNT = "{http://docs.oasis-open.org/wsn/b-2}"
_TET = "{http://www.onvif.org/ver10/events/wsdl}"
_TOPICS = "http://www.onvif.org/ver10/topics"
_ROOTS = frozenset(
    {
        *(f"{_TT}{name}" for name in ("MetadataStream", "VideoAnalytics", "Event")),
        *(f"{_WSNT}Notify", f"{_TET}PullMessagesResponse"),
        *(
            f"{{http://{soap}}}Envelope"
            for soap in ("www.w3.org/2003/05/soap-envelope", "schemas.xmlsoap.org/soap/envelope/")
        ),
    }
)
_DEEPEST = 64
_PERSON = frozenset({"human", "person"})
# What is less likely than that to be a person is none.
LEAST_LIKELIHOOD = 0.5
_END = re.compile(rb"</(?:[\w.-]+:)?(?:MetadataStream|Envelope)\s*>")


class _SafeBuilder(ElementTree.TreeBuilder):
    """Refuses document types, which may define entities without end, and what is nested too deeply."""

    def __init__(self) -> None:
        super().__init__()
        self.prefixes: dict[str, str] = {}
        self._depth = 0

    def doctype(self, name: str, pubid: str | None, system: str | None) -> None:
        raise ValueError("a document type is not taken")

    def start_ns(self, prefix: str, uri: str) -> None:
        self.prefixes[prefix] = uri

    def start(self, tag: str, attrs: dict[str, str]) -> Element:
        self._depth += 1
        if self._depth > _DEEPEST:
            raise ValueError(f"<{tag}> is nested more than {_DEEPEST} deep")
        return super().start(tag, attrs)

    def end(self, tag: str) -> Element:
        self._depth -= 1
        return super().end(tag)


def documents_of(recording: bytes) -> Iterator[bytes]:
    """The documents that were written one after the other; what is behind the last whole one is one, too."""
    begin = 0
    for end in _END.finditer(recording):
        yield recording[begin : end.end()]
        begin = end.end()
    if recording[begin:].strip():
        yield recording[begin:]


def read_metadata(document: bytes, items: Items = CAMERA_ITEMS) -> Iterator[Message]:
    """What one document tells, in its order, with a fault in the place of each event or frame that cannot be taken.

    ValueError: it is larger than 4 MiB, no XML, has a document type, or is no metadata of ONVIF.
    """
    if len(document) > MOST_BYTES:
        raise ValueError(f"{len(document)} bytes are more than {MOST_BYTES}")
    builder = _SafeBuilder()
    parser = ElementTree.XMLParser(target=builder)
    try:
        root: Element = ElementTree.fromstring(document.strip(), parser)
    except ElementTree.ParseError as error:
        raise ValueError(f"no XML: {error}") from None
    if root.tag not in _ROOTS:
        raise ValueError(f"<{root.tag}> is no metadata of ONVIF")
    for element in root.iter():
        try:
            if element.tag == f"{_TET}CurrentTime":
                yield Sign(read_time("CurrentTime", element.text))
            elif element.tag == f"{_WSNT}NotificationMessage":
                yield _notice(element, builder.prefixes, items)
            elif element.tag == f"{_TT}Frame":
                yield _scene(element)
        except MetadataFault as fault:
            yield fault


def _notice(element: Element, prefixes: dict[str, str], items: Items) -> Notice:
    message = element.find(f"{_WSNT}Message/{_TT}Message")
    topic = _topic(element.findtext(f"{_WSNT}Topic"), prefixes)
    about = "/".join(topic)
    if message is None:
        raise MetadataFault(f"{about}: tt:Message is missing")
    try:
        key = taken(_items(message, "Key"), frozenset({"ObjectId"}))
        return Notice(
            _utc_time(message),
            topic,
            message.get("PropertyOperation", ""),
            taken(_items(message, "Source"), items.source),
            key.get("ObjectId", ""),
            taken(_items(message, "Data"), items.data),
        )
    except MetadataFault as fault:
        raise MetadataFault(f"{about}: {fault}") from None


def _topic(text: str | None, prefixes: dict[str, str]) -> tuple[str, ...]:
    """The segments; a prefix that is not that of ONVIF's own topics stays where it is."""
    segments = "".join((text or "").split()).split("/")
    if not all(segments):
        raise MetadataFault(f"wsnt:Topic = {shown((text or '').strip())} is no topic")
    prefix, _, name = segments[0].rpartition(":")
    # Fragments and some devices do not declare it.
    if prefixes.get(prefix, _TOPICS if prefix == "tns1" else "") == _TOPICS:
        segments[0] = name
    return tuple(segments)


def _items(message: Element, group: str) -> Iterator[tuple[str, str]]:
    for item in message.iterfind(f"{_TT}{group}/{_TT}SimpleItem"):
        name, value = item.get("Name"), item.get("Value")
        if name is None or value is None:
            raise MetadataFault(f"a tt:SimpleItem of tt:{group} has no {'Name' if name is None else 'Value'}")
        yield name, value


def _utc_time(element: Element) -> datetime:
    return read_time("UtcTime", element.get("UtcTime"))


def _scene(frame: Element) -> Scene:
    time = _utc_time(frame)
    # Where something was taken away a marker stays, which is no object.
    there = [o for o in frame.iterfind(f"{_TT}Object") if o.find(f"{_TT}Behaviour/{_TT}Removed") is None]
    likely = [likelihood for o in there if (likelihood := _person(o)) >= LEAST_LIKELIHOOD]
    confidence = sum(likely) / len(likely) if likely else None
    return Scene(time, len(there), len(likely), confidence, frame.get("Source", ""))


def _person(thing: Element) -> float:
    """How likely an object is a person; 0 where nothing says so."""
    told = [
        (kind.text, kind.get("Likelihood", "1")) for kind in thing.iterfind(f"{_TT}Appearance/{_TT}Class/{_TT}Type")
    ]
    # The form of before 2018.
    for candidate in thing.iterfind(f"{_TT}Appearance/{_TT}Class/{_TT}ClassCandidate"):
        told.append((candidate.findtext(f"{_TT}Type"), candidate.findtext(f"{_TT}Likelihood", "1")))
    return max((_likelihood(text) for kind, text in told if (kind or "").strip().lower() in _PERSON), default=0.0)


def _likelihood(text: str) -> float:
    try:
        likelihood = float(text)
    except ValueError:
        likelihood = -1.0
    if not 0.0 <= likelihood <= 1.0:
        raise MetadataFault(f"Likelihood = {shown(text)} must be 0 to 1")
    return likelihood
