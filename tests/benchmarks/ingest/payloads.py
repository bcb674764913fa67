"""What callers send: road_flow of 30,000 segments, every 10 s, as requests that are ready but for number and time."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from google.protobuf.timestamp_pb2 import Timestamp

from services.runtime.wire import field, field_head, packed_field
from urban.common.v1.frame_pb2 import FrameHeader
from urban.traffic.v1.road_flow_pb2 import RoadFlow, RoadFlowFrame
from urban.traffic.v1.service_pb2 import ReportRequest

CITY = "auckland"
ENTITIES = 30_000
PERIOD_S = 10
# Different numbers of each gateway, so that what lies in the log does not compress better than what a city sends.
VARIANTS = 8

_FRAME_FIELD = 16  # of ReportFramesRequest
_BASE_TIME_KEY = b"\x21"  # field 4, sfixed64
_HEADER, _ENTITY, _OFFSET, _PERIOD = 1, 3, 5, 6
_FIRST_COLUMN = 16


@dataclass(frozen=True)
class Body:
    """A frame of one gateway without its header: what comes before the time, and what comes after it."""

    before: bytes
    after: bytes
    flow_bits: int  # the numbers of flow_veh_h as 32-bit words, added up


def numbers(chance: np.random.Generator, rows: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Flow (veh/h), speed (km/h) and occupancy (0 to 1) as detectors round them. Shape: (rows,), float32."""
    return (
        np.round(chance.uniform(100, 2_000, rows)).astype("<f4"),
        np.round(chance.uniform(28, 80, rows), 1).astype("<f4"),
        np.round(chance.uniform(0, 1, rows), 3).astype("<f4"),
    )


def bits(flow: np.ndarray) -> int:
    """What the log must hold of these numbers, whatever it was cut into."""
    return int(flow.astype("<f4").view("<u4").sum(dtype=np.uint64))


class Frames:
    """Gateways of `rows` segments each. The fields stand in the order in which protobuf writes them."""

    def __init__(self, rows: int) -> None:
        chance = np.random.default_rng(7)
        ids = [f"segment-{i:06d}" for i in range(ENTITIES)]
        # Who is behind one gateway lies in all partitions.
        self.gateways = ENTITIES // rows
        self._bodies = []
        for gateway in range(self.gateways):
            mine = ids[gateway * rows : (gateway + 1) * rows]
            dictionary = RoadFlowFrame(entity_ids=mine).SerializeToString()
            self._bodies.append([_body(dictionary, chance, rows) for _ in range(VARIANTS)])

    def request(self, gateway: int, sequence: int, now_ms: int) -> tuple[bytes, int]:
        """A ReportFramesRequest, and the flow bits in it."""
        body = self._bodies[gateway][sequence % VARIANTS]
        header = FrameHeader(city=CITY, source_id=f"gateway-{gateway:04d}", sequence=sequence).SerializeToString()
        time = _BASE_TIME_KEY + (now_ms - 2 * PERIOD_S * 1000).to_bytes(8, "little")
        frame = b"".join((field(_HEADER, header), body.before, time, body.after))
        return field_head(_FRAME_FIELD, len(frame)) + frame, body.flow_bits


def _body(dictionary: bytes, chance: np.random.Generator, rows: int) -> Body:
    columns = numbers(chance, rows)
    offsets = (chance.integers(0, PERIOD_S * 10, rows) * 100).astype("<u4")
    after = packed_field(_OFFSET, offsets) + bytes((_PERIOD << 3, PERIOD_S))
    after += b"".join(packed_field(_FIRST_COLUMN + i, column) for i, column in enumerate(columns))
    return Body(dictionary + packed_field(_ENTITY, np.arange(rows, dtype="<u4")), after, bits(columns[0]))


class Rows:
    """The same segments as single observations."""

    def __init__(self, now_ms: int) -> None:
        chance = np.random.default_rng(7)
        flow, speed, occupancy = numbers(chance, ENTITIES)
        time = Timestamp(seconds=now_ms // 1000 - 2 * PERIOD_S)
        self._flow = flow.view("<u4").tolist()
        self._requests = [
            ReportRequest(
                parent=f"cities/{CITY}",
                road_flow=RoadFlow(
                    entity_id=f"segment-{i:06d}",
                    time=time,
                    period_s=PERIOD_S,
                    flow_veh_h=flow[i],
                    speed_kmh=speed[i],
                    occupancy=occupancy[i],
                ),
            ).SerializeToString()
            for i in range(ENTITIES)
        ]

    def requests(self, first: int, count: int) -> tuple[list[bytes], int]:
        """So many ReportRequests, and the flow bits in them."""
        places = [(first + i) % ENTITIES for i in range(count)]
        return [self._requests[i] for i in places], sum(self._flow[i] for i in places)
