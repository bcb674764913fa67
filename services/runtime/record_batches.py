"""Kafka's record batches (message format 2) read into columns: a step of Python for each record, and no object.

The format: https://kafka.apache.org/documentation/#recordbatch (as of Kafka 4.4).
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from aiokafka.codec import gzip_decode, lz4_decode, snappy_decode, zstd_decode
from aiokafka.errors import CorruptRecordException, UnsupportedCodecError
from aiokafka.record.util import calc_crc32c
from numpy.typing import NDArray

from services.runtime.record_columns import Int64Array, Records, Spans
from services.runtime.record_headers import tell_apart, varint

MAGIC = 2
# Base offset, length, leader epoch, magic, CRC, attributes, last offset delta, first and greatest timestamp,
# producer id and epoch, base sequence, number of records.
_HEAD = struct.Struct(">qiibIhiqqqhii")
_LENGTH = struct.Struct(">qi")
_MAGIC_AT = 16
_CRC_FROM = 21
_CODEC, _LOG_APPEND_TIME, _CONTROL = 0x07, 0x08, 0x20
_DECODE = {1: gzip_decode, 2: snappy_decode, 3: lz4_decode, 4: zstd_decode}
# How many records in a row are looked at to see whether they have the length of the one before.
_STRIDE = 64


@dataclass(frozen=True)
class Batch:
    """A batch as it lies in the log."""

    raw: memoryview
    base_offset: int
    attributes: int
    last_offset_delta: int
    first_timestamp_ms: int
    greatest_timestamp_ms: int
    records: int

    @property
    def next_offset(self) -> int:
        return self.base_offset + self.last_offset_delta + 1

    @property
    def is_control(self) -> bool:
        """Whether it holds a marker of a transaction, and no records."""
        return bool(self.attributes & _CONTROL)

    @property
    def timestamp_type(self) -> int:
        """0: told by who wrote the records; 1: by the broker."""
        return int(bool(self.attributes & _LOG_APPEND_TIME))

    def body(self) -> bytes:
        """Its records, uncompressed."""
        packed = bytes(self.raw[_HEAD.size :])
        codec = self.attributes & _CODEC
        if not codec:
            return packed
        if codec not in _DECODE:
            raise UnsupportedCodecError(f"Unknown compression codec {codec}")
        return bytes(_DECODE[codec](packed))


def split(raw: bytes) -> Iterator[memoryview]:
    """The batches in the bytes of a fetch, without the last one where it is cut off."""
    at, whole = 0, memoryview(raw)
    while at + _LENGTH.size <= len(raw):
        end = at + _LENGTH.size + _LENGTH.unpack_from(raw, at)[1]
        if end > len(raw) or end <= at + _MAGIC_AT:
            return
        yield whole[at:end]
        at = end


def magic_of(raw: memoryview) -> int:
    """The version of a batch's format."""
    return raw[_MAGIC_AT]


def read_batch(raw: memoryview, *, check_crc: bool) -> Batch:
    """CorruptRecordException where its checksum is wrong."""
    if len(raw) < _HEAD.size:
        raise CorruptRecordException(f"a batch of {len(raw)} bytes")
    base, _, _, _, crc, attributes, last, first_ms, greatest_ms, _, _, _, count = _HEAD.unpack_from(raw)
    if check_crc and calc_crc32c(raw[_CRC_FROM:]) != crc:
        raise CorruptRecordException(f"Invalid CRC of the batch at offset {base}")
    return Batch(raw, base, attributes, last, first_ms, greatest_ms, count)


def read_records(topic: str, partition: int, batches: Sequence[Batch], first_offset: int) -> Records:
    """The records of these batches from `first_offset` on. CorruptRecordException where the bytes make no records."""
    bodies = [batch.body() for batch in batches]
    lengths = [len(body) for body in bodies]
    data = bodies[0] if len(bodies) == 1 else b"".join(bodies)
    del bodies  # of frames they are some MB, and the fetch is held twice no longer than needed
    starts: list[int] = []
    begin = 0
    try:
        for batch, length in zip(batches, lengths, strict=True):
            before = len(starts)
            _walk(data, begin, begin + length, starts)
            if len(starts) - before != batch.records:
                raise CorruptRecordException(f"{len(starts) - before} records of {batch.records}")
            begin += length
        found = _read_columns(topic, partition, batches, data, np.array(starts, np.int64))
    except IndexError as error:
        raise CorruptRecordException(f"a record ends behind its batch: {error}") from None
    return found.since(first_offset)


def _walk(data: bytes, at: int, end: int, starts: list[int]) -> None:
    """Adds where each record begins. Neighbours mostly have one length: then many are found at once."""
    add, same, before = starts.append, 0, -1
    while at < end:
        add(at)
        first = data[at]
        if first < 0x80:
            step = 1 + (first >> 1)
        elif end - at > 1 and data[at + 1] < 0x80:
            step = 2 + ((first & 0x7F | data[at + 1] << 7) >> 1)
        else:
            length, body = varint(data, at)
            step = body - at + length
            if length < 0:
                raise CorruptRecordException(f"a record of {length} bytes")
        same = same + 1 if step == before else 0
        before = step
        if same > 3:
            # As a record of that length ends where the next one begins, the same length there says the same of it.
            reach = at + step * _STRIDE
            while step < 0x2000 and reach <= end and _all_begin_like(data, at, reach, step):
                starts.extend(range(at + step, reach, step))
                at = reach - step
                reach = at + step * _STRIDE
            same = 0
        at += step
    if at != end:
        raise CorruptRecordException(f"records end {at - end} bytes behind their batch")


def _all_begin_like(data: bytes, at: int, end: int, step: int) -> bool:
    """Whether the records that begin every `step` bytes have the length of the first one."""
    first = data[at:end:step]
    if first.count(first[0]) != len(first):
        return False
    second = data[at + 1 : end : step]
    return first[0] < 0x80 or second.count(second[0]) == len(second)


def _read_columns(topic: str, partition: int, batches: Sequence[Batch], data: bytes, start: Int64Array) -> Records:
    view = np.frombuffer(data, np.uint8)
    length, body = _varints(view, start)
    end = body + length
    _, at = _varints(view, body)  # attributes, which have no meaning yet
    since_ms, at = _varints(view, at)
    delta, at = _varints(view, at)
    key, at = _read_spans(view, at, end)
    value, at = _read_spans(view, at, end)
    headers, headers_of = tell_apart(data, at, end)

    def of_batch(values: Sequence[int]) -> Int64Array:
        return np.repeat(np.array(values, np.int64), [b.records for b in batches])

    timestamp_type = of_batch([b.timestamp_type for b in batches])
    created_ms = of_batch([b.first_timestamp_ms for b in batches]) + since_ms
    return Records(
        topic=topic,
        partition=partition,
        data=data,
        offset=of_batch([b.base_offset for b in batches]) + delta,
        timestamp_ms=np.where(timestamp_type == 1, of_batch([b.greatest_timestamp_ms for b in batches]), created_ms),
        timestamp_type=timestamp_type.astype(np.int8),
        key=key,
        value=value,
        headers=headers,
        headers_of=headers_of,
    )


def _varints(view: NDArray[np.uint8], at: Int64Array) -> tuple[Int64Array, Int64Array]:
    """Numbers in zigzag form, and where each ends. IndexError: behind the data."""
    byte = view[at]
    value = (byte & 0x7F).astype(np.uint64)
    at = at + 1
    more, shift = np.flatnonzero(byte > 0x7F), 7
    while len(more):
        if shift > 63:
            raise CorruptRecordException("a number of more than 64 bits")
        byte = view[at[more]]
        value[more] |= (byte & np.uint8(0x7F)).astype(np.uint64) << np.uint64(shift)
        at[more] += 1
        more, shift = more[byte > 0x7F], shift + 7
    one = np.uint64(1)
    return ((value >> one) ^ (~(value & one) + one)).view(np.int64), at


def _read_spans(view: NDArray[np.uint8], at: Int64Array, end: Int64Array) -> tuple[Spans, Int64Array]:
    """Parts that stand behind their lengths, and where each ends."""
    length, begin = _varints(view, at)
    after = begin + np.maximum(length, 0)
    if (after > end).any() or (after < begin).any():
        raise CorruptRecordException("a part ends behind its record")
    return Spans(begin, np.maximum(length, -1)), after
