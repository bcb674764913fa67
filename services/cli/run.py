"""Runs a city on this machine from its start to its summary: `urban up` without its options."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from types import FrameType
from typing import TYPE_CHECKING, Any

from services.cli.addresses import Addresses
from services.cli.city import City
from services.cli.domains import find_domains
from services.cli.drain import read_end_offsets, wait_until_drained
from services.cli.explain import incident_sentence
from services.cli.figures import Figures, scrape_all
from services.cli.screen import Say, Screen, open_screen
from services.cli.summary import Summary, read_stored, rss_mb, versions
from services.cli.view import Meter, Newest, View
from services.runtime.clickhouse_address import client_address

if TYPE_CHECKING:
    from clickhouse_connect.driver.client import Client

TICK_S = 0.1
LOOK_INTERVAL_S = 1.0
DRAIN_TIMEOUT_S = 60.0
INTERRUPTED = 130

_NEWEST = """
SELECT count(), argMax(tuple(title, severity, start_time, state, explanation), (start_time, id))
FROM correlation.incidents FINAL WHERE state NOT IN ('superseded', 'retracted', 'merged')
"""


class Interrupts:
    """Ctrl-C while the city starts breaks off; later it asks for the end; a second one ends everything at once."""

    def __init__(self, kill: Callable[[], None]) -> None:
        self.asked = False
        self.starting = True
        self._kill = kill

    def take(self, _number: int, _frame: FrameType | None) -> None:
        if self.asked:
            self._kill()
            os._exit(INTERRUPTED)
        self.asked = True
        if self.starting:
            raise KeyboardInterrupt

    @contextmanager
    def held(self) -> Iterator[None]:
        """Take SIGINT and SIGTERM for the time of a block."""
        before = {number: signal.signal(number, self.take) for number in (signal.SIGINT, signal.SIGTERM)}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)


class Run:
    """One run of a started city: watches it, ends it, sums it up."""

    def __init__(self, city: City, addresses: Addresses, began: float, say: Say) -> None:
        self._city, self._addresses, self._began = city, addresses, began
        self._client = _connect(addresses.clickhouse)
        self._meter = Meter()
        self._first_incident_s: float | None = None
        self._view = View(0.0, "", None)
        self._say = say

    def watch(self, seconds: float | None, interrupts: Interrupts) -> None:
        """Show the city until `seconds` have passed, its feed has ended, or somebody interrupts.

        Raises ProcessEndedError where a process ends by itself.
        """
        end = None if seconds is None else time.monotonic() + seconds
        screen = open_screen(self._addresses)
        with screen.running():
            looked = -LOOK_INTERVAL_S
            while not interrupts.asked and (end is None or time.monotonic() < end) and not self._city.feed_ended():
                self._city.check()
                if time.monotonic() - looked >= LOOK_INTERVAL_S:
                    looked = time.monotonic()
                    self._look(screen)
                time.sleep(TICK_S)
            self._look(screen)
        if self._city.feed_ended():
            self._say("the replay has come to its end; --fresh plays it again")

    def finish(self) -> Summary:
        """Stop the feed, wait until all is worked off, stop the services, and say what came of it."""
        self._say("stopping: the feed first, then what is still on its way")
        self._city.stop_feed()
        domains = find_domains()
        ends = read_end_offsets(self._addresses.kafka, domains)
        deadline = time.monotonic() + DRAIN_TIMEOUT_S
        drained = wait_until_drained(self._addresses.kafka, self._client, ends, deadline, self._city.check)
        if not drained:
            self._say(f"after {DRAIN_TIMEOUT_S:.0f} s not everything is worked off; the next start goes on there")
        self._note_incidents(self._newest())
        memory = rss_mb(self._city.pids())
        self._city.stop_services()
        stored = read_stored(self._client, domains)
        return Summary(
            **asdict(stored),
            seconds=round(time.monotonic() - self._began, 1),
            first_incident_seconds=self._first_incident_s,
            drained=drained,
            endpoints=asdict(self._addresses),
            versions=versions(self._client),
            rss_mb=memory,
        )

    def _look(self, screen: Screen) -> None:
        seconds = time.monotonic() - self._began
        urls = {name: address.metrics for name, address in self._addresses.services.items()}
        # A service that is too busy to answer keeps its last figures for this look.
        figures: dict[str, Figures] = {**self._view.figures, **scrape_all(urls)}
        feed = self._city.feed_progress()
        newest = self._newest()
        self._note_incidents(newest)
        self._view = View(
            seconds,
            feed.phase if feed else "starting" if self._city.settings.feed else "live",
            feed.clock_ms if feed else None,
            figures,
            self._meter.rates(seconds, {name: found.observations for name, found in figures.items()}),
            newest,
        )
        screen.show(self._view)

    def _note_incidents(self, newest: Newest) -> None:
        if newest.count and self._first_incident_s is None:
            self._first_incident_s = round(time.monotonic() - self._began, 1)

    def _newest(self) -> Newest:
        ((count, newest),) = self._client.query(_NEWEST).result_rows
        if not count:
            return Newest()
        *told, explanation = newest
        return Newest(int(count), incident_sentence(*told), explanation)


def _connect(url: str) -> Client:
    import clickhouse_connect

    client: Any = clickhouse_connect.get_client(**client_address(url), autogenerate_session_id=False)
    return client  # type: ignore[no-any-return]  # the library types it as one of several
