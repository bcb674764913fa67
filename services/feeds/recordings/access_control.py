"""Recordings of access control after ONVIF: events of controllers, by the tables of access points given with them."""

from __future__ import annotations

import io
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from services.core.pseudonym import take_digest
from services.feeds.access_points import AccessPoint, read_points
from services.feeds.onvif_access import ITEMS, KINDS, Controller
from services.feeds.onvif_json import read_line
from services.feeds.onvif_messages import Message, MetadataFault, Notice
from services.feeds.onvif_topics import LONGEST_CAMERA, name_of
from services.feeds.onvif_xml import documents_of, read_metadata
from services.feeds.recordings.beside_tables import streams_of
from services.feeds.recordings.documents import Document, blocks_of
from services.feeds.recordings.opening import Item, items_of, text_lines
from services.feeds.recordings.stream import Format, Stream, Wanted

_TABLE = ".csv"


def access(files: Sequence[Path], wanted: Wanted) -> list[Stream]:
    """Uses of credentials, or passages. ValueError names a table that is wrong, or the lack of events."""
    items = items_of(files)
    tables = [item for item in items if _TABLE in Path(item.name).suffixes]
    told = [item for item in items if item not in tables]
    if not told:
        raise ValueError("tables of access points (.csv) need events of their controllers beside them")
    points: dict[tuple[str, str], AccessPoint] = {}
    for item in tables:
        with item.open() as file:
            try:
                points |= read_points(io.TextIOWrapper(text_lines(file), "utf-8", newline=""))
            except ValueError as error:
                raise ValueError(f"{item.name}: {error}") from None
    return streams_of(
        told, tables, lambda item, names: blocks_of(item.name, _read(item, points, wanted), wanted, names)
    )


def _read(item: Item, points: Mapping[tuple[str, str], AccessPoint], wanted: Wanted) -> Iterator[Document]:
    """The rows of a file; the lines are those of MQTT, or the documents of XML."""
    people = take_digest if wanted.pseudonyms is None else wanted.pseudonyms.columns
    controllers: dict[str, Controller] = {}
    unread: Counter[str] = Counter()
    for place, name, message in _messages(item, wanted):
        if isinstance(message, MetadataFault):
            yield Document(place, None, str(message))
            continue
        if not isinstance(message, Notice):
            unread[type(message).__name__.lower()] += 1
            continue
        controller = controllers.setdefault(name, Controller(name, points, people))
        try:
            for row in controller.rows(wanted.kind_name, message, unread):
                yield Document(place, row)
        except MetadataFault as fault:
            yield Document(place, None, str(fault))
    wanted.note_unread(item.name, unread)


def _messages(item: Item, wanted: Wanted) -> Iterator[tuple[int, str, Message]]:
    """Place, controller and message: of XML, which is of one controller that is called as the file, or over MQTT."""
    with item.open() as file:
        if not file.read(64).lstrip(b"\xef\xbb\xbf \t\r\n").startswith(b"{"):
            yield from _of_xml(item, wanted)
            return
    with item.open() as file:
        for place, line in enumerate(text_lines(file, tell=wanted.tell), start=1):
            if line.strip():
                try:
                    prefix, notice = read_line(line, ITEMS)
                    # Prefixes may be paths.
                    yield place, name_of(prefix.replace("/", "."), LONGEST_CAMERA), notice
                except MetadataFault as fault:
                    yield place, "", fault


def _of_xml(item: Item, wanted: Wanted) -> Iterator[tuple[int, str, Message]]:
    with item.open() as file:
        recording = file.read()
    wanted.tell(len(recording))
    name = name_of(item.stem, LONGEST_CAMERA)
    for place, document in enumerate(documents_of(recording), start=1):
        try:
            for message in read_metadata(document, ITEMS):
                yield place, name, message
        except ValueError as error:
            yield place, name, MetadataFault(str(error))


FORMATS = {
    "onvif-access": Format(
        "ONVIF events of access control, XML or over MQTT, and tables of access points; --pseudonym-key-file",
        access,
        KINDS,
        has_people=True,
    )
}
