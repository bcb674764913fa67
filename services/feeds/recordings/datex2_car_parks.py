"""Recordings of DATEX II: the status of car parks, by the tables of car parks that may be given with it."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from services.feeds.datex2 import SiteFault
from services.feeds.datex2_parking import AREA, CAR_PARKS, STATUSES, CarPark, ParkingState, read_car_park, read_status
from services.feeds.datex2_xml import pieces_of
from services.feeds.recordings.beside_tables import streams_of
from services.feeds.recordings.block import Block, Names, Refusal, absent
from services.feeds.recordings.datex2_flow import entity_id
from services.feeds.recordings.datex2_tables import Publication, read_tables
from services.feeds.recordings.documents import BLOCK_ROWS
from services.feeds.recordings.opening import Item, items_of
from services.feeds.recordings.stream import Stream, Wanted
from urban.common.v1.entity_pb2 import Entity
from urban.common.v1.geo_pb2 import Position

_PIECES = CAR_PARKS | STATUSES | {AREA}


_PUBLICATION = Publication(
    wanted=_PIECES,
    records=CAR_PARKS,
    read=read_car_park,
    neither="neither car parks nor their status after DATEX II",
    untold="tables of car parks need their status beside them (ParkingStatusPublication)",
)


def parking(files: Sequence[Path], wanted: Wanted) -> list[Stream]:
    """Vehicles and spaces of each car park. ValueError names a file that is no DATEX II, or a table that is wrong."""
    tables = read_tables(items_of(files), _PUBLICATION)
    return streams_of(tables.told, tables.only, lambda item, names: _blocks(item, tables.records, wanted, names))


def entities(files: Sequence[Path], city: str) -> Iterator[Entity]:
    """The car parks of all tables."""
    for found in read_tables(items_of(files), _PUBLICATION).records.values():
        known = not math.isnan(found.latitude) and not math.isnan(found.longitude)
        yield Entity(
            name=f"cities/{city}/domains/traffic/entities/{_entity_id(found.id)}",
            type="garage",
            display_name=(found.name or found.id)[:256],
            position=Position(latitude=found.latitude, longitude=found.longitude) if known else None,
            numbers={} if math.isnan(found.spaces) else {"spaces": found.spaces},
        )


def _entity_id(car_park: str) -> str:
    return entity_id(car_park, "", frozenset())


def _blocks(item: Item, car_parks: dict[str, CarPark], wanted: Wanted, names: Names) -> Iterator[Block]:
    rows: list[tuple[int, ParkingState]] = []
    unread: Counter[str] = Counter()
    place, without = 0, 0
    with item.open() as file:
        for piece in pieces_of(file, wanted.tell, _PIECES):
            if piece.tag not in STATUSES:
                unread.update([piece.tag] if piece.tag == AREA else [])
                continue
            place += 1
            try:
                found = read_status(piece, car_parks, unread)
            except SiteFault as fault:
                wanted.refuse(Refusal(item.name, place, fault.field, fault.value, fault.reason))
                continue
            if found is None:
                without += 1
                continue
            rows.append((place, found))
            if len(rows) >= BLOCK_ROWS:
                yield _block_of(rows, wanted, names)
                rows = []
    if rows:
        yield _block_of(rows, wanted, names)
    wanted.count_empty(without)
    wanted.note_unread(item.name, unread)


def _block_of(rows: Sequence[tuple[int, ParkingState]], wanted: Wanted, names: Names) -> Block:
    columns = absent(wanted.kind, len(rows))
    for name in ("vehicles", "spaces"):
        columns[name][:] = [getattr(found, name) for _, found in rows]
    return Block(
        names.numbers([_entity_id(found.id) for _, found in rows]),
        np.array([found.time_ms for _, found in rows], np.int64),
        np.zeros(len(rows), np.int32),
        np.array([place for place, _ in rows], np.int64),
        columns,
    )
