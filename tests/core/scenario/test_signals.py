"""What is planted in a scenario's city makes the domains' own detectors speak, and nothing else does.

A small city, all kinds, the frames through the real partitions: each incident of a rule, three an hour. What lasts for
days is in `test_episode.py`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import pytest

from services.core.kind import HOUR_MS
from services.core.signals import Signal
from services.feeds.scenario.chance import stream
from services.feeds.scenario.city import SMALL_BLOCKS, City, build_city
from services.feeds.scenario.happening import What
from services.feeds.scenario.scenes import others
from services.feeds.scenario.script import INCIDENTS, LASTING_MS, Script, happening_of
from tests.benchmarks.quality.course import lies_within
from tests.benchmarks.quality.engine import CityEngine
from tests.benchmarks.quality.judging import is_raised, kind_of

# Tuesday, 2026-06-02T08:00Z, and seven hours.
FROM_MS = 1_780_387_200_000
HOURS = 7
SHORT = {name: make for name, (make, _, _) in INCIDENTS.items() if name not in LASTING_MS}
SEED = 5
FAULTS = (
    others.stuck_detector,
    others.impossible_detector,
    others.dead_camera,
    others.miscounting_garage,
    others.flat_monitoring,
    others.fog,
    others.strike,
)

# It computes for some seconds; a busy machine may let it wait.
pytestmark = pytest.mark.timeout(400)


@dataclass(frozen=True)
class Run:
    """A run, and the newest version of all that was told of windows that lie in it."""

    engine: CityEngine
    script: Script
    signals: Sequence[Signal]


@pytest.fixture(scope="module")
def run() -> Run:
    city = build_city(SEED, SMALL_BLOCKS)
    script = everything(city)
    engine = CityEngine(city, script, unusual=False)
    newest = {signal.id: signal for told in engine.run(minutes=20) for signal in told.signals}
    return Run(engine, script, [s for s in newest.values() if not s.retracted and lies_within(script, s)])


def everything(city: City) -> Script:
    """An incident of every rule but for those of days, three an hour from the second hour on, and faults beside."""
    happenings = []
    for i, (name, make) in enumerate(SHORT.items()):
        chance = stream(SEED, name)
        scene = make(city, FROM_MS + (1 + i % 4) * HOUR_MS, chance)
        happenings.append(happening_of(What.INCIDENT, name, 1, scene, chance))
    for make in FAULTS:
        chance = stream(SEED, make.__name__)
        scene = make(city, FROM_MS + 2 * HOUR_MS, chance)
        happenings.append(happening_of(What.FAULT, make.__name__, 1, scene, chance))
    rush = others.rush_hours(city, FROM_MS, FROM_MS + HOURS * HOUR_MS)
    happenings.append(happening_of(What.DECOY, "rush_hours", 1, rush, stream(SEED, "rush")))
    return Script(FROM_MS, FROM_MS + HOURS * HOUR_MS, tuple(happenings))


@pytest.mark.parametrize("name", [*SHORT, *(make.__name__ for make in FAULTS)])
def test_every_expected_signal_is_raised(run: Run, name: str):
    happening = next(h for h in run.script.happenings if h.name == name)
    wanted = [expected for expected in happening.expected if not expected.needs_past]
    assert wanted
    missed = [(e.signal, e.entity_id) for e in wanted if not is_raised(e, run.signals)]
    assert not missed


def test_nothing_is_raised_of_what_nothing_happened_to(run: Run):
    touched = {entity for happening in run.script.happenings for entity in happening.entities}
    assert Counter(kind_of(signal) for signal in run.signals if signal.entity_id not in touched) == Counter()


def test_only_the_counter_whose_clock_is_ahead_is_refused(run: Run):
    refused = {name: kind.refused for name, kind in run.engine.kinds.items() if kind.refused}
    # One counter, every five minutes, but for what is lost on the way.
    assert refused.keys() == {"community.people_count"}
    assert 0.9 * 12 * HOURS <= refused["community.people_count"] <= 12 * HOURS


def test_what_is_very_late_is_told_as_late_and_the_rest_is_folded(run: Run):
    for name, kind in run.engine.kinds.items():
        counted = kind.partition.counters
        assert counted.read == counted.folded + counted.late + counted.dead_lettered + counted.duplicate, name
    # Of one in two thousand that is half an hour late or more, the windows of road flow take none.
    road = run.engine.kinds["traffic.road_flow"]
    assert 0 < road.late < 0.002 * road.partition.counters.read
