"""What is too large: refused at the edge, by name; where a processor itself would make it, a loud end, no loop."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable

import grpc
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType

from services.runtime.catalogue import checkpoints, observations, windows
from services.runtime.codec import MAX_OBSERVATIONS, encode_frame
from services.runtime.grpc_server import MAX_RECEIVE_BYTES
from services.traffic.domain import ROAD_FLOW
from tests.contract.calls import PATIENCE_SECONDS, Client, collect
from tests.faults.matrix import PROCESS
from tests.faults.reporting import calling, report, send
from tests.faults.results import end_and_compare
from tests.faults.row import Outcome, Row, Trial
from tests.integration.processor.city import CONTRACT, MINUTE_MS, START_MS, City, Flow, by_minute, flows, frame_of

SEGMENTS = 20
MINUTES_A_FAULT = 4
STOP_TIMEOUT_S = 60.0
# Of the topic of observations, so that a record can be too large for it that a call takes.
LIMIT_BYTES = 50_000
# Less than any checkpoint, and than any frame of windows, needs.
TINY_BYTES = 100
TOPIC = observations("traffic", "road_flow")


async def run(trial: Trial) -> Outcome:
    rows = flows(MINUTES_A_FAULT * (trial.faults + 1), SEGMENTS, trial.seed)
    minutes = by_minute(rows)
    outcome = Outcome()
    async with trial.world.city() as city:
        await city.prepare()
        await limit(city, TOPIC, LIMIT_BYTES)
        city.start("processor")
        async with calling(city) as client:
            kinds: list[tuple[str, Callable[[int], Awaitable[None]]]] = []
            for number in range(trial.faults):
                first = number * MINUTES_A_FAULT
                await report(client, minutes[first : first + MINUTES_A_FAULT], first + 1)
                kinds = kinds or faults(trial.chance, city, client)
                name, provoke = kinds.pop(trial.chance.randrange(len(kinds)))
                await provoke(START_MS + (number + 1) * MINUTES_A_FAULT * MINUTE_MS)
                outcome.faults[name] += 1
            first = trial.faults * MINUTES_A_FAULT
            await report(client, minutes[first:], first + 1)
        outcome += await end_and_compare(city, rows)
        assert await city.query("SELECT count() FROM traffic.dead_letters") == [(0,)]
    return outcome


def faults(chance: random.Random, city: City, client: Client) -> list[tuple[str, Callable[[int], Awaitable[None]]]]:
    """Each kind by its name; called with the end of what was reported."""

    async def message(_end_ms: int) -> None:
        size = MAX_RECEIVE_BYTES + chance.randint(1, 1 << 20)
        _, error = await collect(client.ReportFrames(iter([bytes(size)]), timeout=PATIENCE_SECONDS))
        assert_refused(error, str(size), str(MAX_RECEIVE_BYTES))

    async def frame(_end_ms: int) -> None:
        count = MAX_OBSERVATIONS + chance.randint(1, 100)
        _, error = await send(client, [large_frame(chance, count)])
        assert_refused(error, "road_flow.entity", str(count), str(MAX_OBSERVATIONS))

    async def record(_end_ms: int) -> None:
        value = large_frame(chance, chance.randint(10_000, 20_000))
        _, error = await send(client, [value])
        assert_refused(error, "record", "bytes", str(LIMIT_BYTES))

    async def checkpoint(end_ms: int) -> None:
        await stop_processor(city, checkpoints("traffic", "road_flow"), end_ms)

    async def window_frame(end_ms: int) -> None:
        await stop_processor(city, windows("traffic"), end_ms)

    return [
        ("message too large", message),
        ("frame too large", frame),
        ("record too large for its topic", record),
        ("checkpoint too large", checkpoint),
        ("frame of windows too large", window_frame),
    ]


def large_frame(chance: random.Random, observations_: int) -> bytes:
    """A frame that no compression makes small, never taken, not numbered."""
    rows = [Flow("segment-0", START_MS, chance.uniform(0, 2000), chance.uniform(0, 90)) for _ in range(observations_)]
    return encode_frame(CONTRACT, frame_of(rows))


def assert_refused(error: grpc.aio.AioRpcError | None, *told: str) -> None:
    assert error is not None
    assert error.code() is grpc.StatusCode.RESOURCE_EXHAUSTED, error
    for part in told:
        assert part in (error.details() or ""), error.details()


async def stop_processor(city: City, topic: str, end_ms: int) -> None:
    """A topic takes less than the processor has to write: it ends and says what and how large; later it goes on."""
    worker = next(child for child in reversed(city.children) if child.name.startswith("processor"))
    await limit(city, topic, TINY_BYTES)
    # So that there is something to write, whatever was handled before: the last windows have ended.
    await city.close_windows(end_ms + ROAD_FLOW.disorder_ms)
    status = await asyncio.to_thread(worker.wait, STOP_TIMEOUT_S)
    text = worker.log.read_text()
    assert (status, f"{topic}[" in text, f"at most {TINY_BYTES} are taken" in text) == (1, True, True), worker.tail()
    await limit(city, topic, 8 << 20)
    city.start("processor")


async def limit(city: City, topic: str, largest_bytes: int) -> None:
    """Set what a topic takes; its other settings go back to the broker's own."""
    policy = "compact" if topic == checkpoints("traffic", "road_flow") else "delete"
    admin = AIOKafkaAdminClient(bootstrap_servers=city.kafka)
    await admin.start()
    try:
        configs = {"max.message.bytes": str(largest_bytes), "cleanup.policy": policy}
        await admin.alter_configs([ConfigResource(ConfigResourceType.TOPIC, topic, configs=configs)])
    finally:
        await admin.close()


ROWS = (Row("oversize", PROCESS, run, once=5, whole=15),)
