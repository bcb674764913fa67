"""Feeds a running city with central Auckland: `python -m services.feeds --community HOST:PORT --traffic HOST:PORT`.

It registers the counters and the simulated road segments, then sends what `auckland_feed` plans, at `--speed` seconds
of event time a second. Where it stands is kept in `--position`; a restart goes on there, and what it repeats is known
as a repetition. SIGTERM: waits for what is in flight, stores the position, ends with 0.

With `--scenario SEED` an invented city with known truth (`scenario/`) goes on beside it: minute by minute at the same
event time, as the cities share partitions, and what lags behind in one would be late.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import logging
import signal
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, replace
from datetime import datetime
from functools import partial
from pathlib import Path

import grpc

from services.feeds import auckland, auckland_feed, position
from services.feeds.local_time import DAY_MS
from services.feeds.scenario.beside import scenario_beside
from services.feeds.scenario.sending import ScenarioFeed
from services.feeds.sender import NO_TIME_MS, FrameSender

DOMAINS = ("community", "traffic")
# Who else is told of a scenario; correlation, of what is planned in it.
SCENARIO_SERVICES = ("security", "environment", "correlation")
DEFAULT_SPEED = 1200.0
DEFAULT_SEED = 1
STORE_INTERVAL_S = 0.5
TOLD_INTERVAL_S = 5.0
STOP_TIMEOUT_S = 10.0
# Further behind than this, a feed goes on at its speed instead of catching up.
CATCH_UP_S = 2.0
# After its last frame the clock goes on by this much, so that every window closes and no lateness is left.
SETTLE_MS = DAY_MS

log = logging.getLogger("feed")


class Feed:
    """One replay into the services at `addresses` (domain -> host:port), a scenario's city `beside` it or none."""

    def __init__(
        self,
        addresses: Mapping[str, str],
        plan: auckland_feed.Plan,
        speed: float,
        path: Path | None,
        beside: Callable[[int | None], ScenarioFeed] | None = None,
    ) -> None:
        """`beside`: makes the feed of a scenario that goes on behind a moment of event time (ms since 1970, UTC)."""
        self._senders = {name: FrameSender(name, addresses[name], auckland_feed.CITY) for name in DOMAINS}
        self._plan, self._speed, self._path = plan, speed, path
        identity = f"{auckland_feed.CITY} seed {plan.seed} from {plan.replay_ms}"
        beginning = position.Progress(identity)
        self._progress = replace(
            position.load(path, identity) if path else beginning, sent=0, accepted=0, rejected=0, speed=speed
        )
        self._beside = beside(self._progress.position_ms) if beside else None
        others = self._beside.senders if self._beside else ()
        self._all = (*self._senders.values(), *others)
        self._queued_ms = NO_TIME_MS  # the last step whose frames were all handed over
        self._stop = asyncio.Event()

    def stop(self) -> None:
        self._stop.set()

    async def run(self) -> None:
        """Until the plan's end or `stop`; then waits for what is in flight."""
        if self._progress.phase == position.ENDED:
            log.info("this replay has ended before; start afresh to see it again")
            return
        serving = [asyncio.ensure_future(sender.run()) for sender in self._all]
        feeding = asyncio.ensure_future(self._feed())
        stopping = asyncio.ensure_future(self._stop.wait())
        telling = asyncio.ensure_future(self._tell())
        try:
            # A sender ends by itself only when its service refuses the stream.
            done, _ = await asyncio.wait([feeding, stopping, *serving], return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()
            feeding.cancel()
            for sender in self._all:
                sender.close()
            async with asyncio.timeout(STOP_TIMEOUT_S if self._stop.is_set() else None):
                await asyncio.gather(*serving)
        except TimeoutError:
            log.warning("stopped with frames that are not acknowledged; a restart sends them again")
        finally:
            for task in (feeding, stopping, telling, *serving):
                task.cancel()
            self._store()
        if not self._stop.is_set():
            self._progress = replace(self._progress, phase=position.ENDED)
            self._store()

    async def _feed(self) -> None:
        """The entities, then every step in its time: the history as fast as it is taken, the replay at its speed."""
        await asyncio.gather(*(self._register(name) for name in DOMAINS))
        if self._beside is not None:
            await self._beside.begin()
        anchor: tuple[float, int] | None = None
        for step in auckland_feed.steps(self._plan, self._progress.position_ms):
            if step.time_ms > self._plan.replay_ms:
                anchor = await self._wait_for(step.time_ms, anchor or (time.monotonic(), step.time_ms))
            for sender in self._senders.values():
                sender.announce(step.time_ms)
            if step.people is not None:
                await self._senders["community"].send("people_count", step.people)
            if step.roads is not None:
                await self._senders["traffic"].send("road_flow", step.roads)
            if self._beside is not None and step.time_ms > self._plan.replay_ms:
                await self._together(self._beside, step.time_ms)
            self._queued_ms = step.time_ms
            phase = position.REPLAY if step.time_ms > self._plan.replay_ms else position.HISTORY
            self._progress = replace(self._progress, phase=phase, clock_ms=step.time_ms)
        for sender in self._senders.values():
            sender.announce(self._plan.end_ms + SETTLE_MS)
        if self._beside is not None:
            self._beside.end()

    async def _together(self, beside: ScenarioFeed, time_ms: int) -> None:
        """Both cities come to a moment before either goes on: first this one, whose history may be in flight."""
        for sender in self._senders.values():
            await sender.settle()
        await beside.go_to(time_ms)

    async def _wait_for(self, time_ms: int, anchor: tuple[float, int]) -> tuple[float, int]:
        """Until it is time for `time_ms`; returns the pair of wall and event time that the speed counts from."""
        began, began_ms = anchor
        due = began + (time_ms - began_ms) / 1000 / self._speed
        wait_s = due - time.monotonic()
        if wait_s < -CATCH_UP_S:
            return time.monotonic(), time_ms
        await asyncio.sleep(max(wait_s, 0.0))
        return anchor

    async def _tell(self) -> None:
        told = -TOLD_INTERVAL_S
        while True:
            self._store()
            if time.monotonic() - told > TOLD_INTERVAL_S:
                told = time.monotonic()
                print(json.dumps(asdict(self._progress)), flush=True)
            await asyncio.sleep(STORE_INTERVAL_S)

    def _store(self) -> None:
        # What is behind the last step that was handed over is acknowledged of a scenario, too.
        reached = min(self._queued_ms, *(sender.position_ms for sender in self._senders.values()))
        self._progress = replace(
            self._progress,
            position_ms=self._progress.position_ms if reached <= NO_TIME_MS else reached,
            sent=sum(sender.sent for sender in self._all),
            accepted=sum(sender.accepted for sender in self._all),
            rejected=sum(sender.rejected for sender in self._all),
        )
        if self._path is not None:
            position.store(self._path, self._progress)

    async def _register(self, domain: str) -> None:
        wanted = [entity for owner, entity in auckland_feed.entities(self._plan.seed) if owner == domain]
        await self._senders[domain].register(wanted)
        log.info("%s: %d entities registered", domain, len(wanted))


def read_arguments(arguments: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m services.feeds", description=__doc__.splitlines()[0])
    for name in DOMAINS:
        parser.add_argument(f"--{name}", required=True, metavar="HOST:PORT", help=f"gRPC address of {name}")
    parser.add_argument("--speed", type=float, default=DEFAULT_SPEED, help="event seconds a second (%(default)g)")
    parser.add_argument("--until", type=datetime.fromisoformat, help="end at this event time (RFC 3339)")
    parser.add_argument("--seed", type=int, default=DEFAULT_SEED, help="of the road simulation (%(default)d)")
    parser.add_argument("--position", type=Path, help="file that keeps how far the replay has come")
    parser.add_argument("--scenario", type=int, metavar="SEED", help="an invented city beside it; all follows from it")
    parser.add_argument("--truth", type=Path, help="file for the truth of the scenario, as JSON lines")
    for name in SCENARIO_SERVICES:
        parser.add_argument(f"--{name}", metavar="HOST:PORT", help=f"gRPC address of {name}, with --scenario")
    given = parser.parse_args(arguments)
    if given.speed <= 0:
        parser.error(f"--speed must be above 0, not {given.speed:g}")
    if given.until is not None and given.until.tzinfo is None:
        parser.error("--until needs a time zone: 2024-11-24T18:00+13:00")
    if given.scenario is not None and (missing := [n for n in SCENARIO_SERVICES if getattr(given, n) is None]):
        parser.error(f"--scenario needs {', '.join(f'--{name}' for name in missing)}")
    return given


async def run(given: argparse.Namespace) -> None:
    """Feed until the plan's end or a signal."""
    end_ms = None if given.until is None else int(given.until.timestamp()) // 60 * 60_000
    plan = auckland_feed.plan(given.seed, end_ms)
    addresses = {name: getattr(given, name) for name in DOMAINS}
    beside = None
    if given.scenario is not None:
        told = addresses | {name: getattr(given, name) for name in SCENARIO_SERVICES}
        beside = partial(scenario_beside, given.scenario, plan.replay_ms, plan.end_ms, told, given.truth)
    feed = Feed(addresses, plan, given.speed, given.position, beside)
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, feed.stop)
    log.info("%s", auckland.ATTRIBUTION)
    log.info("road flow: a simulation, seed %d", given.seed)
    await feed.run()


def main() -> None:
    given = read_arguments()
    try:
        asyncio.run(run(given))
    except grpc.aio.AioRpcError as error:
        sys.exit(f"a service refused the feed: {error.code().name}: {error.details()}")
    except ValueError as error:
        sys.exit(str(error))


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO, stream=sys.stderr, format="%(asctime)s %(levelname)s %(name)s %(message)s")
    main()
