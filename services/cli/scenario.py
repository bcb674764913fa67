"""`urban scenario`: a city that does not exist, with everything that happens in it known."""

from __future__ import annotations

import json
import sys
import time
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from services.cli.addresses import NothingRunsError, find_addresses
from services.cli.domains import CORRELATION
from services.cli.moments import read_utc
from services.cli.output import JsonOption, RootOption, fail, say

if TYPE_CHECKING:
    from services.feeds.scenario.city import City
    from services.feeds.scenario.script import Script

SPEED_MAX = "max"
# A Monday.
DEFAULT_START = "2026-06-01T00:00:00Z"
PROGRESS_INTERVAL_S = 2.0


def scenario(
    out: Annotated[
        Path | None, typer.Option("--out", help="Write frames, entities and truth into this folder and send nothing.")
    ] = None,
    seed: Annotated[int, typer.Option(help="All follows from it: the same seed, the same bytes.")] = 1,
    days: Annotated[float, typer.Option(help="Length of the run; whole hours of it.")] = 7.0,
    start: Annotated[
        str, typer.Option("--from", help="Beginning of the run, a whole hour (RFC 3339).")
    ] = DEFAULT_START,
    quiet_hours: Annotated[
        int, typer.Option(help="Hours at the beginning in which nothing happens, for detectors to learn what is usual.")
    ] = 0,
    density: Annotated[float, typer.Option(help="Times as many happenings as two of each kind a week.")] = 1.0,
    only: Annotated[list[str] | None, typer.Option(help="Only incidents of this rule; may be repeated.")] = None,
    blocks: Annotated[int, typer.Option(help="Blocks of 400 m along a side of the city, 7 to 40.")] = 20,
    speed: Annotated[
        str, typer.Option(help="Seconds of event time a second, or 'max': as fast as it is acknowledged.")
    ] = SPEED_MAX,
    truth: Annotated[
        Path | None, typer.Option("--truth", help="Where to write the truth as JSON lines, when sending.")
    ] = None,
    city: Annotated[str, typer.Option("--city", help="City, as in cities/{city}.")] = "scenario",
    as_json: JsonOption = False,
    root: RootOption = None,
) -> None:
    """Play a seeded, invented city of some 2,460 sensors into a running one, or write it into files.

    Incidents of each kind of rule are planted in it, with near misses, planned events, faults of sensors, late and
    missing observations; the truth says where and when each is, and which signals are to be expected. What is planned
    is announced to the correlation service, where one runs. The services must run by the clock of a replay
    (URBAN_CLOCK=replay; `urban up --replay`). Ctrl-C waits for what is on its way.
    """
    try:
        plan = Plan(seed, days, start, quiet_hours, density, tuple(only or ()), blocks, city)
        factor = None if speed == SPEED_MAX else _number(speed)
        made, script = plan.make()
        if out is not None:
            document = _write(made, script, out)
        else:
            document = _send(made, script, factor, truth, root)
    except (ValueError, NothingRunsError, OSError) as error:
        fail(str(error))
    print(json.dumps(document, indent=1) if as_json else "\n".join(f"{k}: {_told(v)}" for k, v in document.items()))
    if document.get("stopped"):
        raise typer.Exit(130)


@dataclass(frozen=True)
class Plan:
    """What is asked for, as it was told."""

    seed: int
    days: float
    start: str
    quiet_hours: int
    density: float
    only: tuple[str, ...]
    blocks: int
    city: str

    def make(self) -> tuple[City, Script]:
        """The city and what happens in it. ValueError names the option that cannot be."""
        from services.core.kind import HOUR_MS
        from services.feeds.scenario.city import build_city
        from services.feeds.scenario.script import write_script

        hours = round(self.days * 24)
        for name, value, least, most in (
            ("days", self.days, 1 / 24, 366),
            ("quiet-hours", self.quiet_hours, 0, hours - 1),
            ("density", self.density, 0.0, 20.0),
            ("blocks", self.blocks, 7, 40),
        ):
            if not least <= value <= most:
                raise ValueError(f"--{name} {value:g} must lie between {least:.3g} and {most:g}")
        from_ms = _moment_ms(self.start)
        city = build_city(self.seed, self.blocks, self.city)
        quiet_ms = self.quiet_hours * HOUR_MS
        to_ms = from_ms + hours * HOUR_MS
        return city, write_script(city, from_ms, to_ms, quiet_ms=quiet_ms, density=self.density, only=self.only)


class _Progress:
    """One line every two seconds on standard error, over itself on a terminal."""

    def __init__(self) -> None:
        self._began = self._told = time.monotonic()

    def tell(self, clock_ms: int, observations: int) -> None:
        now = time.monotonic()
        if now - self._told < PROGRESS_INTERVAL_S:
            return
        self._told = now
        at = datetime.fromtimestamp(clock_ms / 1000, UTC).strftime("%Y-%m-%d %H:%M")
        rate = observations / (now - self._began)
        line = f"{now - self._began:6.0f} s  {at}  {observations:,} observations, {rate:,.0f}/s"
        if sys.stderr.isatty():
            print(f"\r{line}\x1b[K", end="", file=sys.stderr, flush=True)
        else:
            say(line)


def _write(city: City, script: Script, folder: Path) -> dict[str, Any]:
    from services.feeds.scenario.files import write_folder

    observations = write_folder(city, script, folder, _Progress().tell)
    return {**_about(city, script), "observations": observations, "folder": str(folder)}


def _send(city: City, script: Script, speed: float | None, truth: Path | None, root: Path | None) -> dict[str, Any]:
    import asyncio

    import grpc

    from services.cli.calls import in_words
    from services.feeds.scenario.files import write_truth

    addresses = find_addresses(root)
    domains = sorted({group.domain for group in city.groups.values()})
    if truth is not None:
        write_truth(script, truth)
    try:
        told = {name: addresses.service(name).grpc for name in domains}
        known = addresses.services.get(CORRELATION)
        return asyncio.run(_feed(city, script, told, speed, known.grpc if known else ""))
    except grpc.RpcError as error:
        raise ValueError(in_words(error)) from error


async def _feed(
    city: City, script: Script, addresses: dict[str, str], speed: float | None, correlation: str
) -> dict[str, Any]:
    import asyncio
    import signal

    from services.feeds.scenario.sending import ScenarioFeed

    feed = ScenarioFeed(city, script, addresses, speed, correlation)
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, feed.stop)
    progress = _Progress()
    await feed.run(lambda: progress.tell(feed.clock_ms, feed.accepted))
    return {
        **_about(city, script),
        "registered": feed.registered,
        "announced": feed.announced,
        "sent": feed.sent,
        "accepted": feed.accepted,
        "rejected": feed.rejected,
        **({"last_refusal": feed.last_refusal} if feed.last_refusal else {}),
        "stopped": feed.stopped,
    }


def _about(city: City, script: Script) -> dict[str, Any]:
    return {"seed": city.seed, "city": city.name, "sensors": city.sensors, "happenings": len(script.happenings)}


def _moment_ms(text: str) -> int:
    try:
        moment = read_utc(text)
    except ValueError:
        raise ValueError(f"--from {text!r} is no time as {DEFAULT_START}") from None
    if (moment - datetime(1970, 1, 1, tzinfo=UTC)) % timedelta(hours=1):
        raise ValueError(f"--from {text!r} must be a whole hour")
    return round(moment.timestamp() * 1000)


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise ValueError(f"--speed {text!r} must be a number above 0, or {SPEED_MAX}") from None


def _told(value: Any) -> str:
    return f"{value:,}" if isinstance(value, int) and not isinstance(value, bool) else str(value)
