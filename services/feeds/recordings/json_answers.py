"""Answers in JSON that are read as a whole: the OGC SensorThings API, entities of NGSI-LD, calls of San Francisco."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from zoneinfo import ZoneInfo

import orjson

from services.feeds import ngsi_ld, sensorthings, sf_fire_calls
from services.feeds.recordings.documents import Document, each_file
from services.feeds.recordings.opening import Item
from services.feeds.recordings.stream import Format, Wanted


def read_sensorthings(item: Item, wanted: Wanted) -> Iterator[Document]:
    """One answer, a page of several; the lines are its observations."""
    answer = sensorthings.Answer(wanted.kind_name, wanted.kind, ZoneInfo(wanted.zone))
    for told in _named(item, answer.rows(_parse(item, wanted))):
        yield _document(told)
    wanted.count_empty(answer.empty)
    wanted.note_unread(item.name, answer.unread)
    if answer.goes_on:
        wanted.note(f"{item.name}: the server has more than this answer (@iot.nextLink): give the other pages, too")


def read_ngsi_ld(item: Item, wanted: Wanted) -> Iterator[Document]:
    """An entity, a list of entities or a notification; the lines are the entities."""
    entities = ngsi_ld.Entities(wanted.kind_name, wanted.kind, ZoneInfo(wanted.zone))
    for told in _named(item, entities.rows(_parse(item, wanted))):
        yield _document(told)
    wanted.note_unread(item.name, entities.unread)


def read_sf_fire_calls(item: Item, wanted: Wanted) -> Iterator[Document]:
    """An answer of DataSF; the lines are its rows, of a call its first."""
    unread: Counter[str] = Counter()
    for told in _named(item, sf_fire_calls.rows(_parse(item, wanted), unread)):
        yield _document(told)
    wanted.note_unread(item.name, unread)


_Told = (
    sensorthings.Told
    | sensorthings.ObservationFault
    | ngsi_ld.Told
    | ngsi_ld.EntityFault
    | sf_fire_calls.Told
    | sf_fire_calls.CallFault
)


def _parse(item: Item, wanted: Wanted) -> object:
    with item.open() as file:
        text = file.read()
    wanted.tell(len(text))
    try:
        return orjson.loads(text.removeprefix(b"\xef\xbb\xbf"))
    except orjson.JSONDecodeError as error:
        raise ValueError(f"{item.name} is no JSON: {error}") from None


def _named(item: Item, rows: Iterator[_Told]) -> Iterator[_Told]:
    """What cannot be read at all is told with the file that it is in."""
    try:
        yield from rows
    except ValueError as error:
        raise ValueError(f"{item.name}: {error}") from None


def _document(told: _Told) -> Document:
    if isinstance(told, ValueError):
        return Document(told.place, None, told.reason, told.value, told.field)
    return Document(told.place, told.row)


FORMATS = {
    "sensorthings": Format(
        "answers of the OGC SensorThings API 1.1, JSON, a page a file",
        each_file(read_sensorthings, sorted_by_time=False),
        tuple(sensorthings.properties()),
    ),
    "ngsi-ld": Format(
        "entities of NGSI-LD or NGSI v2 after the Smart Data Models, JSON",
        each_file(read_ngsi_ld, sorted_by_time=False),
        ngsi_ld.KINDS,
    ),
    "sf-fire-calls": Format(
        "calls of the fire department of San Francisco (DataSF nuek-vuh3), JSON",
        each_file(read_sf_fire_calls, sorted_by_time=False),
        ("security.emergency_call",),
    ),
}
