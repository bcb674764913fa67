"""One trial, in a process of its own: `python trial.py PART FRAMES SHARE [COLLECTOR]` prints its ns for a frame.

It stands alone, so that it measures a checkout from before there were traces too. PART `api`: frames through
ReportFrames into a log in memory, each answered. PART `processor`: fetches of frames through a partition's handler into
rows and records that go nowhere. SHARE of the frames are sampled; with a COLLECTOR spans are made and sent there.
"""

from __future__ import annotations

import asyncio
import gc
import importlib
import sys
import time
from collections.abc import AsyncIterator, Sequence
from functools import lru_cache
from types import SimpleNamespace
from typing import Any

import numpy as np
from aiokafka.structs import ConsumerRecord

from services.core.cities import Cities
from services.core.frame import Frame
from services.runtime.api.clock import CityClocks
from services.runtime.api.intake import Intake
from services.runtime.api.report_frames import FrameReports
from services.runtime.catalogue import ENTITIES, observations
from services.runtime.codec import encode_frame
from services.runtime.contracts import FrameContract, service_of
from services.runtime.entities import EntityRegistry
from services.runtime.fakes import MemoryLog
from services.runtime.processor import KindProcessor, Workshop
from services.runtime.record_columns import Records
from services.traffic.domain import ROAD_FLOW
from urban.traffic.v1.road_flow_pb2 import RoadFlowFrame
from urban.traffic.v1.service_pb2 import ReportFramesRequest

CONTRACT = FrameContract.of("traffic", ROAD_FLOW)
TOPIC = observations("traffic", "road_flow")
START_MS = 1_780_272_000_000  # 2026-06-01T00:00Z
ENTITY_IDS = [f"segment-{i:05d}" for i in range(256)]
GATEWAYS = 16
FETCH_FRAMES = 100
ROUNDS = 5
PARTITIONS = 4


@lru_cache(maxsize=GATEWAYS)
def _ids(gateway: int) -> tuple[str, ...]:
    return tuple(f"{entity}-{gateway}" for entity in ENTITY_IDS)


def frame(number: int, rows: int) -> Frame:
    """One of many gateways', a second later each time; its entities come again."""
    gateway = number % GATEWAYS
    return Frame(
        city="auckland",
        entity_ids=_ids(gateway),
        entity=(np.arange(rows) % len(ENTITY_IDS)).astype(np.uint32),
        time_ms=np.full(rows, START_MS + number // GATEWAYS * 1000, np.int64),
        period_s=1,
        columns={c.name: np.full(rows, 0.5, np.float32) for c in ROAD_FLOW.columns},
        source_id=f"gateway-{gateway}",
        sequence=number // GATEWAYS + 1,
        clock_ms=START_MS + number // GATEWAYS * 1000,
    )


async def api(frames: int, rows: int = 1024) -> float:
    log = MemoryLog({TOPIC: PARTITIONS})
    clocks = CityClocks("wall")
    intake = Intake(CONTRACT, log, clocks)
    await intake.start()
    descriptor = service_of("traffic").methods_by_name["ReportFrames"]
    reports = FrameReports(descriptor.input_type, {"road_flow": intake}, clocks)
    sent = [
        ReportFramesRequest(road_flow=RoadFlowFrame.FromString(encode_frame(CONTRACT, frame(n, rows))))
        for n in range(frames)
    ]
    requests = [request.SerializeToString() for request in sent]

    async def stream() -> AsyncIterator[bytes]:
        for request in requests:
            yield request

    began_s = time.process_time()
    answers = [answer async for answer in reports.serve(stream(), SimpleNamespace())]  # type: ignore[arg-type]
    spent_s = time.process_time() - began_s
    assert sum(answer.accepted for answer in answers) == frames * rows, answers[0]
    return spent_s / frames * 1e9


class _EndOfTheWay:
    """Takes the place of the outbox."""

    def put(self, *_: Any) -> None: ...

    async def wait_for_room(self) -> None: ...

    async def flush(self, **_: Any) -> None: ...


async def processor(frames: int, share: float, rows: int = 256) -> float:
    nothing: Any = None
    end: Any = _EndOfTheWay()
    registry = EntityRegistry("", MemoryLog({ENTITIES: 1}).reader)
    await registry.start()
    kind = ROAD_FLOW.without_unusual()
    shop = Workshop(
        "traffic", kind, CONTRACT, end, nothing, registry, None, 4, passed_end=asyncio.Event(), cities=Cities()
    )
    handler = KindProcessor(shop, 0)
    fetches = [_fetch(first, rows, share) for first in range(0, frames, FETCH_FRAMES)]
    began_s = time.process_time()
    for fetch in fetches:
        await handler.handle(fetch)
    spent_s = time.process_time() - began_s
    folded = handler._partition.counters.folded
    assert folded == frames * rows, folded
    await registry.stop()
    return spent_s / frames * 1e9


def _fetch(first: int, rows: int, share: float) -> Sequence[ConsumerRecord[Any, Any]]:
    every = round(1 / share) if share else 0
    found = []
    for number in range(first, first + FETCH_FRAMES):
        value = encode_frame(CONTRACT, frame(number, rows))
        headers: tuple[tuple[str, bytes], ...] = (("content-type", b"application/protobuf"),)
        if every and number % every == every // 2:
            parent = f"00-{number + 1:032x}-{number + 1:016x}-01"
            headers = (*headers, ("traceparent", parent.encode()))
        found.append(ConsumerRecord(TOPIC, 0, number, 0, 0, None, value, None, 0, len(value), headers))
    return Records.of(found)


async def main(part: str, frames: int, share: float, collector: str) -> float:
    if collector:
        otlp, tracing = (importlib.import_module(f"services.runtime.{name}") for name in ("otlp", "tracing"))
        tracing.use(otlp.OtlpTracer(collector, "trial", "trial", share))
    gc.collect()
    gc.disable()
    # The least of some: what else the machine does only adds.
    return min([await (api(frames) if part == "api" else processor(frames, share)) for _ in range(ROUNDS)])


if __name__ == "__main__":
    arguments = [*sys.argv[1:], ""]
    print(round(asyncio.run(main(arguments[0], int(arguments[1]), float(arguments[2]), arguments[3]))))
