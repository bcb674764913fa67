"""What happens when and where in a run of a scenario: incidents of every rule, near misses, and what resembles them.

No two stand so near each other in space and time that one could lend the other a signal that it needs.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

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
# What lasts for days goes on beside all others, but for near misses that it would lend what they lack: bad air is a
# witness of a release within 3 km, and the two stations of an episode lie a kilometre apart.
LENDS_M = 3_700.0
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
    "heavy_pollution": (dangers.heavy_pollution, 1, (0, 23)),
}
# Scenes that last for days: of each, one begins so long after the one before at least. A station that tells of bad air
# alone must not be heard beside two others, and an alert is heard from a day after the beginning to three and a half.
LASTING_MS: Mapping[str, int] = {"heavy_pollution": 66 * HOUR_MS}


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
    # When it may begin, UTC ms: one of [from, to).
    from_ms: int
    to_ms: int

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
    default; of each rule there is one at least. Those that last for days are left out where they find no room, as in a
    run of less than five and a half days. ValueError where others do not, or those of `only`, or one is unknown.
    """
    if unknown := sorted(set(only) - set(INCIDENTS)):
        raise ValueError(f"no scene of {', '.join(unknown)}; there are {', '.join(INCIDENTS)}")
    placed: list[Happening] = []
    made: list[Happening] = []
    for wish in _wishes(city, from_ms + quiet_ms, to_ms, density, only):
        if (happening := _place(city, wish, to_ms, placed)) is not None:
            made.append(happening)
        elif only or wish.name not in LASTING_MS:
            raise ValueError(
                f"there is no room for {wish.id}: a longer run, a larger city or a lower density is needed"
            )
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


def _wishes(city: City, from_ms: int, to_ms: int, density: float, only: Sequence[str]) -> Iterator[_Wish]:
    weeks = density * (to_ms - from_ms) / WEEK_MS
    wanted = {name: told for name, told in INCIDENTS.items() if not only or name in only}
    for name, (make, a_week, hours) in wanted.items():
        for number in range(1, max(1, round(weeks * a_week)) + 1) if name not in LASTING_MS else ():
            yield _Wish(What.INCIDENT, name, make, hours, number, from_ms, to_ms)
            yield _Wish(What.NEAR_MISS, name, make, hours, number, from_ms, to_ms)
    for what, make, a_week, hours in others.OTHERS if not only else ():
        for number in range(1, round(weeks * a_week) + 1):
            yield _Wish(what, make.__name__, make, hours, number, from_ms, to_ms)
    # Last, so that they find their place around the others and move none of them.
    for name in (name for name in wanted if name in LASTING_MS):
        yield from _lasting_wishes(city, name, from_ms, to_ms)


def _lasting_wishes(city: City, name: str, from_ms: int, to_ms: int) -> Iterator[_Wish]:
    """Incidents and near misses in turn, each in a part of the run of its own; however dense the others are."""
    make, a_week, hours = INCIDENTS[name]
    pairs = max(1, round((to_ms - from_ms) / WEEK_MS * a_week))
    part_ms = (to_ms - from_ms) // (2 * pairs)
    turn = int(stream(city.seed, "turn", name).integers(0, 2))
    for i in range(2 * pairs):
        what = (What.INCIDENT, What.NEAR_MISS)[(i + turn) % 2]
        begins_ms = from_ms + i * part_ms
        last_ms = begins_ms + part_ms - LASTING_MS[name]
        yield _Wish(what, name, make, hours, i // 2 + 1, begins_ms, last_ms + 1)


def _place(city: City, wish: _Wish, to_ms: int, placed: list[Happening]) -> Happening | None:
    """Finds a time and a place for a wish, and adds it to what is placed; None: there is no room."""
    chance = stream(city.seed, "scene", wish.id)
    first, last = wish.hours
    begins_ms = -(-wish.from_ms // HOUR_MS) * HOUR_MS
    hours = [h for h in range(begins_ms, wish.to_ms, HOUR_MS) if first <= h // HOUR_MS % 24 <= last]
    for _ in range(TRIES if hours else 0):
        hour_ms = hours[int(chance.integers(0, len(hours)))]
        scene = wish.make(city, hour_ms, chance)
        # What a near miss lacks might come from another happening: room is made for the whole.
        whole = happening_of(What.INCIDENT if wish.what is What.NEAR_MISS else wish.what, wish.name, 0, scene, chance)
        if whole.to_ms <= to_ms and not any(_meet(whole, other) for other in placed):
            told = happening_of(wish.what, wish.name, wish.number, scene, chance)
            placed.append(replace(whole, lacking=told.lacking))
            return told
    return None


def _meet(one: Happening, other: Happening) -> bool:
    """Whether two happenings could be taken for one."""
    if one.name in LASTING_MS:
        return _lends(one, other)
    apart_ms = APART_MS
    if one.name == other.name:
        apart_ms = COUNTED_BY_DAY_MS if "requests" in _groups(one) else ALIKE_MS
    if one.from_ms - apart_ms >= other.to_ms or other.from_ms - apart_ms >= one.to_ms:
        return False
    if _wide(one) or _wide(other):
        return bool(_groups(one) & _groups(other))
    return one.name == other.name or _distance_m(one, other) < APART_M


def _lends(lasting: Happening, other: Happening) -> bool:
    """Whether what is told for days has a near miss find what it lacks. Of the same name each has its part of a run."""
    first_ms, last_ms = min(e.from_ms for e in lasting.expected), lasting.told_to_ms
    if first_ms - APART_MS >= other.to_ms or other.from_ms - APART_MS >= last_ms:
        return False
    lacking = {change.group for part in other.parts if part.name == other.lacking for change in part.changes}
    return bool(_groups(lasting) & lacking) and other.name != lasting.name and _distance_m(lasting, other) < LENDS_M


def _distance_m(one: Happening, other: Happening) -> float:
    return float(np.hypot(one.north_m - other.north_m, one.east_m - other.east_m))


def _wide(happening: Happening) -> bool:
    """Whether it is nowhere in particular."""
    return happening.what is What.DECOY


def _groups(happening: Happening) -> set[str]:
    changed = {change.group for part in happening.parts for change in part.changes}
    return changed | {added.group for part in happening.parts for added in part.added}
