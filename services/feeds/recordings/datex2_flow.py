"""Recordings of DATEX II: measured data of road sites, by the tables of sites that are given with them."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from services.feeds.datex2 import LaneFlow, Site, SiteFault, read_measurements, read_site
from services.feeds.datex2_xml import MEASUREMENTS, SITES, pieces_of
from services.feeds.recordings.block import Block, Names, Refusal, absent
from services.feeds.recordings.documents import BLOCK_ROWS
from services.feeds.recordings.numbering import identify
from services.feeds.recordings.opening import Item, items_of
from services.feeds.recordings.stream import Stream, Wanted
from urban.common.v1.entity_pb2 import Entity
from urban.common.v1.geo_pb2 import Position

# A site with lanes may tell of all of them together as well. That is no lane, and no segment of which it could be one.
ALL_LANES = "all"


class _Tables(NamedTuple):
    """What files tell of sites, and which of them have measurements."""

    sites: dict[str, Site]
    measured: list[Item]


def entity_id(site: str, lane: str, lanes: frozenset[str]) -> str:
    """Entity id of a lane of a site, or of all its lanes together."""
    part = lane or (ALL_LANES if lanes else "")
    return re.sub(r"[^A-Za-z0-9._~:-]+", "-", f"{site}:{part}" if part else site)[:128]


def road_flow(files: Sequence[Path], wanted: Wanted) -> list[Stream]:
    """Flow, speed, occupancy and heavy share of each lane. ValueError names a file that is no DATEX II."""
    items = items_of(files)
    sites, measured = _read_tables(items)
    contents = {item.name: item.content() for item in items}
    # By another table the same values are of other lanes.
    tables = sorted(contents[item.name].digest for item in items if item not in measured)
    streams = []
    for item in measured:
        names, content = Names(), contents[item.name]
        blocks = _blocks(item, sites, wanted, names)
        identity = identify(content.digest, *tables)
        streams.append(Stream(item.name, identity, names, blocks, sorted=False, size=content.size))
    return streams


def entities(files: Sequence[Path], city: str) -> Iterator[Entity]:
    """The lanes of the sites of all tables, or the sites that have none."""
    for site in _read_tables(items_of(files)).sites.values():
        lanes = site.measured_lanes
        for lane in sorted({found.lane for found in site.by_index.values()}):
            labels = {"site": site.id} | ({"direction": site.side} if site.side else {})
            if lane:
                labels |= {"segment": entity_id(site.id, "", frozenset()), "lane": lane}
            known = not math.isnan(site.latitude) and not math.isnan(site.longitude)
            yield Entity(
                name=f"cities/{city}/domains/traffic/entities/{entity_id(site.id, lane, lanes)}",
                type="road_lane" if lane else "road_segment",
                display_name=(f"{site.name or site.id}, {lane}" if lane else site.name or site.id)[:256],
                position=Position(latitude=site.latitude, longitude=site.longitude) if known else None,
                numbers={} if lane or math.isnan(site.lanes) else {"lanes": site.lanes},
                labels=labels,
            )


def _read_tables(items: Sequence[Item]) -> _Tables:
    sites: dict[str, Site] = {}
    measured = []
    for item in items:
        has_measurements, has_any = False, False
        try:
            with item.open() as file:
                for piece in pieces_of(file):
                    has_any = True
                    if piece.tag in SITES:
                        site = read_site(piece)
                        sites[site.id] = site
                    else:
                        has_measurements = True
        except ValueError as error:
            raise ValueError(f"{item.name}: {error}") from None
        if not has_any:
            raise ValueError(f"{item.name}: has neither measurement sites nor measured data of DATEX II")
        if has_measurements:
            measured.append(item)
    if not measured:
        raise ValueError("tables of measurement sites need measured data beside them (MeasuredDataPublication)")
    return _Tables(sites, measured)


def _blocks(item: Item, sites: dict[str, Site], wanted: Wanted, names: Names) -> Iterator[Block]:
    rows: list[tuple[int, str, LaneFlow]] = []
    place, left_out = 0, 0
    with item.open() as file:
        for piece in pieces_of(file, wanted.tell):
            if piece.tag != MEASUREMENTS:
                continue
            place += 1
            try:
                site_id, lanes, without = read_measurements(piece, sites)
            except SiteFault as fault:
                wanted.refuse(Refusal(item.name, place, fault.field, fault.value, fault.reason))
                continue
            left_out += without
            apart = sites[site_id].measured_lanes if site_id in sites else frozenset[str]()
            rows += [(place, entity_id(site_id, found.lane, apart), found) for found in lanes]
            if len(rows) >= BLOCK_ROWS:
                yield _block_of(rows, wanted, names)
                rows = []
    if rows:
        yield _block_of(rows, wanted, names)
    wanted.count_empty(left_out)


def _block_of(rows: Sequence[tuple[int, str, LaneFlow]], wanted: Wanted, names: Names) -> Block:
    columns = absent(wanted.kind, len(rows))
    for name in ("flow_veh_h", "speed_kmh", "occupancy", "heavy_share"):
        columns[name][:] = [getattr(found, name) for *_, found in rows]
    return Block(
        names.numbers([entity for _, entity, _ in rows]),
        np.array([found.time_ms for *_, found in rows], np.int64),
        np.array([found.period_s for *_, found in rows], np.int32),
        np.array([place for place, *_ in rows], np.int64),
        columns,
    )
