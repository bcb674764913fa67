"""Recordings of DATEX II: measured data of road sites, by the tables of sites that are given with them."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from services.feeds.datex2 import LaneFlow, Site, SiteFault, read_measurements, read_site
from services.feeds.datex2_xml import MEASUREMENTS, ROAD, SITES, pieces_of
from services.feeds.recordings.beside_tables import streams_of
from services.feeds.recordings.block import Block, Names, Refusal, absent
from services.feeds.recordings.datex2_tables import Publication, read_tables
from services.feeds.recordings.documents import BLOCK_ROWS
from services.feeds.recordings.opening import Item, items_of
from services.feeds.recordings.stream import Stream, Wanted
from urban.common.v1.entity_pb2 import Entity
from urban.common.v1.geo_pb2 import Position

# A site with lanes may tell of all of them together as well. That is no lane, and no segment of which it could be one.
ALL_LANES = "all"


_PUBLICATION = Publication(
    wanted=ROAD,
    records=SITES,
    read=read_site,
    neither="neither measurement sites nor measured data of DATEX II",
    untold="tables of measurement sites need measured data beside them (MeasuredDataPublication)",
)


def entity_id(site: str, lane: str, lanes: frozenset[str]) -> str:
    """Entity id of a lane of a site, or of all its lanes together."""
    part = lane or (ALL_LANES if lanes else "")
    return re.sub(r"[^A-Za-z0-9._~:-]+", "-", f"{site}:{part}" if part else site)[:128]


def road_flow(files: Sequence[Path], wanted: Wanted) -> list[Stream]:
    """Flow, speed, occupancy and heavy share of each lane. ValueError names a file that is no DATEX II."""
    tables = read_tables(items_of(files), _PUBLICATION)
    return streams_of(tables.told, tables.only, lambda item, names: _blocks(item, tables.records, wanted, names))


def entities(files: Sequence[Path], city: str) -> Iterator[Entity]:
    """The lanes of the sites of all tables, or the sites that have none."""
    for site in read_tables(items_of(files), _PUBLICATION).records.values():
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
