"""Faults in the core alone: seeded stories of the simulation, and logs that are bad in one way, against plain loops."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

from services.core.frame import Frame, Malformed
from services.core.partition import Partition
from tests.core.logs import KINDS, T0, fold_all, heartbeat, left_over, random_log
from tests.core.oracle import Oracle
from tests.core.simulation.simulation import (
    CHECKPOINT,
    CRASH,
    LOST,
    OLDER,
    ZOMBIE,
    differs,
    play,
    random_events,
)
from tests.faults.matrix import CORE
from tests.faults.row import Outcome, Row, Run, Trial

HOUR_MS = 3_600_000
RECORDS = 24


def stories(*names: str) -> Run:
    """Stories in which these things happen; what they come to must be what undisturbed workers come to."""

    async def run(trial: Trial) -> Outcome:
        outcome = Outcome()
        for number in range(trial.faults):
            kind = KINDS[sorted(KINDS)[number % len(KINDS)]]
            log = random_log(trial.chance, kind, RECORDS)
            ending = play(kind, log, random_events(trial.chance, len(log), names))
            wrong = differs(ending, play(kind, log, ()))
            assert not wrong, "\n".join([wrong, *ending.told])
            outcome.observations += ending.reading
            outcome.faults += ending.events
        del outcome.faults["fetch"]
        return outcome

    return run


def against_plain_loops(what: str, spoil: Callable[[Trial, Frame | Malformed], Frame | Malformed]) -> Run:
    """Logs of which each record is spoilt in one way, folded record by record and by plain loops that keep all."""

    async def run(trial: Trial) -> Outcome:
        outcome = Outcome()
        for number in range(trial.faults):
            kind = KINDS[sorted(KINDS)[number % len(KINDS)]]
            log = [spoil(trial, record) for record in random_log(trial.chance, kind, RECORDS)]
            partition, oracle, watermark_ms = Partition("probe", kind, 0), Oracle(kind), -(2**62)
            closings = []
            for record in log:
                oracle.fold(record)
                closings += fold_all(partition, [record])[0]
                assert watermark_ms <= (partition.watermark_ms or watermark_ms)
                watermark_ms = partition.watermark_ms or watermark_ms
                assert partition.watermark_ms == oracle.watermark_ms
            assert partition.counters == oracle.counters
            late, refused = left_over(closings)
            assert late == oracle.late
            assert sum(r[2] for r in refused) == oracle.counters.dead_lettered
            outcome.observations += partition.counters.read
            outcome.faults[what] += {
                "late": partition.counters.late,
                "refused": partition.counters.dead_lettered,
            }.get(what, len(log))
        return outcome

    return run


def _as_it_is(trial: Trial, record: Frame | Malformed) -> Frame | Malformed:
    return record


def _skewed(trial: Trial, record: Frame | Malformed) -> Frame | Malformed:
    """A source whose clock is wrong by up to an hour."""
    if isinstance(record, Malformed):
        return record
    return dataclasses.replace(record, time_ms=record.time_ms + trial.chance.randrange(-HOUR_MS, HOUR_MS))


def _bad(trial: Trial, record: Frame | Malformed) -> Frame | Malformed:
    return Malformed(record.offset, "torn") if trial.chance.random() < 0.3 else record


def _idle(trial: Trial, record: Frame | Malformed) -> Frame | Malformed:
    """In its middle the log has nothing but heartbeats."""
    if isinstance(record, Frame) and RECORDS // 4 <= record.offset < RECORDS // 2:
        return heartbeat((record.clock_ms - T0) / 1000, record.offset)
    return record


async def crowded(trial: Trial) -> Outcome:
    """More entities than there is room for: refused and counted, whatever befalls the worker."""
    outcome = Outcome()
    for number in range(trial.faults):
        kind = dataclasses.replace(KINDS[sorted(KINDS)[number % len(KINDS)]], max_entities=4)
        log = random_log(trial.chance, kind, RECORDS)
        ending = play(kind, log, random_events(trial.chance, len(log), (CHECKPOINT, CRASH)))
        wrong = differs(ending, play(kind, log, ()))
        assert not wrong, "\n".join([wrong, *ending.told])
        outcome.observations += ending.reading
        outcome.faults["refused for want of room"] += sum("'limit'" in text for text in ending.tables.refused)
    return outcome


ROWS = (
    Row("processor_killed", CORE, stories(CHECKPOINT, CRASH, ZOMBIE), once=100, whole=1_500),
    Row("checkpoint_damaged", CORE, stories(CHECKPOINT, CHECKPOINT, OLDER, LOST), once=100, whole=1_500),
    Row("bad_records", CORE, against_plain_loops("refused", _bad), once=60, whole=600),
    Row("duplicates_and_disorder", CORE, against_plain_loops("frames in disorder, some repeated", _as_it_is), 60, 600),
    Row("late", CORE, against_plain_loops("late", _as_it_is), once=60, whole=600),
    Row("idle_partition", CORE, against_plain_loops("records of a log that falls silent", _idle), once=60, whole=600),
    Row("clock_skew", CORE, against_plain_loops("frames of a wrong clock", _skewed), once=60, whole=600),
    Row("memory_pressure", CORE, crowded, once=60, whole=600),
)
