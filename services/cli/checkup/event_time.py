"""How far event time has come in each partition, as processors report it on the topic of signals, and what is wrong."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from services.cli.checkup import checks
from services.cli.checkup.finding import Finding
from services.cli.checkup.log_judging import named
from services.cli.log_view import LogView
from services.core.kind import Domain, Kind
from services.runtime.catalogue import SIGNAL_PARTITIONS, SIGNALS
from urban.common.v1.signal_pb2 import SignalRecord

# Processors report once a second; a takeover takes half a minute.
LOOKED_BACK_S = 60.0
# Beyond the disorder that a kind waits for, as the alert UrbanEventTimeBehind has it.
BEHIND_S = 120.0
# A city whose event time is older than this on the wall clock is fed with old days.
LONG_AGO_S = 86_400.0

PartitionOfKind = tuple[str, str, int]
"""Domain, kind, partition."""


@dataclass(frozen=True)
class Progress:
    """What was reported of one partition in the time looked back at, in ms."""

    first_ms: int
    last_ms: int
    reported_ms: int  # when it was last reported, by the clock of its processor

    @property
    def moved(self) -> bool:
        return self.last_ms > self.first_ms


async def read_progress(kafka: str, now_ms: int) -> dict[PartitionOfKind, Progress]:
    """Of every partition that was reported in the last minute. LogError: Kafka does not answer."""
    found: dict[PartitionOfKind, Progress] = {}
    async with LogView(kafka) as log:
        for partition in range(SIGNAL_PARTITIONS):
            first = await log.offset_at(SIGNALS, partition, now_ms - int(LOOKED_BACK_S * 1000))
            async for record in log.read(SIGNALS, partition, first, (await log.held(SIGNALS, partition)).end):
                _take(found, record.value or b"", record.timestamp_ms)
    return found


def _take(found: dict[PartitionOfKind, Progress], value: bytes, reported_ms: int) -> None:
    message = SignalRecord.FromString(value)
    if message.WhichOneof("record") != "watermark":
        return
    report = message.watermark
    for told in report.partitions:
        key = report.domain, report.kind, told.partition
        before = found.get(key)
        first_ms = min(before.first_ms, told.watermark_ms) if before else told.watermark_ms
        last_ms = max(before.last_ms, told.watermark_ms) if before else told.watermark_ms
        found[key] = Progress(first_ms, last_ms, reported_ms)


def judge_event_time(
    domains: Sequence[Domain],
    progress: Mapping[PartitionOfKind, Progress],
    lags: Mapping[PartitionOfKind, int],
    served: Iterable[str],
    clock: str,
    now_ms: int | None = None,
) -> Iterator[Finding]:
    """Partitions that stand still or run ahead, a finding for each kind.

    `lags`: records of each partition that its processor has not handled; `served`: domains whose processors are there,
    as the others have a finding of their own; `clock`: "wall" or "replay", which has a time of its own.
    """
    now_ms = time.time_ns() // 1_000_000 if now_ms is None else now_ms
    working = set(served)
    for domain in domains:
        for kind in domain.kinds if domain.name in working else ():
            of_kind = {p: found for (d, k, p), found in progress.items() if (d, k) == (domain.name, kind.name)}
            lag_of = {p: lag for (d, k, p), lag in lags.items() if (d, k) == (domain.name, kind.name)}
            yield from _judge_kind(domain, kind, of_kind, lag_of, clock, now_ms)


def _judge_kind(
    domain: Domain, kind: Kind, found: Mapping[int, Progress], lags: Mapping[int, int], clock: str, now_ms: int
) -> Iterator[Finding]:
    some_move = any(progress.moved for progress in found.values())
    still, ahead = [], []
    for partition in sorted(lags.keys() | found.keys()):
        progress, lag = found.get(partition), lags.get(partition, 0)
        if progress is None:
            # Nobody tells the clock of a replay that has not begun.
            if clock == "wall" or lag:
                still.append(f"[{partition}] has told no event time for {LOOKED_BACK_S:.0f} s{_waiting(lag)}")
            continue
        age_s = (now_ms - progress.last_ms) / 1000
        late = clock == "wall" and age_s > kind.disorder_ms / 1000 + BEHIND_S
        if late or (not progress.moved and clock == "replay" and (lag or some_move)):
            still.append(f"[{partition}] stands at {age_s:,.0f} s ago{_waiting(lag)}")
        elif clock == "wall" and -age_s > kind.skew_ms / 1000:
            ahead.append(f"[{partition}] by {-age_s:,.0f} s")
    name = f"{domain.name}.{kind.name}"
    if still:
        yield checks.EVENT_TIME_STILL.found(f"{name}{named(still)}")
    if ahead:
        yield checks.EVENT_TIME_AHEAD.found(f"{name} is ahead of the clock: {named(ahead)}")


def _waiting(lag: int) -> str:
    return f", {lag:,} records wait" if lag else ", nothing comes"
