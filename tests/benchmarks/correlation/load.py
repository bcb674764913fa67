"""The signals of cities, seeded: what stands about by itself, and incidents planted after the rules' own examples."""

from __future__ import annotations

import math
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cache
from operator import attrgetter

from services.core.correlation.rule import Rule
from services.core.correlation.selector import Selector
from services.core.signals import Evidence, Severity, Signal, signal_id
from services.correlation.examples import Example, examples_of
from services.correlation.rules import FOLDER

MINUTE_MS = 60_000
HOUR_MS = 3_600_000
NOON_MS = 1_717_329_600_000  # 2024-06-02T12:00Z
_DEGREE_M = 111_195.08  # of latitude, on the sphere of the mean Earth radius

# Of a thousand signals that stand about by themselves: how many are of a kind, and the window that they are about. An
# assumption: most is told where most is measured, and every minute.
KINDS = {
    ("traffic", "road_flow"): (430, "5m", 5 * MINUTE_MS),
    ("security", "camera_event"): (170, "1m", MINUTE_MS),
    ("community", "people_count"): (130, "15m", 15 * MINUTE_MS),
    ("community", "passage"): (80, "15m", 15 * MINUTE_MS),
    ("security", "credential_event"): (60, "1m", MINUTE_MS),
    ("environment", "noise"): (40, "1h", HOUR_MS),
    ("traffic", "rail_call"): (30, "15m", 15 * MINUTE_MS),
    ("security", "emergency_call"): (20, "1h", HOUR_MS),
    ("traffic", "parking"): (15, "15m", 15 * MINUTE_MS),
    ("community", "service_request"): (10, "24h", 24 * HOUR_MS),
    ("environment", "air_quality"): (5, "1h", HOUR_MS),
    ("environment", "emission"): (5, "1h", HOUR_MS),
    ("environment", "weather"): (5, "10m", 10 * MINUTE_MS),
}
# What is unusual at a sensor lasts for so many windows, at most.
MOST_WINDOWS = 6


@dataclass(frozen=True)
class Load:
    """So many cities that are alike, for some hours from noon on."""

    name: str
    cities: int
    signals_per_hour: int  # of each city
    km2: float  # of each city
    hours: int
    planted: float  # share of the signals that belong to planted incidents
    seed: int = 7

    @property
    def rate(self) -> int:
        """Signals an hour, of all cities."""
        return self.cities * self.signals_per_hour


def signals_of(load: Load, rules: Sequence[Rule]) -> list[Signal]:
    """All signals, by the end of their windows."""
    chance = random.Random(load.seed)
    plants = [(rule, example) for rule in rules for example in _planted(rule)]
    found: dict[str, Signal] = {}
    for number in range(load.cities):
        city = _City(f"city-{number}", number, load.km2, chance)
        wanted = load.signals_per_hour * load.hours
        planted = round(wanted * load.planted)
        mine: dict[str, Signal] = {}
        while len(mine) < planted:
            mine |= {s.id: s for s in city.plant(*chance.choice(plants), load.hours)}
        while len(mine) < wanted:
            mine |= {s.id: s for s in city.episode(rules, load.hours)}
        found |= mine
    return sorted(found.values(), key=attrgetter("end_ms", "id"))


@cache
def _planted(rule: Rule) -> tuple[Example, ...]:
    """Examples beside the rule that hold an incident."""
    return tuple(e for e in examples_of(FOLDER / f"{rule.name}.yaml", rule) if e.incidents and not e.silent)


class _City:
    """A square of its own, far from every other."""

    def __init__(self, name: str, number: int, km2: float, chance: random.Random) -> None:
        self.name, self._chance = name, chance
        self._south, self._west = -50.0 + number % 40 * 2.5, -175.0 + number // 40 * 2.8
        self._side_m = math.sqrt(km2) * 1000

    def _place(self) -> tuple[float, float]:
        latitude = self._south + self._chance.uniform(0, self._side_m) / _DEGREE_M
        east_m = self._chance.uniform(0, self._side_m)
        return latitude, self._west + east_m / (_DEGREE_M * math.cos(math.radians(latitude)))

    def episode(self, rules: Sequence[Rule], hours: int) -> Iterator[Signal]:
        """Something unusual at one sensor, for some windows."""
        chance = self._chance
        (kind,) = chance.choices(list(KINDS), [share for share, _, _ in KINDS.values()])
        selector, type_ = chance.choice(_types(tuple(rules))[kind])
        _, window, size_ms = KINDS[kind]
        latitude, longitude = self._place()
        entity = selector.entity.replace("*", f"s{chance.randrange(10**9)}")
        hop_ms = min(size_ms, HOUR_MS)
        first = NOON_MS + chance.randrange(2 - MOST_WINDOWS, hours * HOUR_MS // hop_ms + 1) * hop_ms
        for number in range(chance.randint(1, MOST_WINDOWS)):
            end_ms = first + number * hop_ms
            start_ms = end_ms - size_ms
            if NOON_MS < end_ms <= NOON_MS + hours * HOUR_MS:
                yield Signal(
                    id=signal_id(self.name, *kind, type_, entity, window, start_ms),
                    city=self.name,
                    domain=kind[0],
                    kind=kind[1],
                    type=type_,
                    entity_id=entity,
                    window=window,
                    start_ms=start_ms,
                    end_ms=end_ms,
                    retracted=False,
                    severity=max(Severity.MODERATE, selector.minimum_severity),
                    score=round(chance.uniform(selector.minimum_score, 1.0), 3),
                    evidence=_evidence(selector, chance),
                    revision=chance.randint(1, 40),
                    detector_version="1",
                    latitude=latitude,
                    longitude=longitude,
                )

    def plant(self, rule: Rule, example: Example, hours: int) -> Iterator[Signal]:
        """An example, at another place and time; what would end too late is left out."""
        chance, number = self._chance, self._chance.randrange(10**9)
        latitude, longitude = self._place()
        some = next(iter(example.signals.values()))
        latest = max(s.end_ms for s in example.signals.values())
        shift_ms = NOON_MS - latest + chance.randrange(1, hours * 60) * MINUTE_MS
        for signal in example.signals.values():
            # Names of examples may have blanks, ids of entities none.
            entity, start_ms = f"{signal.entity_id.replace(' ', '-')}{number}", signal.start_ms + shift_ms
            window = f"w{signal.end_ms - signal.start_ms}"
            yield replace(
                signal,
                id=signal_id(self.name, signal.domain, signal.kind, signal.type, entity, window, start_ms),
                city=self.name,
                entity_id=entity,
                window=window,
                start_ms=start_ms,
                end_ms=signal.end_ms + shift_ms,
                latitude=latitude + signal.latitude - some.latitude,
                longitude=longitude + (signal.longitude - some.longitude),
            )


@cache
def _types(rules: tuple[Rule, ...]) -> dict[tuple[str, str], list[tuple[Selector, str]]]:
    """The detectors of a kind that rules name, with a selector that asks for them."""
    found: dict[tuple[str, str], dict[str, Selector]] = {}
    for rule in rules:
        for selector in rule.selectors:
            of_kind = found.setdefault((selector.domain, selector.kind), {})
            for type_ in selector.types:
                of_kind.setdefault(type_, selector)
    return {kind: [(selector, type_) for type_, selector in of_kind.items()] for kind, of_kind in found.items()}


def _evidence(selector: Selector, chance: random.Random) -> tuple[Evidence, ...]:
    """Two figures, and those that the selector asks for: two in three meet it."""
    asked = []
    for bound in selector.where:
        normal = chance.uniform(40.0, 60.0)
        above = 0.0 if bound.above_expected == -math.inf else bound.above_expected
        value = (normal if bound.above_expected > -math.inf else max(bound.at_least, 0.0)) + above
        asked.append(Evidence(bound.measure, value + chance.uniform(-5.0, 10.0), 5.0, normal))
    return (*asked, Evidence("robust_z", round(chance.uniform(5, 20), 3), 5.0), Evidence("value", 4210.0, 0.0, 1800.0))
