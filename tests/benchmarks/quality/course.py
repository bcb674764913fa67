"""One seed of the quality run: a city goes its course; all that was told of it, and when."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from services.core.correlation.incident import Incident, IncidentState
from services.core.correlation.rule import Rule
from services.core.correlation.rulebook import Rulebook
from services.core.kind import DAY_MS, MINUTE_MS
from services.core.signals import Signal
from services.feeds.scenario.announced import planned_events
from services.feeds.scenario.city import City
from services.feeds.scenario.script import Script
from tests.benchmarks.quality.engine import CityEngine, Told

# URBAN_SILENCE_SECONDS of a city is a minute; here every kind reports every minute.
SILENCE_MS = 5 * MINUTE_MS


@dataclass(frozen=True)
class ToldSignal:
    """The newest version of a signal, and when its first one was told."""

    signal: Signal
    clock_ms: int


@dataclass(frozen=True)
class ToldIncident:
    """The newest version of an incident, and when its first one was told.

    A late signal may move the beginning of an incident, which is another one by its id then: people were told of the
    ones `before`, whose place this one took.
    """

    incident: Incident
    clock_ms: int
    before: tuple[ToldIncident, ...] = ()
    planned: bool = False  # a planned event explained each of its versions: nobody was told of any

    @property
    def line(self) -> tuple[ToldIncident, ...]:
        """Itself and all whose place it took, directly or not."""
        return self, *self.before

    @property
    def untold(self) -> bool:
        """Whether planned events explain all of it, and of what it took the place of."""
        return all(told.planned for told in self.line)


@dataclass(frozen=True)
class Heard:
    """All that a city's detectors told in a run, minute by minute: what rules are tried on, any number of times."""

    told: Sequence[Told]
    observations: int
    kinds: Sequence[str]  # that took part


@dataclass(frozen=True)
class Course:
    """What came of a run."""

    city: City
    script: Script
    signals: Sequence[ToldSignal]  # that stand, of windows that were measured whole
    incidents: Sequence[ToldIncident]  # that were neither superseded nor retracted, and of which somebody is told
    observations: int
    kinds: Sequence[str]  # that took part
    quiet_ms: int = 0  # at its beginning, in which nothing happened
    withdrawn: Sequence[ToldIncident] = ()  # incidents that were told, and are retracted
    planned: Sequence[ToldIncident] = ()  # that a planned event explains: nobody is told of them


def hear(
    city: City,
    script: Script,
    *,
    kinds: Sequence[str] = (),
    unusual: bool = True,
    minutes: int = 1,
    quiet_ms: int = 0,
    day_done: Callable[[int], None] = lambda day: None,
) -> Heard:
    """Runs a city by this script through its detectors. `kinds`: only these; none: all. `minutes`: how exactly it is
    known when something was told after the first `quiet_ms`. `day_done`: called with the number of each day behind it.
    """
    engine = CityEngine(city, script, kinds=kinds, unusual=unusual)
    told: list[Told] = []
    days = 0
    for one in engine.run(minutes, quiet_ms=quiet_ms):
        told.append(one)
        if (now := (min(one.clock_ms, script.to_ms) - script.from_ms) // DAY_MS) > days:
            days = now
            day_done(days)
    return Heard(told, engine.observations, sorted(engine.kinds))


def judge(city: City, script: Script, heard: Heard, rules: Sequence[Rule], *, quiet_ms: int = 0) -> Course:
    """What rules make of what a city's detectors told. The rules must name no kind that did not take part."""
    rulebook = Rulebook(rules, dict.fromkeys(sources_of(rules), 1), silence_ms=SILENCE_MS)
    for event in planned_events(city, script):
        rulebook.plan(event)
    signals: dict[str, ToldSignal] = {}
    incidents: dict[str, ToldIncident] = {}
    for told in heard.told:
        changes: list[Incident] = []
        for signal in told.signals:
            before = signals.get(signal.id)
            signals[signal.id] = ToldSignal(signal, before.clock_ms if before else told.clock_ms)
            changes += rulebook.take(signal, told.clock_ms)
        for mark in told.watermarks:
            changes += rulebook.take(mark, told.clock_ms)
        for incident in changes:
            known = incidents.get(incident.id)
            planned = bool(incident.planned_event) and (known is None or known.planned)
            incidents[incident.id] = ToldIncident(incident, known.clock_ms if known else told.clock_ms, (), planned)
    incidents = _with_those_before(incidents)
    within = [t for t in signals.values() if lies_within(script, t.signal)]
    # One of the end of the run alone, when every sensor falls silent, is not counted.
    measured = [t for t in incidents.values() if any(lies_within(script, s) for s in t.incident.signals)]
    standing = [t for t in measured if t.incident.state not in (IncidentState.SUPERSEDED, IncidentState.RETRACTED)]
    return Course(
        city,
        script,
        [t for t in within if not t.signal.retracted],
        [t for t in standing if not t.untold],
        heard.observations,
        heard.kinds,
        quiet_ms,
        [t for t in measured if t.incident.state is IncidentState.RETRACTED and not t.untold],
        [t for t in standing if t.untold],
    )


def _with_those_before(incidents: Mapping[str, ToldIncident]) -> dict[str, ToldIncident]:
    """Each with all that led to it, directly or not: an heir may have been superseded, too."""
    of: dict[str, list[ToldIncident]] = {}
    for told in incidents.values():
        heir, passed = told.incident.superseded_by, {told.incident.id}
        while heir in incidents and heir not in passed:
            of.setdefault(heir, []).append(told)
            passed.add(heir)
            ended = incidents[heir].incident
            heir = ended.superseded_by if ended.state is IncidentState.SUPERSEDED else ""
    return {name: replace(told, before=tuple(of.get(name, ()))) for name, told in incidents.items()}


def lies_within(script: Script, signal: Signal) -> bool:
    """Whether all of a window was measured; of a day it is enough that it ends there, as nothing was unusual before."""
    begins = signal.start_ms >= script.from_ms or signal.end_ms - signal.start_ms == DAY_MS
    return begins and signal.end_ms <= script.to_ms


def sources_of(rules: Sequence[Rule]) -> list[tuple[str, str]]:
    """The kinds that rules look at, by domain and name."""
    return sorted({(selector.domain, selector.kind) for rule in rules for selector in rule.selectors})
