"""One seed of the quality run: a city goes its course; all that was told of it, and when."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from services.core.correlation.correlator import Correlator
from services.core.correlation.incident import Incident, IncidentState
from services.core.correlation.rule import Rule
from services.core.kind import DAY_MS, MINUTE_MS
from services.core.signals import Signal
from services.feeds.scenario.city import City
from services.feeds.scenario.script import Script
from tests.benchmarks.quality.engine import CityEngine

# URBAN_SILENCE_SECONDS of a city is a minute; here every kind reports every minute.
SILENCE_MS = 5 * MINUTE_MS


@dataclass(frozen=True)
class ToldSignal:
    """The newest version of a signal, and when its first one was told."""

    signal: Signal
    clock_ms: int


@dataclass(frozen=True)
class ToldIncident:
    """The newest version of an incident, and when its first one was told."""

    incident: Incident
    clock_ms: int


@dataclass(frozen=True)
class Course:
    """What came of a run."""

    city: City
    script: Script
    signals: Sequence[ToldSignal]  # that stand, of windows that were measured whole
    incidents: Sequence[ToldIncident]  # that were neither superseded nor retracted
    observations: int
    kinds: Sequence[str]  # that took part


def go(
    city: City,
    script: Script,
    rules: Sequence[Rule],
    *,
    kinds: Sequence[str] = (),
    unusual: bool = True,
    minutes: int = 1,
    progress: Callable[[int], None] = lambda clock_ms: None,
) -> Course:
    """Runs a city by this script through its detectors and these rules. `kinds`: only these, which the rules must not
    go beyond. `minutes`: how exactly it is known when something was told.
    """
    engine = CityEngine(city, script, kinds=kinds, unusual=unusual)
    correlator = Correlator(rules, dict.fromkeys(sources_of(rules), 1), silence_ms=SILENCE_MS)
    signals: dict[str, ToldSignal] = {}
    incidents: dict[str, ToldIncident] = {}
    for told in engine.run(minutes):
        changes: list[Incident] = []
        for signal in told.signals:
            before = signals.get(signal.id)
            signals[signal.id] = ToldSignal(signal, before.clock_ms if before else told.clock_ms)
            changes += correlator.take(signal, told.clock_ms)
        for mark in told.watermarks:
            changes += correlator.take(mark, told.clock_ms)
        for incident in changes:
            known = incidents.get(incident.id)
            incidents[incident.id] = ToldIncident(incident, known.clock_ms if known else told.clock_ms)
        progress(told.clock_ms)
    within = [t for t in signals.values() if lies_within(script, t.signal)]
    return Course(
        city,
        script,
        [t for t in within if not t.signal.retracted],
        [t for t in incidents.values() if _counts(script, t.incident)],
        engine.observations,
        sorted(engine.kinds),
    )


def lies_within(script: Script, signal: Signal) -> bool:
    """Whether all of a window was measured; of a day it is enough that it ends there, as nothing was unusual before."""
    begins = signal.start_ms >= script.from_ms or signal.end_ms - signal.start_ms == DAY_MS
    return begins and signal.end_ms <= script.to_ms


def _counts(script: Script, incident: Incident) -> bool:
    """Whether an incident stands, and is not about the end of the run alone, when every sensor falls silent."""
    stands = incident.state not in (IncidentState.SUPERSEDED, IncidentState.RETRACTED)
    return stands and any(lies_within(script, signal) for signal in incident.signals)


def sources_of(rules: Sequence[Rule]) -> list[tuple[str, str]]:
    """The kinds that rules look at, by domain and name."""
    return sorted({(selector.domain, selector.kind) for rule in rules for selector in rule.selectors})
