"""Feeds a running city with its trains, from a GTFS timetable and the messages of GTFS-Realtime.

    python -m services.feeds.gtfs_feed --traffic HOST:PORT --city NAME --timetable ZIP --updates SOURCE…

A source is a file or an address. Addresses are asked every `--every` seconds until SIGTERM; files are a recording, read
in their order, and the city's clock goes with them (the service must run with URBAN_CLOCK=replay). Alerts become
observations where they stand, and are logged once.
"""

from __future__ import annotations

import argparse
import asyncio
import logging
import signal
import sys
import time
import urllib.request
from collections.abc import AsyncGenerator, AsyncIterator, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import grpc

from services.feeds import gtfs_alerts, gtfs_realtime
from services.feeds.gtfs import Timetable, platform_id, read_timetable
from services.feeds.gtfs_alerts import NO_PLACE, Alert, AlertTracker, Place
from services.feeds.gtfs_lines import line_metres
from services.feeds.rail_calls import CallTracker, frame_of
from services.feeds.sender import FrameSender
from urban.common.v1.entity_pb2 import Entity
from urban.common.v1.geo_pb2 import Position

SOURCE = "gtfs-realtime"
DEFAULT_EVERY_S = 30.0
ASK_TIMEOUT_S = 20.0
STOP_TIMEOUT_S = 10.0
# After the last message of a recording the clock goes on by this much, so that every window closes.
SETTLE_MS = 6 * 3_600_000

log = logging.getLogger("gtfs")


@dataclass(frozen=True)
class Messages:
    """What was read at one moment."""

    updates: bytes
    positions: bytes = b""
    alerts: bytes = b""


class RailFeed:
    """Sends the calls of one feed to the traffic service of a city."""

    def __init__(self, sender: FrameSender, city: str, timetable: Timetable) -> None:
        self._sender, self._city, self._timetable = sender, city, timetable
        self._tracker = CallTracker()
        self._alerts = AlertTracker()
        self._alerts_ms = 0  # of the newest message whose alerts were told
        self._told: set[str] = set()  # alerts
        self._known: set[Place] = set()  # places of alerts that are registered
        self.time_ms = 0  # of the newest message

    async def take(self, messages: Messages, *, replayed: bool) -> int:
        """Sends what was called since the message before; how many calls. ValueError where it is no message."""
        reading = gtfs_realtime.read_calls(gtfs_realtime.parse(messages.updates), self._timetable)
        occupancy = gtfs_realtime.read_occupancy(gtfs_realtime.parse(messages.positions))
        alerts = gtfs_alerts.read_alerts(gtfs_realtime.parse(messages.alerts), self._timetable)
        self._log(alerts)
        self.time_ms = reading.time_ms
        made = self._tracker.follow(reading, occupancy)
        log.info(
            "%d calls made, %d told of, %d without platform or time, %d dropped",
            *(len(made), len(reading.calls), reading.unmatched, self._tracker.dropped),
        )
        if replayed:
            self._sender.announce(reading.time_ms)
        if made:
            await self._sender.send("rail_call", frame_of(made, self._city, SOURCE, reading.time_ms))
        await self._send_alerts(alerts)
        return len(made)

    async def _send_alerts(self, alerts: Sequence[Alert]) -> None:
        """What stands at the time of the message, with the places that nobody has told of."""
        if self.time_ms <= self._alerts_ms:
            return  # a frame of this number was sent: what has changed is told with the next message
        self._alerts_ms = self.time_ms
        told = self._alerts.follow(self.time_ms, alerts)
        places = {one.place for one in told} - self._known
        if places:
            await self._sender.register(list(gtfs_alerts.entities_of(places, self._timetable, self._city)))
            self._known |= places
        if told:
            frame = gtfs_alerts.frame_of(told, self._city, SOURCE, self.time_ms)
            await self._sender.send("service_alert", frame)

    def _log(self, alerts: Sequence[Alert]) -> None:
        for alert in alerts:
            if alert.id not in self._told:
                self._told.add(alert.id)
                log.warning("alert %s: %s, %s: %s", alert.id, alert.cause, alert.effect, alert.text)
                if alert.unplaced or not alert.places:
                    log.warning("alert %s: %d of what it names has no place: %s", alert.id, alert.unplaced, NO_PLACE)


def platforms(timetable: Timetable, city: str) -> Iterator[Entity]:
    """Every platform of the timetable, as each line sees it in each direction."""
    seen = set()
    metres = line_metres(timetable)
    for trip in timetable.trips.values():
        for call in timetable.calls.get(trip.id, ()):
            name = platform_id(call.stop, trip.route, trip.direction)
            stop = timetable.stops.get(call.stop)
            if name in seen or stop is None:
                continue
            seen.add(name)
            labels = {"stop": stop.id, "route": trip.route, "direction": trip.direction, "line": trip.route}
            if (metre := metres.get((trip.route, stop.id))) is not None:
                labels["line_m"] = f"{metre:.0f}"
            yield Entity(
                name=f"cities/{city}/domains/traffic/entities/{name}",
                type="platform",
                display_name=stop.name,
                position=Position(latitude=stop.latitude, longitude=stop.longitude),
                labels=labels,
            )


def is_address(source: str) -> bool:
    return source.startswith(("http://", "https://"))


def read_source(source: str) -> bytes:
    """The bytes of a file or an address; OSError where they cannot be had. Nothing where there is no source."""
    if not is_address(source):
        return Path(source).read_bytes() if source else b""
    with urllib.request.urlopen(source, timeout=ASK_TIMEOUT_S) as answer:
        return bytes(answer.read())


async def recorded(given: argparse.Namespace) -> AsyncIterator[Messages]:
    """The files of a recording; positions go with its first message, alerts with the one of the same place."""
    for number, updates in enumerate(given.updates):
        alerts = given.alerts[number] if number < len(given.alerts) else ""
        yield Messages(read_source(updates), read_source("" if number else given.positions), read_source(alerts))


async def polled(given: argparse.Namespace) -> AsyncGenerator[Messages, None]:
    """What the addresses answer, every so often; an address that does not answer is asked again the next time."""
    (updates,), alerts = given.updates, "".join(given.alerts)
    while True:
        due = time.monotonic() + given.every
        try:
            found = [await asyncio.to_thread(read_source, s) for s in (updates, given.positions, alerts)]
        except OSError as error:
            log.warning("no answer: %s", error)
        else:
            yield Messages(*found)
        await asyncio.sleep(max(due - time.monotonic(), 0.0))


async def run(given: argparse.Namespace) -> None:
    """Registers the platforms, then sends until the recording's end or a signal."""
    timetable = read_timetable(given.timetable)
    sender = FrameSender("traffic", given.traffic, given.city)
    feed, replayed = RailFeed(sender, given.city, timetable), not is_address(given.updates[0])
    await sender.register(list(platforms(timetable, given.city)))

    async def take_all() -> None:
        async for messages in recorded(given) if replayed else polled(given):
            try:
                await feed.take(messages, replayed=replayed)
            except ValueError as error:
                if replayed:
                    raise
                log.warning("not understood: %s", error)
        sender.announce(feed.time_ms + SETTLE_MS)

    serving, taking = asyncio.ensure_future(sender.run()), asyncio.ensure_future(take_all())
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, taking.cancel)
    try:
        await asyncio.wait([serving, taking], return_when=asyncio.FIRST_COMPLETED)
        sender.close()
        if taking.done() and not taking.cancelled():
            taking.result()
        async with asyncio.timeout(STOP_TIMEOUT_S if taking.cancelled() else None):
            await serving
    except TimeoutError:
        log.warning("stopped with frames that are not acknowledged")
    finally:
        serving.cancel()
        taking.cancel()


def read_arguments(arguments: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m services.feeds.gtfs_feed", description=__doc__.splitlines()[0])
    parser.add_argument("--traffic", required=True, metavar="HOST:PORT", help="gRPC address of traffic")
    parser.add_argument("--city", required=True, help="city that the trains run in")
    parser.add_argument("--timetable", required=True, type=Path, metavar="ZIP", help="static GTFS")
    parser.add_argument("--updates", required=True, nargs="+", metavar="SOURCE", help="trip updates")
    parser.add_argument("--positions", default="", metavar="SOURCE", help="vehicle positions")
    parser.add_argument("--alerts", default=[], nargs="+", metavar="SOURCE", help="alerts; recorded: one a message")
    parser.add_argument("--every", type=float, default=DEFAULT_EVERY_S, help="seconds between questions (%(default)g)")
    given = parser.parse_args(arguments)
    if given.every <= 0:
        parser.error(f"--every must be above 0, not {given.every:g}")
    if len(given.updates) > 1 and any(is_address(source) for source in given.updates):
        parser.error("--updates: one address, or the files of a recording")
    if len(given.alerts) > len(given.updates):
        parser.error(f"--alerts: {len(given.alerts)} sources for {len(given.updates)} of --updates")
    return given


def main() -> None:
    try:
        asyncio.run(run(read_arguments()))
    except grpc.aio.AioRpcError as error:
        sys.exit(f"traffic refused the feed: {error.code().name}: {error.details()}")
    except (ValueError, OSError) as error:
        sys.exit(str(error))


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO, stream=sys.stderr, format="%(asctime)s %(levelname)s %(name)s %(message)s")
    main()
