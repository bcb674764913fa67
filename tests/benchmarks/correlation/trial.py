"""One load through all rules: the processor time that it takes, and whether what came of it is right."""

from __future__ import annotations

import gc
import random
import resource
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace

from services.core.correlation.event_time import Watermarks
from services.core.correlation.incident import Incident, IncidentState, incident_id
from services.core.correlation.rule import Rule
from services.core.correlation.rulebook import Rulebook
from services.core.signals import Signal
from tests.benchmarks.correlation.load import HOUR_MS, NOON_MS, Load, signals_of
from tests.core.correlation import language_oracle

PARTITIONS = 4
SILENCE_MS = 60_000
# Processors report once a second; what one costs that moves nothing is told apart, so fewer will do.
REPORT_EVERY_MS = 10_000
# A record lies on the topic so long after the end of its window, at most.
BEHIND_MS = 4_000
REPEATED, REVISED = 0.10, 0.05


class WrongError(Exception):
    """What the engine found is not what comparing everything with everything finds: there is no figure."""


def measure(load: Load, rules: Sequence[Rule]) -> dict[str, object]:
    """The figures of a load. WrongError: an incident of a city that was looked at is wrong."""
    kinds = sorted({(s.domain, s.kind) for rule in rules for s in rule.selectors})
    signals = signals_of(load, rules)
    book = Rulebook(rules, dict.fromkeys(kinds, PARTITIONS), silence_ms=SILENCE_MS)
    newest: dict[str, Incident] = {}
    gc.collect()  # what the load before has left is not the cost of this one
    busy_s = idle_s = 0.0
    records = versions = idle = 0
    clock = time.process_time
    for now_ms, some in _ticks(load, signals):
        found: list[Incident] = []
        began = clock()
        for record in some:
            found += book.take(record, now_ms)
        busy_s += clock() - began
        records += len(some)
        for kind in kinds:
            before, report = book.waiting, Watermarks(*kind, dict.fromkeys(range(PARTITIONS), now_ms - BEHIND_MS))
            began = clock()
            told = book.take(report, now_ms)
            took_s = clock() - began
            if told or book.waiting != before:
                busy_s += took_s
            else:
                idle_s, idle = idle_s + took_s, idle + 1
            found += told
        versions += len(found)
        newest |= {incident.id: incident for incident in found}
    if book.counters.overflow or book.counters.taken < len(signals):
        raise WrongError(f"{load.name}: {book.counters} of {len(signals):,} signals")
    standing = [i for i in newest.values() if i.state <= IncidentState.RESOLVED]
    _compare(load, rules, kinds, signals, standing)
    return {
        "load": load.name,
        "signals_per_hour": load.rate,
        "signals_per_km2_and_hour": round(load.signals_per_hour / load.km2, 2),
        "signals": len(signals),
        "records": records,
        "in_incidents": round(len({s.id for i in standing for s in i.signals}) / len(signals), 3),
        "incidents": len(standing),
        "versions": versions,
        "cpu_s": round(busy_s, 3),
        "us_per_record": round(busy_s / records * 1e6, 1),
        "records_per_cpu_s": round(records / busy_s),
        "us_per_idle_report": round(idle_s / max(idle, 1) * 1e6, 1),
        "peak_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024,
    }


def _ticks(load: Load, signals: Sequence[Signal]) -> Iterator[tuple[int, list[Signal]]]:
    """What lies on the topic between two reports, by record time: some of it twice, or in a second version."""
    chance = random.Random(load.seed)
    records: list[tuple[int, int, Signal]] = []
    for signal in signals:
        time_ms = signal.end_ms + chance.randrange(BEHIND_MS)
        records.append((time_ms, len(records), signal))
        if chance.random() < REPEATED:
            records.append((time_ms + chance.randrange(BEHIND_MS), len(records), signal))
        if chance.random() < REVISED:
            later_ms = time_ms + chance.randrange(10 * 60_000)
            records.append((later_ms, len(records), replace(signal, revision=signal.revision + 1)))
    records.sort()
    at, end_ms = 0, NOON_MS + load.hours * HOUR_MS + 11 * 60_000
    for now_ms in range(NOON_MS + REPORT_EVERY_MS, end_ms, REPORT_EVERY_MS):
        first = at
        while at < len(records) and records[at][0] < now_ms:
            at += 1
        yield now_ms, [signal for _, _, signal in records[first:at]]


def _compare(
    load: Load,
    rules: Sequence[Rule],
    kinds: Sequence[tuple[str, str]],
    signals: Sequence[Signal],
    standing: Sequence[Incident],
) -> None:
    """Holds the incidents of one city, drawn by chance, against those of brute force: the cities are all alike."""
    city = f"city-{random.Random(load.seed).randrange(load.cities)}"
    mine = [s for s in signals if s.city == city]
    # Everything that was told has been passed.
    event_ms = max(s.end_ms for s in mine) + HOUR_MS
    for rule in rules:
        expected = language_oracle.incidents(rule, mine, event_ms, dict.fromkeys(kinds, event_ms))
        wanted = {incident_id(city, rule.name, rule.version, first): ids for first, ids in expected.items()}
        found = {i.id: frozenset(s.id for s in i.signals) for i in standing if (i.city, i.rule) == (city, rule.name)}
        if found != wanted:
            some = sorted(found.items() ^ wanted.items(), key=lambda item: item[0])[:3]
            raise WrongError(
                f"{load.name}, {city}, {rule.name}: {len(found)} of {len(wanted)} incidents, such as {some}"
            )
