"""What the log of observations holds, by who sent it: is all there that was acknowledged, and what came twice."""

from __future__ import annotations

import asyncio
from collections import Counter, defaultdict
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import NamedTuple

from services.core.frame import Frame
from services.runtime.catalogue import observations
from services.runtime.codec import decode_frame
from services.runtime.log import FROM_BEGINNING, LogRecord
from services.runtime.reader import KafkaReader
from tests.faults.callers import Device, Gateway
from tests.integration.processor.city import CONTRACT, City, Flow

TOPIC = observations("traffic", "road_flow")
READ_S = 0.05


class Part(NamedTuple):
    """A frame of one partition."""

    partition: int
    frame: Frame

    @property
    def number(self) -> tuple[int, str, int]:
        return self.partition, self.frame.source_id, self.frame.sequence

    @property
    def rows(self) -> list[Flow]:
        f = self.frame
        columns = (f.columns[name].tolist() for name in ("flow_veh_h", "speed_kmh"))
        ids = [f.entity_ids[entity] for entity in f.entity.tolist()]
        return [Flow(*values) for values in zip(ids, f.time_ms.tolist(), *columns, strict=True)]


class LogTail:
    """The newest number of each source, as the log grows."""

    def __init__(self) -> None:
        self.newest: Counter[str] = Counter()

    async def follow(self, reader: KafkaReader) -> None:
        while True:
            for part in _parts_of(await reader.read(READ_S)):
                source_id = part.frame.source_id
                self.newest[source_id] = max(self.newest[source_id], part.frame.sequence)


@asynccontextmanager
async def following(city: City) -> AsyncIterator[LogTail]:
    """Reads the log while the block runs."""
    reader, tail = KafkaReader(city.kafka, TOPIC), LogTail()
    await reader.start(FROM_BEGINNING)
    task = asyncio.create_task(tail.follow(reader))
    try:
        yield tail
        assert not task.done(), task
    finally:
        task.cancel()
        await asyncio.wait([task])
        await reader.stop()


async def read_parts(city: City) -> list[Part]:
    """All frames that the log holds now but heartbeats."""
    return _parts_of(await city.read(TOPIC))


def _parts_of(records: Sequence[LogRecord]) -> list[Part]:
    parts = []
    for record in records:
        frame = decode_frame(CONTRACT, record.value or b"", record.offset)
        assert isinstance(frame, Frame), frame
        if not frame.heartbeat:
            parts.append(Part(record.partition, frame))
    return parts


def each_once(parts: Sequence[Part]) -> tuple[list[Part], int]:
    """The first part of each number in each partition, and the observations of the others."""
    first: dict[tuple[int, str, int], Part] = {}
    repeated = 0
    for part in parts:
        assert part.frame.numbered, part
        if first.setdefault(part.number, part) is not part:
            repeated += len(part.frame)
            assert sorted(part.rows) == sorted(first[part.number].rows), part.number
    return list(first.values()), repeated


async def check_ledger(city: City, parts: Sequence[Part]) -> int:
    """What the log holds twice was counted as duplicate, and nothing was late or refused; how much came twice.

    Nothing late: no heartbeat of one replica has overtaken what another one took.
    """
    _, repeated = each_once(parts)
    total = sum(len(part.frame) for part in parts)
    found, expected = await city.ledger(), (total, total - repeated, repeated, 0, 0)
    assert found == expected, f"read, folded, duplicate, late, dead-lettered: {found}, expected {expected}"
    print(f"{repeated} of {total} observations were taken twice, and folded once")
    return repeated


def check_acknowledged(parts: Sequence[Part], callers: Sequence[Gateway | Device]) -> None:
    """AssertionError: something was acknowledged and is not in the log, or not under the number that it had."""
    held: dict[tuple[str, int], list[Flow]] = defaultdict(list)
    for part in parts:
        held[part.frame.source_id, part.frame.sequence] += part.rows
    rows = {row for part in parts for row in part.rows}
    for caller in callers:
        if isinstance(caller, Device):
            missing = set(caller.rows[: caller.acknowledged]) - rows
            assert not missing, f"acknowledged, and not in Kafka: {missing}"
            continue
        for number, batch in enumerate(caller.batches[: caller.acknowledged], 1):
            missing = set(batch) - set(held[caller.name, number])
            assert not missing, f"{caller.name}, frame {number}: acknowledged, and not in Kafka: {missing}"
