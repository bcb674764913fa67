"""Batches read into columns hold the records that aiokafka reads of them one by one."""

from __future__ import annotations

import random
import struct
from typing import Any

import pytest
from aiokafka.errors import CorruptRecordException
from aiokafka.record.default_records import DefaultRecordBatch, DefaultRecordBatchBuilder
from aiokafka.record.util import calc_crc32c
from hypothesis import given
from hypothesis import strategies as st

from services.runtime.record_batches import magic_of, read_batch, read_records, split

NOW_MS = 1_700_438_400_000
Told = tuple[int, int, int, bytes | None, bytes | None, tuple[Any, ...]]
BYTES = st.one_of(st.none(), st.binary(max_size=80), st.integers(0, 9_000).map(bytes))
HEADERS = st.lists(st.tuples(st.text(max_size=3), st.one_of(st.none(), st.binary(max_size=3))), max_size=2)
RECORDS = st.lists(
    st.tuples(BYTES, BYTES, HEADERS, st.integers(-(2**40), 2**40), st.integers(0, 200)), min_size=1, max_size=12
)


def batch_of(parts: list[Any], codec: int = 0, base: int = 0) -> bytes:
    """A batch whose records have offsets with gaps, as in a compacted topic."""
    builder = DefaultRecordBatchBuilder(2, codec, 0, -1, -1, -1, 1 << 26)
    offset = 0
    for key, value, headers, since_ms, gap in parts:
        builder.append(offset, NOW_MS + since_ms, key, value, headers)
        offset += 1 + gap
    return placed(builder.build(), base)


def placed(raw: bytes, base: int = 0, *, attributes: int = 0) -> bytes:
    """The batch at another offset, with more attributes, and a good checksum."""
    changed = bytearray(raw)
    struct.pack_into(">q", changed, 0, base)
    changed[22] |= attributes
    struct.pack_into(">I", changed, 17, calc_crc32c(bytes(changed[21:])))
    return bytes(changed)


def told(record: Any) -> Told:
    return record.offset, record.timestamp, record.timestamp_type, record.key, record.value, tuple(record.headers)


def one_by_one(*raws: bytes) -> list[Told]:
    return [told(record) for raw in raws for record in DefaultRecordBatch(raw)]


def in_columns(raw: bytes, first_offset: int = 0, *, check_crc: bool = True) -> list[Told]:
    batches = [read_batch(part, check_crc=check_crc) for part in split(raw)]
    return [told(record) for record in read_records("t", 1, batches, first_offset)]


@given(st.lists(RECORDS, min_size=1, max_size=3), st.integers(0, 4), st.booleans(), st.integers(0, 3_000))
def test_whatever_the_records_are(parts: list[list[Any]], codec: int, by_broker: bool, first_offset: int):
    raws = [placed(batch_of(p, codec), 1_000 * i, attributes=8 * by_broker) for i, p in enumerate(parts)]
    expected = [record for record in one_by_one(*raws) if record[0] >= first_offset]
    assert in_columns(b"".join(raws), first_offset) == expected


@pytest.mark.parametrize(
    "lengths", [(5,), (40,), (100,), (5, 5, 5, 100), (63, 64, 65), (8_100,), (8_200,), (70, 20_000)]
)
def test_many_records_of_few_lengths(lengths: tuple[int, ...]):
    chance = random.Random(1)
    parts = []
    for length in lengths:
        parts += [(b"key", bytes(length), [("content-type", b"x")], chance.randrange(99), 0) for _ in range(150)]
    for some in (parts, chance.sample(parts, len(parts))):
        assert in_columns(batch_of(some)) == one_by_one(batch_of(some))


@given(RECORDS, st.integers(61, 100_000), st.integers(0, 255))
def test_a_byte_changed_gives_what_aiokafka_gives_or_an_error(parts: list[Any], at: int, byte: int):
    raw = bytearray(batch_of(parts))
    raw[61 + at % (len(raw) - 61)] = byte
    try:
        expected = one_by_one(bytes(raw))
    except (CorruptRecordException, UnicodeDecodeError):
        with pytest.raises((CorruptRecordException, UnicodeDecodeError)):
            in_columns(bytes(raw), -(2**63), check_crc=False)
    else:
        if expected == sorted(expected, key=lambda record: record[0]):  # as a broker sees to
            assert in_columns(bytes(raw), -(2**63), check_crc=False) == expected


def test_a_wrong_checksum_is_an_error():
    raw = bytearray(batch_of([(b"k", b"v", [], 0, 0)]))
    raw[-2] ^= 1
    with pytest.raises(CorruptRecordException, match="CRC"):
        in_columns(bytes(raw))


def test_a_batch_that_is_cut_off_is_left_for_the_next_fetch():
    whole = batch_of([(b"k", b"v", [], 0, 0)])
    for length in range(len(whole)):
        assert list(split(whole + whole[:length])) == [whole]
    assert [magic_of(raw) for raw in split(whole * 3)] == [2] * 3


def test_where_a_batch_ends_whatever_was_compacted_away():
    batch = read_batch(memoryview(batch_of([(b"k", b"v", [], 0, 0), (b"k", b"v", [], 0, 0)], base=70)), check_crc=True)
    assert (batch.base_offset, batch.next_offset, batch.records) == (70, 72, 2)
    marker = read_batch(memoryview(placed(bytes(batch.raw), 70, attributes=0x20)), check_crc=True)
    assert (batch.is_control, marker.is_control) == (False, True)
