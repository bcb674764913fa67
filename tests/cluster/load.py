"""Sends road flow to an api all the time: `python -m tests.cluster.load HOST:PORT CITY`.

Numbered frames in a stream, and single calls beside them; both tried again as any client would. SIGTERM: no more is
sent, what is under way is waited for, and the figures are told as one line of JSON.
"""

from __future__ import annotations

import asyncio
import json
import signal
import sys
import time
from collections.abc import AsyncIterator
from dataclasses import asdict, dataclass
from typing import Any

import grpc

from services.feeds.sender import FrameSender
from services.runtime.grpc_client import open_aio_channel
from urban.common.v1.frame_pb2 import FrameHeader
from urban.traffic.v1.road_flow_pb2 import RoadFlow, RoadFlowFrame
from urban.traffic.v1.service_pb2 import ReportRequest
from urban.traffic.v1.service_pb2_grpc import TrafficServiceStub

ENTITIES = 20
SINGLE = "single"
INTERVAL_S = 0.2
CALL_TIMEOUT_S = 20.0
# As a client that follows AIP-194: UNAVAILABLE alone, with a pause, for as long as an only pod may take to come back.
ATTEMPTS, PAUSE_S = 120, 1.0


@dataclass
class Figures:
    """What became of it: observations of the stream, calls beside it."""

    sent: int = 0
    accepted: int = 0
    rejected: int = 0
    calls: int = 0
    tried_again: int = 0
    failed: int = 0


class Load:
    """Both ways of sending, until `stop`."""

    def __init__(self, address: str, city: str) -> None:
        self._address, self._city = address, city
        self._stop = asyncio.Event()
        self._figures = Figures()

    def stop(self) -> None:
        self._stop.set()

    async def run(self) -> Figures:
        """Until stopped and all is answered. AioRpcError where the service refuses the stream itself."""
        await asyncio.gather(self._stream(), self._calls())
        return self._figures

    async def _stream(self) -> None:
        sender = FrameSender("traffic", self._address, self._city)
        serving = asyncio.ensure_future(sender.run())
        number = 0
        while not (self._stop.is_set() or serving.done()):
            number += 1
            await sender.send("road_flow", self._frame(number))
            await asyncio.sleep(INTERVAL_S)
        sender.close()
        await serving
        self._figures.sent, self._figures.accepted = sender.sent, sender.accepted
        self._figures.rejected = sender.rejected

    async def _calls(self) -> None:
        async with open_aio_channel(self._address) as channel:
            stub = TrafficServiceStub(channel)
            while not self._stop.is_set():
                row = RoadFlow(entity_id=SINGLE, period_s=1, flow_veh_h=600, speed_kmh=50)
                row.time.FromMilliseconds(_second_ago_ms())
                self._figures.calls += 1
                self._figures.failed += not await self._report(stub, row)
                await asyncio.sleep(INTERVAL_S)

    async def _report(self, stub: Any, row: RoadFlow) -> bool:
        async def requests() -> AsyncIterator[ReportRequest]:
            yield ReportRequest(parent=f"cities/{self._city}", road_flow=row)

        for _ in range(ATTEMPTS):
            try:
                answer = await stub.Report(requests(), timeout=CALL_TIMEOUT_S)
                return bool(answer.accepted == 1)
            except grpc.aio.AioRpcError as error:
                if error.code() is not grpc.StatusCode.UNAVAILABLE:
                    print(f"failed: {error.code().name} {error.details()}", file=sys.stderr, flush=True)
                    return False
                self._figures.tried_again += 1
                await asyncio.sleep(PAUSE_S)
        return False

    def _frame(self, number: int) -> RoadFlowFrame:
        began_ms = _second_ago_ms()
        header = FrameHeader(
            city=self._city, source_id=f"load-{self._city}", sequence=number, source_time_ms=began_ms + 1000
        )
        return RoadFlowFrame(
            header=header,
            entity_ids=[f"road-{entity}" for entity in range(ENTITIES)],
            entity=range(ENTITIES),
            base_time_ms=began_ms,
            time_offset_ms=[0] * ENTITIES,
            period_s=1,
            flow_veh_h=[600.0] * ENTITIES,
            speed_kmh=[50.0] * ENTITIES,
            occupancy=[0.1] * ENTITIES,
            heavy_share=[0.05] * ENTITIES,
        )


def _second_ago_ms() -> int:
    return time.time_ns() // 1_000_000 - 1000


async def main(address: str, city: str) -> None:
    load = Load(address, city)
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, load.stop)
    print("started", flush=True)
    print(json.dumps(asdict(await load.run())), flush=True)


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
