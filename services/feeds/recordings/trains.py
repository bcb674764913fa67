"""Recordings of GTFS-Realtime with their timetable: messages in their order, each call of a train when it was made."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from services.feeds import gtfs_realtime
from services.feeds.gtfs import Timetable, read_timetable
from services.feeds.gtfs_feed import platforms
from services.feeds.rail_calls import CallTracker, MadeCall
from services.feeds.recordings.block import Block, Names, absent
from services.feeds.recordings.numbering import identify
from services.feeds.recordings.opening import Item
from services.feeds.recordings.stream import Stream, Wanted
from services.traffic.indices.punctuality import OccupancyStatus
from urban.common.v1.entity_pb2 import Entity


def made_calls(files: Sequence[Path], wanted: Wanted) -> list[Stream]:
    """The calls that were made by the time of each message."""
    return _open(files, wanted, expected=False)


def expected_calls(files: Sequence[Path], wanted: Wanted) -> list[Stream]:
    """The same, and what the last message expects as if it had happened so: a single message tells little else."""
    return _open(files, wanted, expected=True)


def entities(files: Sequence[Path], city: str) -> Iterator[Entity]:
    """The platforms of the timetable."""
    timetable, _ = _split(files)
    return platforms(read_timetable(timetable), city)


def _open(files: Sequence[Path], wanted: Wanted, *, expected: bool) -> list[Stream]:
    timetable, messages = _split(files)
    contents = [Item(path).content() for path in (timetable, *messages)]
    content = identify(contents[0].digest, *sorted(c.digest for c in contents[1:]), str(expected))
    names = Names()
    blocks = _blocks(read_timetable(timetable), messages, wanted, names, expected)
    # A train that does not run is told at the time at which it was to run, which is not that of the message.
    size = sum(c.size for c in contents[1:])
    return [Stream(f"{timetable.name} …", content, names, blocks, sorted=False, size=size)]


def _split(files: Sequence[Path]) -> tuple[Path, list[Path]]:
    timetables = [path for path in files if path.suffix == ".zip"]
    messages = [path for path in files if path.suffix != ".zip"]
    if len(timetables) != 1 or not messages:
        raise ValueError("trains need one timetable (.zip) and at least one message of GTFS-Realtime")
    return timetables[0], messages


def _blocks(
    timetable: Timetable, files: Sequence[Path], wanted: Wanted, names: Names, expected: bool
) -> Iterator[Block]:
    tracker = CallTracker()
    occupancy: dict[str, OccupancyStatus] = {}
    unmatched = 0
    alerts: set[str] = set()
    read = []
    for path in files:
        data = path.read_bytes()
        wanted.tell(len(data))
        try:
            message = gtfs_realtime.parse(data)
            read.append((message.header.timestamp, path.name, message))
        except ValueError as error:
            raise ValueError(f"{path.name}: {error}") from None
    for number, (_, name, message) in enumerate(sorted(read, key=lambda found: found[:2]), start=1):
        occupancy |= gtfs_realtime.read_occupancy(message)
        for alert in gtfs_realtime.read_alerts(message):
            if alert.id not in alerts:
                alerts.add(alert.id)
                wanted.note(f"alert {alert.id}: {alert.cause}, {alert.effect}: {alert.text}")
        if not any(entity.HasField("trip_update") for entity in message.entity):
            continue
        try:
            reading = gtfs_realtime.read_calls(message, timetable)
        except ValueError as error:
            raise ValueError(f"{name}: {error}") from None
        unmatched += reading.unmatched
        if made := tracker.follow(reading, occupancy):
            yield _block_of(made, number, wanted, names)
    if expected and (made := tracker.expected(occupancy)):
        yield _block_of(made, len(read), wanted, names)
    if unmatched or tracker.dropped:
        wanted.note(
            f"{unmatched:,} stops told of without a platform or a time, {tracker.dropped:,} dropped before their time"
        )


def _block_of(made: Sequence[MadeCall], message: int, wanted: Wanted, names: Names) -> Block:
    columns = absent(wanted.kind, len(made))
    columns["headway_s"][:] = [one.headway_s for one in made]
    columns["scheduled_headway_s"][:] = [one.call.scheduled_headway_s for one in made]
    columns["delay_s"][:] = [one.call.delay_s for one in made]
    columns["state"][:] = [one.call.state for one in made]
    columns["occupancy_status"][:] = [one.occupancy or 0 for one in made]
    return Block(
        names.numbers([one.call.platform for one in made]),
        np.array([one.call.time_ms for one in made], np.int64),
        np.zeros(len(made), np.int32),
        np.full(len(made), message, np.int64),
        columns,
    )
