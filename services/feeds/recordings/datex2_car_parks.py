"""Recordings of DATEX II: the status of car parks, by the tables of car parks that may be given with it."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from services.feeds.datex2 import SiteFault
from services.feeds.datex2_parking import AREA, CAR_PARKS, STATUSES, CarPark, ParkingState, read_car_park, read_status
from services.feeds.datex2_xml import pieces_of
from services.feeds.recordings.block import Block, Names, Refusal, absent
from services.feeds.recordings.datex2_flow import entity_id
from services.feeds.recordings.documents import BLOCK_ROWS
from services.feeds.recordings.numbering import identify
from services.feeds.recordings.opening import Item, items_of
from services.feeds.recordings.stream import Stream, Wanted
from urban.common.v1.entity_pb2 import Entity
from urban.common.v1.geo_pb2 import Position

_PIECES = CAR_PARKS | STATUSES | {AREA}


class _Tables(NamedTuple):
    """What files tell of car parks, and which of them tell how full they are."""

    car_parks: dict[str, CarPark]
    told: list[Item]


def parking(files: Sequence[Path], wanted: Wanted) -> list[Stream]:
    """Vehicles and spaces of each car park. ValueError names a file that is no DATEX II, or a table that is wrong."""
    items = items_of(files)
    car_parks, told = _read_tables(items)
    contents = {item.name: item.content() for item in items}
    # By another table the same vacant spaces are other vehicles.
    tables = sorted(contents[item.name].digest for item in items if item not in told)
    streams = []
    for item in told:
        names, content = Names(), contents[item.name]
        blocks = _blocks(item, car_parks, wanted, names)
        streams.append(
            Stream(item.name, identify(content.digest, *tables), names, blocks, sorted=False, size=content.size)
        )
    return streams


def entities(files: Sequence[Path], city: str) -> Iterator[Entity]:
    """The car parks of all tables."""
    for found in _read_tables(items_of(files)).car_parks.values():
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


def _read_tables(items: Sequence[Item]) -> _Tables:
    car_parks: dict[str, CarPark] = {}
    told = []
    for item in items:
        has_status, has_any = False, False
        try:
            with item.open() as file:
                for piece in pieces_of(file, wanted=_PIECES):
                    has_any = True
                    if piece.tag in CAR_PARKS:
                        found = read_car_park(piece)
                        car_parks[found.id] = found
                    else:
                        has_status = True
        except ValueError as error:
            raise ValueError(f"{item.name}: {error}") from None
        if not has_any:
            raise ValueError(f"{item.name}: has neither car parks nor their status after DATEX II")
        if has_status:
            told.append(item)
    if not told:
        raise ValueError("tables of car parks need their status beside them (ParkingStatusPublication)")
    return _Tables(car_parks, told)


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
    if unread:
        parts = ", ".join(f"{name} × {count:,}" for name, count in unread.most_common())
        wanted.note(f"{item.name}: not read as {wanted.kind_name}: {parts}")


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
