"""The observations as records of a topic: one per record in protobuf or JSON, or those of a gateway in a frame."""

from __future__ import annotations

from collections.abc import Iterator
from enum import StrEnum
from typing import NamedTuple

import numpy as np
import orjson

from services.core.frame import Frame
from services.runtime.codec import encode_frame
from services.runtime.contracts import FrameContract
from tests.benchmarks.job.contract import contract
from tests.benchmarks.job.observations import Job, Report, closing_entities, gateways, reports

CITY = "benchmark"


class Encoding(StrEnum):
    """How observations lie in records. The bytes are the same for every engine."""

    PROTOBUF = "protobuf"  # one observation per record: a ReadingFrame of one
    JSON = "json"  # one observation per record: {"entity_id": …, "time": RFC 3339, "value": …}
    FRAMES = "frames"  # 256 observations per record: a ReadingFrame


class Encoded(NamedTuple):
    """A record to be written."""

    partition: int
    key: bytes  # the entity of its (first) observation
    value: bytes
    observations: int


HEADERS = {
    Encoding.PROTOBUF: [("content-type", b"application/protobuf")],
    Encoding.JSON: [("content-type", b"application/json"), ("urban_city", CITY.encode())],
    Encoding.FRAMES: [("content-type", b"application/protobuf")],
}


def records(job: Job, encoding: Encoding) -> Iterator[Encoded]:
    """All records in the order of writing; the last of each partition moves event time past every window."""
    known, sources = contract(), gateways(job)
    for report in reports(job):
        partition, ids = sources[report.gateway]
        yield from _encode(known, encoding, partition, ids, report)
    for partition, name in enumerate(closing_entities(job.partitions)):
        closing = Report(
            gateway=job.gateways + partition,
            number=1,
            now_ms=job.closing_ms,
            entity=np.zeros(1, np.int64),
            time_ms=np.array([job.closing_ms]),
            value=np.zeros(1, np.float32),
            late=np.zeros(1, np.bool_),
        )
        yield from _encode(known, encoding, partition, (name,), closing)


def _encode(
    known: FrameContract, encoding: Encoding, partition: int, ids: tuple[str, ...], report: Report
) -> Iterator[Encoded]:
    if encoding is Encoding.FRAMES:
        frame = _frame(ids, report.entity, report)
        yield Encoded(partition, ids[0].encode(), encode_frame(known, frame), len(frame))
        return
    entities, times, values = report.entity.tolist(), report.time_ms.tolist(), report.value.tolist()
    texts = np.datetime_as_string(report.time_ms.astype("datetime64[ms]"), unit="ms").tolist()
    for place, (entity, time_ms, value) in enumerate(zip(entities, times, values, strict=True)):
        key = ids[entity].encode()
        if encoding is Encoding.JSON:
            row = {"entity_id": ids[entity], "time": texts[place] + "Z", "value": value}
            yield Encoded(partition, key, orjson.dumps(row), 1)
        else:
            message = known.view(entity_ids=(ids[entity],), base_time_ms=time_ms)
            message.header.city, message.header.clock_ms = CITY, report.now_ms
            message.entity.append(b"\0\0\0\0")
            message.time_offset_ms.append(b"\0\0\0\0")
            message.value.append(np.float32(value).tobytes())
            yield Encoded(partition, key, bytes(message.SerializeToString()), 1)


def _frame(ids: tuple[str, ...], entity: np.ndarray[tuple[int], np.dtype[np.int64]], report: Report) -> Frame:
    return Frame(
        city=CITY,
        entity_ids=ids,
        entity=entity.astype(np.uint32),
        time_ms=report.time_ms,
        period_s=0,
        columns={"value": report.value},
        source_id=f"gateway-{report.gateway}",
        sequence=report.number,
        clock_ms=report.now_ms,
    )
