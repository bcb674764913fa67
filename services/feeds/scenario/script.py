"""What happens when and where in a run of a scenario: incidents of every rule, near misses, and what resembles them.

No two stand so near each other in space and time that one could lend the other a signal that it needs.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from services.core.kind import DAY_MS, HOUR_MS
from services.feeds.scenario.chance import stream
from services.feeds.scenario.city import City
from services.feeds.scenario.happening import Happening, What
from services.feeds.scenario.scenes import dangers, others, people, streets
from services.feeds.scenario.scenes.making import Scene

WEEK_MS = 7 * DAY_MS
# Twice the widest distance of a rule, and as long as what follows a scene may go on.
APART_M = 1_600.0
APART_MS = 2 * HOUR_MS
# Of two happenings of one rule: a weather station speaks for half of the city, and requests are counted by the day.
ALIKE_MS, COUNTED_BY_DAY_MS = 4 * HOUR_MS, 26 * HOUR_MS
TRIES = 400

Make = Callable[[City, int, np.random.Generator], Scene]
# By the file name of the rule: the scene, how many a week, and between which hours of the day it may begin.
INCIDENTS: Mapping[str, tuple[Make, int, tuple[int, int]]] = {
    "crowd_road_pressure": (streets.crowd_road_pressure, 2, (10, 19)),
    "rail_road_pressure": (streets.rail_road_pressure, 2, (7, 20)),
    "noise_then_crowd": (people.noise_then_crowd, 2, (10, 21)),
    "road_incident_confirmed": (streets.road_incident_confirmed, 2, (7, 20)),
    "hazardous_release": (dangers.hazardous_release, 2, (6, 20)),
    "gas_or_fire": (dangers.gas_or_fire, 2, (7, 20)),
    "tampered_entry": (dangers.tampered_entry, 2, (0, 22)),
    "gathering_limit": (people.gathering_limit, 2, (9, 20)),
    "street_flooding": (streets.street_flooding, 2, (1, 21)),
    "common_cause_outage": (dangers.common_cause_outage, 2, (1, 21)),
    "scenic_area_full": (streets.scenic_area_full, 2, (9, 17)),
}


@dataclass(frozen=True)
class Script:
    """A run: [from, to) in UTC ms, in whole hours, and all that happens in it, by its beginning."""

    from_ms: int
    to_ms: int
    happenings: tuple[Happening, ...]

    def __post_init__(self) -> None:
        if self.from_ms % HOUR_MS or self.to_ms % HOUR_MS or self.from_ms >= self.to_ms:
            raise ValueError(f"a run from {self.from_ms} to {self.to_ms} ms is not of whole hours")


@dataclass(frozen=True)
class _Wish:
    what: What
    name: str
    make: Make
    hours: tuple[int, int]
    number: int

    @property
    def id(self) -> str:
        return f"{self.what.value}-{self.name}-{self.number}"


def write_script(
    city: City,
    from_ms: int,
    to_ms: int,
    *,
    quiet_ms: int = 0,
    density: float = 1.0,
    only: Sequence[str] = (),
) -> Script:
    """Incidents and as many near misses of each rule (or of those in `only`), and everything else, by the seed.

    Nothing happens in the first `quiet_ms`, in which detectors learn what is ordinary. `density`: times as many as by
    default; of each rule there is one at least. ValueError where they do not fit, or a name of `only` is unknown.
    """
    if unknown := sorted(set(only) - set(INCIDENTS)):
        raise ValueError(f"no scene of {', '.join(unknown)}; there are {', '.join(INCIDENTS)}")
    weeks = density * (to_ms - from_ms - quiet_ms) / WEEK_MS
    placed: list[Happening] = []
    made = [_place(city, wish, from_ms + quiet_ms, to_ms, placed) for wish in _wishes(weeks, only)]
    rush = others.rush_hours(city, from_ms, to_ms)
    always = Happening("decoy-rush_hours", What.DECOY, "rush_hours", rush.north_m, rush.east_m, rush.parts)
    return Script(from_ms, to_ms, tuple(sorted((always, *made), key=lambda h: (h.from_ms, h.id))))


def happening_of(what: What, name: str, number: int, scene: Scene, chance: np.random.Generator) -> Happening:
    """What a scene is in the truth; a near miss is what it almost is, or lacks a part that is needed."""
    parts, lacking = scene.parts, ""
    if what is What.NEAR_MISS and scene.almost:
        parts, lacking = scene.almost, "degree"
    elif what is What.NEAR_MISS:
        needed = [part.name for part in parts if part.needed]
        lacking = needed[int(chance.integers(0, len(needed)))]
        parts = tuple(part for part in parts if part.name != lacking)
    return Happening(f"{what.value}-{name}-{number}", what, name, scene.north_m, scene.east_m, parts, lacking)


def _wishes(weeks: float, only: Sequence[str]) -> Iterator[_Wish]:
    for name, (make, a_week, hours) in INCIDENTS.items():
        if only and name not in only:
            continue
        for number in range(1, max(1, round(weeks * a_week)) + 1):
            yield _Wish(What.INCIDENT, name, make, hours, number)
            yield _Wish(What.NEAR_MISS, name, make, hours, number)
    if only:
        return
    for what, make, a_week, hours in others.OTHERS:
        for number in range(1, round(weeks * a_week) + 1):
            yield _Wish(what, make.__name__, make, hours, number)


def _place(city: City, wish: _Wish, from_ms: int, to_ms: int, placed: list[Happening]) -> Happening:
    """Finds a time and a place for a wish, and adds it to what is placed."""
    chance = stream(city.seed, "scene", wish.id)
    first, last = wish.hours
    hours = [h for h in range(from_ms, to_ms, HOUR_MS) if first <= h // HOUR_MS % 24 <= last]
    for _ in range(TRIES if hours else 0):
        hour_ms = hours[int(chance.integers(0, len(hours)))]
        scene = wish.make(city, hour_ms, chance)
        # What a near miss lacks might come from another happening: room is made for the whole.
        whole = happening_of(What.INCIDENT if wish.what is What.NEAR_MISS else wish.what, wish.name, 0, scene, chance)
        if whole.to_ms <= to_ms and not any(_meet(whole, other) for other in placed):
            placed.append(whole)
            return happening_of(wish.what, wish.name, wish.number, scene, chance)
    raise ValueError(f"there is no room for {wish.id}: a longer run, a larger city or a lower density is needed")


def _meet(one: Happening, other: Happening) -> bool:
    """Whether two happenings could be taken for one."""
    apart_ms = APART_MS
    if one.name == other.name:
        apart_ms = COUNTED_BY_DAY_MS if "requests" in _groups(one) else ALIKE_MS
    if one.from_ms - apart_ms >= other.to_ms or other.from_ms - apart_ms >= one.to_ms:
        return False
    if _wide(one) or _wide(other):
        return bool(_groups(one) & _groups(other))
    return one.name == other.name or bool(np.hypot(one.north_m - other.north_m, one.east_m - other.east_m) < APART_M)


def _wide(happening: Happening) -> bool:
    """Whether it is nowhere in particular."""
    return happening.what is What.DECOY


def _groups(happening: Happening) -> set[str]:
    changed = {change.group for part in happening.parts for change in part.changes}
    return changed | {added.group for part in happening.parts for added in part.added}
