"""A town on the signal topic: what begins here and there at any hour, and what is planted among it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

import numpy as np

from services.core.correlation.event_time import Watermarks
from services.core.kind import HOUR_MS
from services.core.scan import Finding, Lookout, LookoutState, WatchPlan
from services.core.signals import Signal
from tests.core.correlation.city import crowding

SOURCES = {("community", "people_count"): 1, ("traffic", "road_flow"): 1}
# 2026-06-01T00:00Z
T0 = 1_780_272_000_000
DEGREE_PER_M = 1 / 111_194.9
QUARTER_MS = 900_000

Record = Signal | Watermarks


def chances(city: str, scan_ms: int) -> np.random.Generator:
    return np.random.default_rng([*city.encode(), scan_ms // HOUR_MS])


def begins(entity: str, end_ms: int, north_m: float, east_m: float, city: str = "town") -> Signal:
    """A quarter of an hour in which something is unusual at a place."""
    made = crowding(entity, end_ms - QUARTER_MS, city=city, end_ms=end_ms)
    return replace(made, latitude=10.0 + north_m * DEGREE_PER_M, longitude=20.0 + east_m * DEGREE_PER_M)


def background(seed: int, places: int = 40, cases: int = 150, hours: int = 48, city: str = "town") -> list[Signal]:
    """Signals at some places of 6 km by 6 km, of which some tell ten times as many as others, with rush hours."""
    chance = np.random.default_rng([seed, 1])
    north, east = chance.uniform(-3_000, 3_000, (2, places))
    busy = chance.uniform(0.1, 1.0, places) ** 2
    rhythm = 0.3 + np.sin(np.pi * np.arange(hours) / 12) ** 2
    place = chance.choice(places, cases, p=busy / busy.sum()).tolist()
    hour = chance.choice(hours, cases, p=rhythm / rhythm.sum()).tolist()
    minute = chance.integers(1, 60, cases).tolist()
    ends = {(p, T0 + h * HOUR_MS + m * 60_000) for p, h, m in zip(place, hour, minute, strict=True)}
    return [begins(f"place-{p}", end, float(north[p]), float(east[p]), city) for p, end in sorted(ends)]


def planted(seed: int, hour: int = 40, cases: int = 12, city: str = "town") -> list[Signal]:
    """Within two hours and 400 m something begins at as many places, none of which had told anything before."""
    chance = np.random.default_rng([seed, 2])
    offsets, minutes = chance.uniform(-280, 280, (cases, 2)).tolist(), chance.integers(1, 120, cases).tolist()
    return [
        begins(f"new-{n}", T0 + hour * HOUR_MS + minute * 60_000, 1_000 + north, -1_000 + east, city)
        for n, ((north, east), minute) in enumerate(zip(offsets, minutes, strict=True))
    ]


def passed(time_ms: int) -> list[Record]:
    """The processors of all kinds say that they have passed a time."""
    return [Watermarks(domain, kind, {0: time_ms}) for domain, kind in SOURCES]


def in_order(signals: Iterable[Signal], until_ms: int) -> list[Record]:
    """A log in which nothing is late: each hour's signals, and then that the hour is over."""
    log: list[Record] = []
    waiting = sorted(signals, key=lambda s: (s.end_ms, s.id))
    for hour_ms in range(T0 + HOUR_MS, until_ms + 1, HOUR_MS):
        log += [s for s in waiting if hour_ms - HOUR_MS < s.end_ms <= hour_ms]
        log += passed(hour_ms)
    return log


def new_lookout(plan: WatchPlan | None = None, state: LookoutState | None = None) -> Lookout:
    return Lookout(SOURCES, chances, silence_ms=60_000, plan=plan, state=state)


def play(lookout: Lookout, log: Sequence[Record]) -> list[Finding]:
    """Every version that comes of a log."""
    versions: list[Finding] = []
    for record in log:
        lookout.take(record, 0)
        while lookout.due:
            versions += lookout.scan()
    return versions


def final(versions: Iterable[Finding]) -> dict[str, Finding]:
    """The newest version of each, but for its number."""
    return {version.id: replace(version, revision=0) for version in versions}
