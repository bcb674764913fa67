"""Recordings of GTFS-Realtime with their timetable: messages in their order, each call of a train when it was made, and
each alert where it stood."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from google.transit.gtfs_realtime_pb2 import FeedMessage

from services.feeds import gtfs_alerts, gtfs_realtime
from services.feeds.gtfs import Timetable, read_timetable
from services.feeds.gtfs_alerts import NO_PLACE, AlertTracker, ToldAlert
from services.feeds.gtfs_feed import platforms
from services.feeds.rail_calls import CallTracker, MadeCall
from services.feeds.recordings.block import Block, Names, absent
from services.feeds.recordings.numbering import identify
from services.feeds.recordings.opening import Item
from services.feeds.recordings.stream import Stream, Wanted
from services.traffic.domain import SERVICE_ALERT
from services.traffic.indices.punctuality import OccupancyStatus
from urban.common.v1.entity_pb2 import Entity


def made_calls(files: Sequence[Path], wanted: Wanted) -> list[Stream]:
    """The calls that were made by the time of each message, or the alerts that stood then."""
    return _open(files, wanted, expected=False)


def expected_calls(files: Sequence[Path], wanted: Wanted) -> list[Stream]:
    """The same, and the calls that the last message expects as if they had happened so: it alone tells little else."""
    return _open(files, wanted, expected=True)


def entities(files: Sequence[Path], city: str) -> Iterator[Entity]:
    """The platforms of the timetable, and what alerts are about."""
    archive, messages = _split(files)
    timetable = read_timetable(archive)
    yield from platforms(timetable, city)
    told = (alert for path in messages for alert in gtfs_alerts.read_alerts(_parse(path, path.read_bytes()), timetable))
    yield from gtfs_alerts.entities_of((place for alert in told for place in alert.places), timetable, city)


def _open(files: Sequence[Path], wanted: Wanted, *, expected: bool) -> list[Stream]:
    timetable, messages = _split(files)
    contents = [Item(path).content() for path in (timetable, *messages)]
    content = identify(contents[0].digest, *sorted(c.digest for c in contents[1:]), str(expected))
    names = Names()
    found = read_timetable(timetable)
    if wanted.kind.name == SERVICE_ALERT.name:
        blocks = _alerts(found, messages, wanted, names)
    else:
        blocks = _calls(found, messages, wanted, names, expected)
    # A train that does not run is told at the time at which it was to run, which is not that of the message.
    size = sum(c.size for c in contents[1:])
    return [Stream(f"{timetable.name} …", content, names, blocks, sorted=False, size=size)]


def _split(files: Sequence[Path]) -> tuple[Path, list[Path]]:
    timetables = [path for path in files if path.suffix == ".zip"]
    messages = [path for path in files if path.suffix != ".zip"]
    if len(timetables) != 1 or not messages:
        raise ValueError("trains need one timetable (.zip) and at least one message of GTFS-Realtime")
    return timetables[0], messages


def _parse(path: Path, data: bytes) -> FeedMessage:
    try:
        return gtfs_realtime.parse(data)
    except ValueError as error:
        raise ValueError(f"{path.name}: {error}") from None


def _read(files: Sequence[Path], wanted: Wanted) -> list[tuple[str, FeedMessage]]:
    """The messages in the order of their times, and the names of their files."""
    read = []
    for path in files:
        data = path.read_bytes()
        wanted.tell(len(data))
        message = _parse(path, data)
        read.append((message.header.timestamp, path.name, message))
    return [(name, message) for _, name, message in sorted(read, key=lambda found: found[:2])]


def _calls(
    timetable: Timetable, files: Sequence[Path], wanted: Wanted, names: Names, expected: bool
) -> Iterator[Block]:
    tracker = CallTracker()
    occupancy: dict[str, OccupancyStatus] = {}
    unmatched, alerts = 0, 0
    read = _read(files, wanted)
    for number, (name, message) in enumerate(read, start=1):
        occupancy |= gtfs_realtime.read_occupancy(message)
        alerts += sum(entity.HasField("alert") for entity in message.entity)
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
    if alerts:
        wanted.note(f"alerts, {alerts:,} in all, are observations of traffic.{SERVICE_ALERT.name}")


def _alerts(timetable: Timetable, files: Sequence[Path], wanted: Wanted, names: Names) -> Iterator[Block]:
    tracker = AlertTracker()
    noted: set[str] = set()
    for number, (name, message) in enumerate(_read(files, wanted), start=1):
        if not any(entity.HasField("alert") for entity in message.entity) and any(
            entity.HasField("trip_update") or entity.HasField("vehicle") for entity in message.entity
        ):
            continue  # a message of the other feeds, and not one that says that nothing is wrong
        try:
            alerts = gtfs_alerts.read_alerts(message, timetable)
        except ValueError as error:
            raise ValueError(f"{name}: {error}") from None
        for alert in alerts:
            if alert.id not in noted:
                noted.add(alert.id)
                wanted.note(f"alert {alert.id}: {alert.cause}, {alert.effect}: {alert.text}")
                if alert.unplaced or not alert.places:
                    wanted.note(f"alert {alert.id}: {alert.unplaced} of what it names has no place: {NO_PLACE}")
        if told := tracker.follow(message.header.timestamp * 1000, alerts):
            yield _block_of_alerts(told, number, wanted, names)


def _block_of_alerts(told: Sequence[ToldAlert], message: int, wanted: Wanted, names: Names) -> Block:
    columns = absent(wanted.kind, len(told))
    for name, values in gtfs_alerts.columns_of(told).items():
        columns[name][:] = values
    return Block(
        names.numbers([one.place.entity_id for one in told]),
        np.array([one.time_ms for one in told], np.int64),
        np.zeros(len(told), np.int32),
        np.full(len(told), message, np.int64),
        columns,
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
