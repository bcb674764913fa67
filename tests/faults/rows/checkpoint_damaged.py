"""Checkpoints that are lost, torn, without a part, or overwritten by an older one: the newest whole one is taken."""

from __future__ import annotations

import asyncio

from aiokafka import AIOKafkaProducer

from services.runtime import catalogue
from tests.faults.matrix import PROCESS
from tests.faults.results import end_and_compare
from tests.faults.row import Outcome, Row, Trial
from tests.integration.processor.city import PARTITIONS, City, flows, frames_by_minute
from urban.common.v1.checkpoint_pb2 import Checkpoint

SEGMENTS = 30
MINUTES_A_FAULT = 12
STATE_TOPIC = catalogue.checkpoints("traffic", "road_flow")


async def damage(city: City, trial: Trial) -> str:
    """Puts something bad behind the newest checkpoint of every partition."""
    records = await city.read(STATE_TOPIC)
    what = trial.chance.choice(("torn", "lost", "without a part", "older"))
    async with AIOKafkaProducer(bootstrap_servers=city.kafka, acks="all") as producer:
        for partition in range(PARTITIONS):
            whole = [r for r in records if r.partition == partition and (r.key or b"").count(b"/") == 1]
            values = [r.value for r in whole if r.value]
            if not values:
                continue
            older = values[trial.chance.randrange(len(values))]
            torn = values[-1][: trial.chance.randrange(1, len(values[-1]))]
            lacking = Checkpoint.FromString(values[-1])
            lacking.parts.add(pane=0, offset=trial.chance.randrange(10_000_000), crc32=1)
            value = {"torn": torn, "lost": None, "without a part": lacking.SerializeToString(), "older": older}[what]
            # Under another key: a checkpoint that compaction took is the other case, "older".
            await producer.send_and_wait(STATE_TOPIC, value, key=b"damaged", partition=partition)
    return what


async def run(trial: Trial) -> Outcome:
    rows = flows(MINUTES_A_FAULT * (trial.faults + 1), SEGMENTS, trial.seed)
    frames = frames_by_minute(rows)
    outcome = Outcome()
    async with trial.world.city() as city:
        await city.prepare()
        child, sent = city.start("processor"), 0
        for fault in range(trial.faults):
            share = len(frames) * (fault + 1) // (trial.faults + 1)
            await city.send(frames[sent:share])
            sent = share
            await city.until_handled()
            child.kill()
            await asyncio.to_thread(child.wait)
            outcome.faults[f"checkpoints {await damage(city, trial)}"] += 1
            child = city.start("processor")
        await city.send(frames[sent:])
        return await end_and_compare(city, rows) + outcome


ROWS = (Row("checkpoint_damaged", PROCESS, run, once=1, whole=12),)
