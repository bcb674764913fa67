"""What a processor tells, in the forms of its receivers: Arrow rows for ClickHouse, protobuf records for Kafka."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import numpy as np
import pyarrow as pa
from google.protobuf.timestamp_pb2 import Timestamp
from numpy.typing import NDArray

from services.core.geometry import cell_of
from services.core.signals import Signal
from services.core.state import Counters
from services.core.windows import IndexRows, WindowBatch
from services.runtime.log import Headers
from services.runtime.producer import cloud_event_headers
from services.runtime.slot_names import SlotNames
from services.runtime.wire import field, packed_field
from urban.common.v1.signal_pb2 import Evidence, PartitionWatermark, SignalRecord, SignalState, WatermarkReport
from urban.common.v1.signal_pb2 import Signal as SignalMessage
from urban.common.v1.window_pb2 import MeasureColumn, WindowBounds, WindowFrame

TIME = pa.timestamp("ms", "UTC")
PROTOBUF: Headers = (("content-type", b"application/protobuf"),)
# A frame stays below a broker's default limit of 1 MiB with some fifty measures.
MAXIMUM_FRAME_ROWS = 2_000
# Coarse enough that one incident's signals share a key, fine enough that a city's do not.
SIGNAL_KEY_RESOLUTION = 5
_ATTRIBUTES = pa.map_(pa.string(), pa.string())
_EVIDENCE = pa.list_(
    pa.struct(
        [("measure", pa.string()), ("value", pa.float64()), ("threshold", pa.float64()), ("expected", pa.float64())]
    )
)


def windows_table(batch: WindowBatch, kafka_partition: int, names: SlotNames | None = None) -> pa.Table:
    """Rows of `<domain>.<kind>_windows`, one per row of the batch. `names`: those of the batch, if they are at hand."""
    rows, names = len(batch), SlotNames.of(batch, names)
    return pa.table(
        {
            "city": names.take_cities(batch.slot),
            "window": pa.repeat(batch.window.name, rows),
            "entity_id": names.take_ids(batch.slot),
            "start_time": pa.array(batch.start_ms, TIME),
            "end_time": pa.array(batch.end_ms, TIME),
            "kafka_partition": pa.array(np.full(rows, kafka_partition, np.uint32)),
            "revision": pa.array(batch.revision.astype(np.uint32, copy=False)),
            **{name: pa.array(values) for name, values in batch.measures.items()},
        }
    )


def index_table(batch: WindowBatch, rows: IndexRows, kafka_partition: int, names: SlotNames | None = None) -> pa.Table:
    """Rows of an index of the batch, each of one of its entities. `names`: as of `windows_table`."""
    slots, names = batch.slot[rows.of_row], SlotNames.of(batch, names)
    return pa.table(
        {
            "city": names.take_cities(slots),
            "entity_id": names.take_ids(slots),
            "start_time": pa.array(rows.start_ms, TIME),
            "end_time": pa.array(rows.end_ms, TIME),
            "kafka_partition": pa.array(np.full(len(rows), kafka_partition, np.uint32)),
            "revision": pa.array(rows.revision.astype(np.uint32)),
            **{
                name: pa.array(values, pa.string() if values.dtype == object else None)
                for name, values in rows.columns.items()
            },
        }
    )


def window_frames(
    domain: str, kind: str, kafka_partition: int, watermark_ms: int, batch: WindowBatch, names: SlotNames | None = None
) -> Iterator[bytes]:
    """The batch as WindowFrames: of one city each, and of so many rows at most that a broker takes them."""
    names = SlotNames.of(batch, names)
    city_of_row = names.city_of_slot[batch.slot]
    for place in np.unique(city_of_row).tolist():
        of_city = np.flatnonzero(city_of_row == place)
        for begin in range(0, len(of_city), MAXIMUM_FRAME_ROWS):
            rows = of_city[begin : begin + MAXIMUM_FRAME_ROWS]
            head = WindowFrame(
                city=names.cities[place],
                domain=domain,
                kind=kind,
                partition=kafka_partition,
                watermark_ms=watermark_ms,
                early=batch.early,
            )
            yield _window_frame(head, batch, rows, names)


def _window_frame(head: WindowFrame, batch: WindowBatch, rows: NDArray[np.int64], names: SlotNames) -> bytes:
    start_ms, end_ms = batch.start_ms[rows], batch.end_ms[rows]
    # Rows come by start, so that those of one window follow each other; ends of sessions need not.
    new = np.concatenate(([True], (start_ms[1:] != start_ms[:-1]) | (end_ms[1:] != end_ms[:-1])))
    window = np.cumsum(new) - 1
    for begin, end in zip(start_ms[new].tolist(), end_ms[new].tolist(), strict=True):
        head.bounds.append(WindowBounds(window=batch.window.name, start_ms=begin, end_ms=end))
    slots, entity = _distinct(batch.slot[rows])
    # Packed fields are their little-endian bytes: written as such, without a Python number for each value.
    parts = [
        head.SerializeToString(),
        names.take_id_fields(slots),
        packed_field(WindowFrame.WINDOW_FIELD_NUMBER, window.astype("<u4")),
        packed_field(WindowFrame.ENTITY_FIELD_NUMBER, entity.astype("<u4")),
        packed_field(WindowFrame.REVISION_FIELD_NUMBER, batch.revision[rows].astype("<u4")),
    ]
    for name, values in batch.measures.items():
        column = MeasureColumn(name=name).SerializeToString()
        column += packed_field(MeasureColumn.VALUES_FIELD_NUMBER, values[rows].astype("<f8"))
        parts.append(field(WindowFrame.MEASURES_FIELD_NUMBER, column))
    return b"".join(parts)


def _distinct(slots: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Each slot once, ascending, and the place of each row's slot among them; without sorting."""
    if len(slots) and bool((slots[1:] > slots[:-1]).all()):
        return slots, np.arange(len(slots))
    first = int(slots.min()) if len(slots) else 0
    met = np.zeros(int(slots.max()) - first + 1 if len(slots) else 0, np.bool_)
    met[slots - first] = True
    place = np.cumsum(met) - 1
    return np.flatnonzero(met) + first, place[slots - first]


def signals_table(signals: Sequence[Signal]) -> pa.Table:
    """Rows of `<domain>.signals`."""
    return pa.table(
        {
            "id": pa.array([s.id for s in signals], pa.string()),
            "city": pa.array([s.city for s in signals], pa.string()),
            "kind": pa.array([s.kind for s in signals], pa.string()),
            "type": pa.array([s.type for s in signals], pa.string()),
            "entity_id": pa.array([s.entity_id for s in signals], pa.string()),
            "window": pa.array([s.window for s in signals], pa.string()),
            "start_time": pa.array([s.start_ms for s in signals], TIME),
            "end_time": pa.array([s.end_ms for s in signals], TIME),
            "state": pa.array(["retracted" if s.retracted else "raised" for s in signals], pa.string()),
            "severity": pa.array([s.severity.name.lower() for s in signals], pa.string()),
            "score": pa.array([s.score for s in signals], pa.float64()),
            "latitude": pa.array([s.latitude for s in signals], pa.float64()),
            "longitude": pa.array([s.longitude for s in signals], pa.float64()),
            "h3_cell": pa.array([s.h3_cell for s in signals], pa.uint64()),
            "evidence": pa.array([[e.__dict__ for e in s.evidence] for s in signals], _EVIDENCE),
            "revision": pa.array([s.revision for s in signals], pa.uint32()),
            "detector_version": pa.array([s.detector_version for s in signals], pa.string()),
            "model": pa.array([s.model for s in signals], pa.string()),
            "attributes": pa.array([list(s.attributes) for s in signals], _ATTRIBUTES),
        }
    )


def signal_record(signal: Signal) -> tuple[bytes, bytes, Headers]:
    """Key, value and CloudEvents headers of one signal on urban.signals.v1."""
    key = f"{signal.city}/{signal.domain}/{signal.entity_id}"
    if signal.h3_cell:
        key = f"{cell_of(signal.latitude, signal.longitude, SIGNAL_KEY_RESOLUTION):x}"
    state = "retracted" if signal.retracted else "raised"
    headers = cloud_event_headers(
        f"{signal.id}/{signal.revision}/{state}", "urban.signal.v1", f"/{signal.domain}", signal.end_ms, key
    )
    return key.encode(), SignalRecord(signal=signal_message(signal)).SerializeToString(), headers


def signal_message(signal: Signal) -> SignalMessage:
    message = SignalMessage(
        id=signal.id,
        city=signal.city,
        domain=signal.domain,
        kind=signal.kind,
        type=signal.type,
        entity_id=signal.entity_id,
        window=signal.window,
        state=SignalState.SIGNAL_STATE_RETRACTED if signal.retracted else SignalState.SIGNAL_STATE_RAISED,
        severity=int(signal.severity),  # type: ignore[arg-type]  # the same numbers: services/core/signals.py
        start_time=_timestamp(signal.start_ms),
        end_time=_timestamp(signal.end_ms),
        score=signal.score,
        evidence=[
            Evidence(measure=e.measure, value=e.value, threshold=e.threshold, expected=e.expected)
            for e in signal.evidence
        ],
        revision=signal.revision,
        detector_version=signal.detector_version,
        model=signal.model,
        attributes=dict(signal.attributes),
    )
    if signal.h3_cell:
        message.position.latitude, message.position.longitude = signal.latitude, signal.longitude
        message.position.h3_cell = signal.h3_cell
    return message


def _timestamp(time_ms: int) -> Timestamp:
    return Timestamp(seconds=time_ms // 1000, nanos=time_ms % 1000 * 1_000_000)


def watermark_record(domain: str, kind: str, instance: str, watermarks: Mapping[int, int]) -> bytes:
    """How far the partitions of an instance have come in event time, by partition in ms; for urban.signals.v1."""
    partitions = [PartitionWatermark(partition=p, watermark_ms=ms) for p, ms in sorted(watermarks.items())]
    report = WatermarkReport(domain=domain, kind=kind, instance=instance, partitions=partitions)
    return SignalRecord(watermark=report).SerializeToString()


def ledger_table(kind: str, topic: str, kafka_partition: int, next_offset: int, counters: Counters) -> pa.Table:
    """The row of `<domain>.ledger` at one checkpoint."""
    counts = {
        name: pa.array([getattr(counters, name)], pa.uint64())
        for name in ("read", "folded", "duplicate", "late", "dead_lettered")
    }
    return pa.table(
        {
            "kind": pa.array([kind]),
            "topic": pa.array([topic]),
            "kafka_partition": pa.array([kafka_partition], pa.uint32()),
            "next_offset": pa.array([next_offset], pa.int64()),
            **counts,
        }
    )
