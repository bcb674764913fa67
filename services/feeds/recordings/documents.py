"""Formats whose readers give one row message after the other: JSON lines, Open311, paper, ONVIF."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

import numpy as np
import orjson

from services.core.kind import ColumnType
from services.core.pseudonym import take_digest
from services.feeds import csv_rows, onvif, open311
from services.feeds.onvif_messages import MetadataFault
from services.feeds.onvif_rows import Device
from services.feeds.onvif_topics import LONGEST_CAMERA, name_of
from services.feeds.recordings.block import Block, Names, Refusal
from services.feeds.recordings.numbering import identify
from services.feeds.recordings.opening import Item, items_of, text_lines
from services.feeds.recordings.stream import Stream, Wanted
from services.runtime.json_rows import read_json_row
from services.runtime.rows import Row, RowFault, clip

BLOCK_ROWS = 8_192


class Document(NamedTuple):
    """A row message in its proto JSON form, or why there is none; and its line, or its place among the others."""

    line: int
    row: dict[str, Any] | None
    reason: str = ""
    text: str = ""  # what was there instead
    field: str = "row"  # which is wrong


Read = Callable[[Item, Wanted], Iterator[Document]]


def each_file(
    read: Read, *, sorted_by_time: bool, variant: str = ""
) -> Callable[[Sequence[Path], Wanted], list[Stream]]:
    """A format out of what reads one file of it. `variant`: which of the formats that read the same files otherwise."""

    def open_files(files: Sequence[Path], wanted: Wanted) -> list[Stream]:
        streams = []
        for item in items_of(files):
            names, content = Names(), item.content()
            blocks = blocks_of(item.name, read(item, wanted), wanted, names)
            # Read in another way, it is another recording.
            identity = identify(content.digest, variant) if variant else content.digest
            streams.append(Stream(item.name, identity, names, blocks, sorted_by_time, content.size))
        return streams

    return open_files


def blocks_of(file: str, documents: Iterator[Document], wanted: Wanted, names: Names) -> Iterator[Block]:
    """The observations of row messages; those that cannot be read are told."""
    lines: list[int] = []
    rows: list[Row] = []
    for document in documents:
        if document.row is None:
            wanted.refuse(Refusal(file, document.line, document.field, document.text, document.reason))
            continue
        try:
            row = read_json_row(wanted.contract, document.row, wanted.city)
            if row.city != wanted.city:
                raise RowFault("city", row.city, f"is another city than {wanted.city}")
        except RowFault as fault:
            wanted.refuse(Refusal(file, document.line, fault.field, fault.value, fault.reason))
            continue
        lines.append(document.line)
        rows.append(row)
        if len(rows) == BLOCK_ROWS:
            yield _block_of(wanted, lines, rows, names)
            lines, rows = [], []
    if rows:
        yield _block_of(wanted, lines, rows, names)


def _block_of(wanted: Wanted, lines: Sequence[int], rows: Sequence[Row], names: Names) -> Block:
    values = zip(*(row.values for row in rows), strict=True)
    return Block(
        names.numbers([row.entity_id for row in rows]),
        np.array([row.time_ms for row in rows], np.int64),
        # What is longer than any day is refused with the others that are too long.
        np.array([min(row.period_s, 2**31 - 1) for row in rows], np.int32),
        np.array(lines, np.int64),
        {c.name: _numbers(c.type, v) for c, v in zip(wanted.kind.columns, values, strict=True)},
    )


def _numbers(column_type: ColumnType, values: Sequence[float]) -> Any:
    return np.array(values, np.dtype(column_type.value))


def read_json_lines(item: Item, wanted: Wanted) -> Iterator[Document]:
    """Each line a row message, as `urban send` takes it."""
    with item.open() as file:
        for number, line in enumerate(text_lines(file, tell=wanted.tell), start=1):
            if not line.strip():
                continue
            try:
                document = orjson.loads(line)
            except orjson.JSONDecodeError as error:
                yield Document(number, None, f"is no JSON: {error}", clip(line.decode().strip()))
                continue
            if isinstance(document, dict):
                yield Document(number, document)
            else:
                yield Document(number, None, "must be a JSON object", clip(line.decode().strip()))


def read_open311(item: Item, wanted: Wanted) -> Iterator[Document]:
    """An answer of a GeoReport v2 server, XML or JSON; the lines are its requests."""
    with item.open() as file:
        answer = file.read()
    wanted.tell(len(answer))
    for place, request in enumerate(open311.read_answer(answer), start=1):
        if isinstance(request, open311.RequestFault):
            yield Document(place, None, request.reason)
        else:
            yield from (Document(place, row) for row in open311.rows_of(request, wanted.city))


def read_csv(columns: Sequence[str], read: csv_rows.ReadLine, item: Item, wanted: Wanted) -> Iterator[Document]:
    """A table with stated columns: calls of a dispatch centre."""
    with item.open() as file:
        lines = io.TextIOWrapper(text_lines(file, tell=wanted.tell), "utf-8", newline="")
        for number, row in csv_rows.number_lines(lines, columns, read, wanted.city, ZoneInfo(wanted.zone)):
            if isinstance(row, csv_rows.LineFault):
                yield Document(number, None, row.reason)
            else:
                yield Document(number, row)


def read_csv_of_people(
    columns: Sequence[str], read: csv_rows.ReadPeople, item: Item, wanted: Wanted
) -> Iterator[Document]:
    """The same where a column is a person: a keyed hash, or a raw id that is hashed here."""
    people = take_digest if wanted.pseudonyms is None else wanted.pseudonyms.columns

    def read_line(line: Mapping[str, str], zone: ZoneInfo) -> Iterable[csv_rows.Row]:
        return read(line, zone, people)

    return read_csv(columns, read_line, item, wanted)


def read_onvif(item: Item, wanted: Wanted) -> Iterator[Document]:
    """A recording of the metadata of one camera, XML, which is called as the file is; the lines are its messages."""
    with item.open() as file:
        recording = file.read()
    wanted.tell(len(recording))
    device = Device(wanted.city, name_of(item.stem, LONGEST_CAMERA))
    yield from _of_messages(onvif.rows_of_recording(recording, device))


def read_onvif_mqtt(item: Item, wanted: Wanted) -> Iterator[Document]:
    """What cameras told over MQTT, a message a line; the lines are its messages."""
    with item.open() as file:
        yield from _of_messages(onvif.rows_of_lines(text_lines(file, tell=wanted.tell), wanted.city))


def _of_messages(rows: Iterator[dict[str, Any] | MetadataFault]) -> Iterator[Document]:
    for place, row in enumerate(rows, start=1):
        # A fault says itself in which document or line it is.
        yield Document(place, None, str(row)) if isinstance(row, MetadataFault) else Document(place, row)
