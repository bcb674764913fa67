"""Shows a running city: one screen that renews itself on a terminal, plain lines elsewhere."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from datetime import UTC, datetime
from typing import Protocol

from rich.console import Console, Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from services.cli.addresses import Addresses
from services.cli.view import View

LINE_INTERVAL_S = 3.0
REFRESH_PER_S = 4

Say = Callable[[str], None]


class Screen(Protocol):
    """Where a running city is shown."""

    def show(self, view: View) -> None: ...

    def running(self) -> AbstractContextManager[object]: ...

    def say(self, text: str) -> None: ...


def open_screen(addresses: Addresses) -> Screen:
    """One that renews itself where standard output is a terminal, else lines."""
    console = Console()
    return LiveScreen(console, addresses) if console.is_terminal else LineScreen(addresses)


class LineScreen:
    """A line every few seconds, and one at once for every new incident."""

    def __init__(self, addresses: Addresses) -> None:
        self._told = -LINE_INTERVAL_S
        self._incidents: set[str] = set()
        for name, address in address_lines(addresses).items():
            self.say(f"{name:<18} {address}")

    def running(self) -> AbstractContextManager[object]:
        return nullcontext()

    def show(self, view: View) -> None:
        if view.newest.line and view.newest.line not in self._incidents:
            self._incidents.add(view.newest.line)
            self.say(f"incident: {view.newest.line}")
            if view.newest.explanation:
                self.say(f"  {view.newest.explanation}")
        if time.monotonic() - self._told >= LINE_INTERVAL_S:
            self._told = time.monotonic()
            self.say(line_of(view))

    def say(self, text: str) -> None:
        print(text, flush=True)


class LiveScreen:
    """One screen that renews itself."""

    def __init__(self, console: Console, addresses: Addresses) -> None:
        self._addresses = address_lines(addresses)
        self._console = console
        self._live = Live(console=console, refresh_per_second=REFRESH_PER_S, transient=False)

    def running(self) -> AbstractContextManager[object]:
        return self._live

    def show(self, view: View) -> None:
        self._live.update(Group(Text(head_of(view), style="bold"), _domains(view), _incident(view), self._where()))

    def say(self, text: str) -> None:
        self._console.print(text, highlight=False)

    def _where(self) -> Table:
        grid = Table.grid(padding=(0, 2))
        for name, address in self._addresses.items():
            grid.add_row(Text(name, style="dim"), address)
        return grid


def head_of(view: View) -> str:
    """The first line of a screen: how long, which event time, how much."""
    return (
        f"{view.seconds:5.0f} s  {view.phase}  {event_time(view.clock_ms)}  "
        f"{view.observations:,} observations, {view.rate:,.0f}/s, {view.newest.count} incidents"
    )


def line_of(view: View) -> str:
    """A view in one plain line."""
    return (
        f"{view.seconds:5.0f} s  {view.phase} {event_time(view.clock_ms)}  "
        f"observations {view.observations:,} ({view.rate:,.0f}/s)  lag {view.lag:,}  windows {view.windows:,}  "
        f"signals {view.signals:,}  incidents {view.newest.count:,}"
    )


def event_time(time_ms: int | None) -> str:
    """A moment of event time, UTC, to the minute."""
    return "-" if time_ms is None else f"{datetime.fromtimestamp(time_ms / 1000, UTC):%Y-%m-%d %H:%M} UTC"


def address_lines(addresses: Addresses) -> Mapping[str, str]:
    """Where to look, by name."""
    services = {f"gRPC {name}": f"{value.grpc}   metrics {value.metrics}" for name, value in addresses.services.items()}
    return {"ClickHouse (HTTP)": addresses.clickhouse, "Kafka": addresses.kafka, **services}


def _domains(view: View) -> Table:
    table = Table(box=None, padding=(0, 2), header_style="dim")
    table.add_column("service")
    for head in ("observations", "per s", "lag", "event time passed", "open windows", "windows", "signals", "MB"):
        table.add_column(head, justify="right")
    for name, figures in view.figures.items():
        passed = event_time(int(figures.watermark_s * 1000)) if figures.watermark_s else "-"
        numbers = (figures.open_windows, figures.windows, figures.signals)
        table.add_row(
            *(name, f"{figures.observations:,}", f"{view.rates.get(name, 0):,.0f}", f"{figures.lag:,}", passed),
            *(*(f"{number:,}" for number in numbers), f"{figures.rss_mb:,.0f}"),
        )
    return table


def _incident(view: View) -> Text:
    if not view.newest.line:
        return Text("no incident yet", style="dim")
    newest = Text(f"newest incident: {view.newest.line}", style="bold red")
    return newest.append(f"\n{view.newest.explanation}", style="not bold") if view.newest.explanation else newest


def say_on_stderr(text: str) -> None:
    """For what is told before there is a screen."""
    print(text, file=sys.stderr, flush=True)
