"""Records that cannot be taken, among good ones: each once in the dead letters; a flood of them stops the worker."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Sequence
from typing import NamedTuple

from aiokafka import AIOKafkaProducer

from deploy.local.process import Child
from services.runtime.catalogue import dead_letters, observations
from services.runtime.codec import encode_frame
from services.runtime.dead_letters import LARGEST_LETTER_BYTES, MAXIMUM_IN_A_ROW
from services.runtime.producer import MAX_REQUEST_BYTES
from tests.faults.matrix import PROCESS
from tests.faults.results import end_and_compare
from tests.faults.row import Outcome, Row, Trial
from tests.integration.processor.city import (
    CONTRACT,
    PARTITIONS,
    START_MS,
    City,
    Flow,
    flows,
    frame_of,
    frames_by_minute,
)

SEGMENTS = 20
MINUTES_A_FAULT = 2
STOP_TIMEOUT_S = 60.0
TOPIC = observations("traffic", "road_flow")
JSON = ("content-type", b"application/json")


class Bad(NamedTuple):
    """A record that cannot be taken."""

    name: str
    value: bytes | None
    cause: str  # part of the error that is told
    headers: tuple[tuple[str, bytes | None], ...] = ()
    kept: bool = True  # with its bytes in the dead letter


def bad_records(chance: random.Random) -> list[Bad]:
    """One of each kind, with random bytes where they may be random."""
    good = encode_frame(CONTRACT, frame_of([Flow("segment-0", START_MS, 1.0, 50.0)]))
    other = b"\x0a\x03abc\x12\x05hello\x18\x07"  # some other message
    return [
        # A group is opened that nobody closes: no random byte can make a message of it.
        Bad("malformed", b"\xff\xff\xff\xff\x0b" + chance.randbytes(chance.randint(1, 2000)), "value"),
        Bad("truncated", good[: -chance.randint(1, 3)], ""),
        Bad("wrong schema", other, ""),
        Bad("empty", b"", "empty"),
        Bad("tombstone", None, "empty"),
        Bad("wrong content type", good, "content-type", (("content-type", b"text/csv"),)),
        Bad("JSON that is no object", b"17", "", (JSON,)),
        Bad("JSON cut off", b'{"entity_id": "segm', "", (JSON,)),
        Bad("header without a value", b"\xff\xff", "value", (("content-type", None), ("urban_city", None))),
        Bad("large", b"\xff" + chance.randbytes(LARGEST_LETTER_BYTES - 1000), "value"),
        Bad("compressed bomb", b"\xff" * (MAX_REQUEST_BYTES + (1 << 20)), "value", kept=False),
    ]


async def run(trial: Trial) -> Outcome:
    rows = flows(MINUTES_A_FAULT * (trial.faults + 1), SEGMENTS, trial.seed)
    frames = frames_by_minute(rows)
    sent: dict[tuple[int, int], Bad] = {}
    outcome = Outcome()
    async with trial.world.city() as city:
        await city.prepare()
        child = city.start("processor")
        kinds: list[Bad] = []
        for number in range(trial.faults):
            first, last = (len(frames) * n // trial.faults for n in (number, number + 1))
            await city.send(frames[first:last])
            kinds = kinds or bad_records(trial.chance)
            bad = kinds.pop(trial.chance.randrange(len(kinds)))
            partition = trial.chance.randrange(PARTITIONS)
            sent[partition, await append(city, partition, bad)] = bad
            outcome.faults[f"{bad.name} record"] += 1
            if number == trial.faults // 2:
                await asyncio.sleep(trial.chance.uniform(0.0, 2.0))
                child = await kill(city, child)
                outcome.faults["processor killed"] += 1
        outcome += await end_and_compare(city, rows)
        await check_letters(city, sent)
        await check_flood(city, child)
        outcome.faults["flood of bad records"] += 1
    return outcome


async def append(city: City, partition: int, bad: Bad) -> int:
    """The offset that it got. Compressed by its writer: so the topic takes what is larger than it seems."""
    large = 2 * MAX_REQUEST_BYTES
    async with AIOKafkaProducer(
        bootstrap_servers=city.kafka, compression_type="zstd", max_request_size=large
    ) as producer:
        sent = await producer.send_and_wait(TOPIC, bad.value, key=b"k", partition=partition, headers=list(bad.headers))
        return int(sent.offset)


async def kill(city: City, child: Child) -> Child:
    child.kill()
    await asyncio.to_thread(child.wait)
    return city.start("processor")


async def check_letters(city: City, sent: dict[tuple[int, int], Bad]) -> None:
    """Each bad record once in what analysts see, and its bytes untouched on the topic."""
    found = await city.query(
        "SELECT kafka_partition, kafka_offset, error, observations, size_bytes FROM traffic.dead_letters FINAL"
    )
    assert sorted(row[:2] for row in found) == sorted(sent)
    for partition, offset, error, _, size_bytes in found:
        bad = sent[partition, offset]
        assert bad.cause in error, (bad.name, error)
        assert size_bytes == len(bad.value or b""), bad.name
    letters = await city.read(dead_letters("traffic"))
    seen = set()
    for letter in letters:
        told = dict(letter.headers)
        place = int(told["urban_partition"]), int(told["urban_offset"])
        bad = sent[place]
        seen.add(place)
        assert letter.value == (bad.value if bad.kept else None), bad.name
        assert ("urban_left_out_bytes" in told) is not bad.kept, bad.name
        for name, value in bad.headers:
            assert told[name] == value, bad.name
    assert seen == set(sent)


async def check_flood(city: City, child: Child) -> None:
    """It stops the worker with the reason, again after a restart at the same record, until somebody lets it pass."""
    before = await city.ledger()
    flood: Sequence[tuple[int, bytes]] = [(0, b"\xff%d" % n) for n in range(2 * MAXIMUM_IN_A_ROW)]
    await city.send_raw(flood)
    reasons = []
    for attempt in range(2):
        worker = child if attempt == 0 else city.start("processor")
        assert await asyncio.to_thread(worker.wait, STOP_TIMEOUT_S) == 1, worker.tail()
        reasons.append(flood_told(worker))
    assert reasons[0] == reasons[1]
    city.start("processor", URBAN_DEAD_LETTER_FLOOD="pass")
    await city.until_handled()
    after = await city.ledger()
    assert after[-1] - before[-1] == len(flood)
    (count,) = (await city.query("SELECT count() FROM traffic.dead_letters FINAL"))[0]
    assert count == len(flood) + before[-1], count


def flood_told(worker: Child) -> str:
    """Where and why, as its log says."""
    text = worker.log.read_text()
    begin = text.find(f"{TOPIC}[0] at offset")
    assert begin >= 0, worker.tail()
    return text[begin : text.index("Mend", begin)]


ROWS = (Row("bad_records", PROCESS, run, once=11, whole=33),)
