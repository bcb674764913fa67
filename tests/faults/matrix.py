"""The fault matrix: every fault that the platform has to survive, and in which rings that is shown.

A ring is "core" (the seeded simulation of the pure core) or "process" (real processes, Kafka and ClickHouse).
"""

from __future__ import annotations

from typing import NamedTuple

CORE = "core"
PROCESS = "process"


class Fault(NamedTuple):
    """One row of the matrix."""

    name: str
    title: str
    invariant: str
    rings: tuple[str, ...]


MATRIX = (
    Fault(
        "processor_killed",
        "kill -9 of a processor in mid-window",
        "every window equals the oracle; no id lost or doubled; ledger difference 0",
        (CORE, PROCESS),
    ),
    Fault(
        "archiver_killed",
        "kill -9 of an archiver",
        "each raw observation once in the views, none missing",
        (PROCESS,),
    ),
    Fault(
        "checkpoint_damaged",
        "a checkpoint lost, truncated, or older than the committed offset",
        "the newest whole one is taken and the results are the same; never a silent reset",
        (CORE, PROCESS),
    ),
    Fault(
        "retry_elsewhere",
        "a caller repeats a batch at another api replica after a lost answer",
        "folded once",
        (PROCESS,),
    ),
    Fault(
        "api_killed",
        "kill -9 of the api while clients stream",
        "acknowledged observations are in Kafka; the others are repeated and folded once",
        (PROCESS,),
    ),
    Fault(
        "zombie",
        "a worker frozen beyond the session timeout, then woken",
        "its late writes change no final result",
        (PROCESS,),
    ),
    Fault(
        "broker_down",
        "a broker paused, ended and killed, then back",
        "no acknowledged loss; clean resume; not ready meanwhile",
        (PROCESS,),
    ),
    Fault(
        "broker_of_three_killed",
        "one of three brokers killed under load (replication 3, in sync 2)",
        "no acknowledged loss; progress goes on",
        (PROCESS,),
    ),
    Fault(
        "offset_beyond_end",
        "a committed offset beyond the end of the log",
        "a loud stop with the reason, never a silent reset",
        (PROCESS,),
    ),
    Fault(
        "bad_network",
        "half-open TCP, latency, cut connections to Kafka and ClickHouse",
        "bounded waits, backoff, resume",
        (PROCESS,),
    ),
    Fault(
        "clickhouse_down",
        "ClickHouse down, hanging, slow, refusing, or cut after it stored",
        "offsets stay; memory bounded; catches up; one row per id; good rows are never dead letters",
        (PROCESS,),
    ),
    Fault(
        "bad_records",
        "malformed, truncated, wrong-schema and empty records, and a flood of them",
        "once to the dead letters with the cause; the partition goes on; a flood stops the worker loudly",
        (CORE, PROCESS),
    ),
    Fault(
        "oversize",
        "a message or a frame too large",
        "refused at the edge with RESOURCE_EXHAUSTED, no loop of retries",
        (PROCESS,),
    ),
    Fault(
        "duplicates_and_disorder",
        "duplicate and out-of-order delivery",
        "the result does not depend on order and repetition",
        (CORE,),
    ),
    Fault("late", "late inside and beyond the lateness", "revision, or late topic; counted", (CORE,)),
    Fault(
        "idle_partition",
        "an idle partition, then its return",
        "the others' windows close; nothing of the returning one is lost",
        (CORE, PROCESS),
    ),
    Fault(
        "clock_skew",
        "clocks wrong by up to an hour, stamps from the future",
        "quarantined; the watermark never jumps",
        (CORE,),
    ),
    Fault("rebalance_storm", "workers that join and leave all the time", "no loss; bounded pause", (PROCESS,)),
    Fault(
        "slow_subscriber",
        "a subscriber that does not read",
        "the others are not slowed; its buffer is bounded; it gets a resumable cut",
        (PROCESS,),
    ),
    Fault(
        "memory_pressure",
        "little memory, a million keys, a hot key",
        "bounded, counted, no crash",
        (CORE, PROCESS),
    ),
    Fault(
        "upgrade",
        "SIGTERM, and a rolling upgrade from one version to the next",
        "nothing lost; old readers read new messages",
        (PROCESS,),
    ),
    Fault(
        "correlation_killed",
        "kill -9 of the correlation and the responder in every transition and escalation of an incident",
        "the same incidents, revisions and audit as undisturbed; every receiver is told once",
        (PROCESS,),
    ),
    Fault(
        "correlation_order",
        "signals of the domains in any order",
        "the same set of incidents",
        (CORE,),
    ),
)
NAMES = tuple(fault.name for fault in MATRIX)

# What has no row here, and where else it is tested.
ELSEWHERE = {
    ("correlation_order", CORE): "tests/core/correlation/test_any_order.py",
    ("offset_beyond_end", PROCESS): "tests/integration/processor/test_recovery.py",
}
