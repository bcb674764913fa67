"""Sends road flow at a steady rate whatever becomes of the api: `python -m tests.cluster.steady HOST:PORT CITY RATE`.

Numbered frames of 20,480 roads behind 80 gateways in four streams, each tried again as the feeds do. A moment that is
missed while nothing is taken is made up for, with the time at which it was due. Ten times a second it tells what was
acknowledged (see samples.py). SIGTERM: no more is sent, what is under way is waited for, and the figures are told.
"""

from __future__ import annotations

import asyncio
import json
import signal
import sys
import time

from services.feeds.sender import FrameSender
from tests.cluster.samples import tell
from urban.common.v1.frame_pb2 import FrameHeader
from urban.traffic.v1.road_flow_pb2 import RoadFlowFrame

STREAMS, GATEWAYS, ROWS = 4, 80, 256
TELL_INTERVAL_S = 0.1
# What an observation is about ends before it is sent.
PERIOD_S = 1


class Steady:
    """All streams, until `stop`."""

    def __init__(self, address: str, city: str, observations_per_s: float) -> None:
        self._city = city
        self._step_s = ROWS / observations_per_s
        self._stop = asyncio.Event()
        self._senders = [FrameSender("traffic", address, city) for _ in range(STREAMS)]

    def stop(self) -> None:
        self._stop.set()

    async def run(self) -> dict[str, float]:
        """Until stopped and all is answered. AioRpcError where the service refuses a stream itself."""
        began = time.time()
        async with asyncio.TaskGroup() as group:
            telling = group.create_task(self._tell())
            async with asyncio.TaskGroup() as sending:
                for place in range(STREAMS):
                    sending.create_task(self._senders[place].run())
                    sending.create_task(self._send(place, began + place * self._step_s))
            telling.cancel()
        seconds = time.time() - began
        sent, accepted, rejected = (
            sum(getattr(sender, name) for sender in self._senders) for name in ("sent", "accepted", "rejected")
        )
        return {"sent": sent, "accepted": accepted, "rejected": rejected, "observations_per_s": round(sent / seconds)}

    async def _send(self, place: int, moment: float) -> None:
        sender, number = self._senders[place], 0
        while not self._stop.is_set():
            await asyncio.sleep(max(0.0, moment - time.time()))
            gateway = place + STREAMS * (number % (GATEWAYS // STREAMS))
            number += 1
            await sender.send("road_flow", self._frame(gateway, number, round(moment * 1000)))
            moment += STREAMS * self._step_s
        sender.close()

    async def _tell(self) -> None:
        while True:
            tell({f"api/{place}": sender.acknowledged for place, sender in enumerate(self._senders)})
            await asyncio.sleep(TELL_INTERVAL_S)

    def _frame(self, gateway: int, number: int, due_ms: int) -> RoadFlowFrame:
        source = f"gateway-{gateway:02}"
        return RoadFlowFrame(
            header=FrameHeader(city=self._city, source_id=source, sequence=number, source_time_ms=due_ms),
            entity_ids=[f"{source}-{road:03}" for road in range(ROWS)],
            entity=range(ROWS),
            base_time_ms=due_ms - PERIOD_S * 1000,
            time_offset_ms=[0] * ROWS,
            period_s=PERIOD_S,
            flow_veh_h=[600.0] * ROWS,
            speed_kmh=[50.0] * ROWS,
            occupancy=[0.1] * ROWS,
            heavy_share=[0.05] * ROWS,
        )


async def main(address: str, city: str, observations_per_s: str) -> None:
    steady = Steady(address, city, float(observations_per_s))
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, steady.stop)
    print(json.dumps(await steady.run()), flush=True)


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
