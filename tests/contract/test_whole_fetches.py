"""Whole fetches in the place of records, and what this relies on in aiokafka: an upgrade that changes it fails here."""

from __future__ import annotations

import gc
import inspect
from importlib.metadata import version
from typing import Any

import pytest
from aiokafka.consumer import fetcher as stock
from aiokafka.consumer.subscription_state import SubscriptionState
from aiokafka.record.legacy_records import LegacyRecordBatchBuilder
from aiokafka.structs import TopicPartition

from services.runtime import whole_fetches
from services.runtime.record_columns import Records
from services.runtime.whole_fetches import KeptRecords, WholeFetch
from tests.contract.test_record_batches import batch_of, placed

AIOKAFKA_VERSION = "0.14.0"
PARTITION = TopicPartition("t", 1)


def test_it_was_written_for_this_version():
    assert version("aiokafka") == AIOKAFKA_VERSION, "run the tests of tests/integration/processor, then change this"


def test_what_is_called_and_replaced_is_there():
    process = inspect.getsource(stock.Fetcher._proc_fetch_request)
    assert list(inspect.signature(stock.Fetcher._proc_fetch_request).parameters) == [
        "self",
        "assignment",
        "node_id",
        "request",
    ]
    assert "records = MemoryRecords(part_data[-1])" in process
    assert "self._records[tp] = FetchResult(" in process
    # Nothing else runs between the first result that is put there and the return.
    assert "await " not in process[process.index("for topic, partitions in response.topics:") :]
    assert "self._proc_fetch_request(" in inspect.getsource(stock.Fetcher._fetch_requests_routine)


def test_what_is_read_of_partition_records_is_there():
    made = stock.PartitionRecords(PARTITION, KeptRecords(b""), None, 7, None, None, True, stock.READ_UNCOMMITTED)
    assert (made.next_fetch_offset, made._tp, made._check_crcs) == (7, PARTITION, True)
    assert made._isolation_level == stock.READ_UNCOMMITTED
    assert isinstance(made._records, KeptRecords)
    assert inspect.isgenerator(made._records_iterator)


def result_of(data: bytes, first_offset: int, isolation_level: int = stock.READ_UNCOMMITTED) -> Any:
    """A result as the fetcher makes it of these bytes, and the state of its partition."""
    subscriptions = SubscriptionState()
    subscriptions.assign_from_user([PARTITION])
    assignment = subscriptions.subscription.assignment
    state = assignment.state_value(PARTITION)
    state.seek(first_offset)
    records = stock.PartitionRecords(
        PARTITION, KeptRecords(data), None, first_offset, None, None, True, isolation_level
    )
    result = stock.FetchResult(PARTITION, assignment=assignment, partition_records=records, backoff=0)
    whole_fetches._make_whole(result)
    return result, state


A_RECORD = (b"k", b"v", [("h", b"x")], 0, 0)


async def test_a_fetch_is_one_object_and_the_position_is_behind_it():
    data = batch_of([A_RECORD] * 3, base=10) + batch_of([A_RECORD] * 2, base=20)
    result, state = result_of(data, 11)
    (records,) = result.getall()
    assert isinstance(records, Records)
    assert records.offset.tolist() == [11, 12, 20, 21]
    assert (records.topic, records.partition) == ("t", 1)
    assert state.position == 22
    assert not result.has_more()


async def test_markers_of_transactions_are_passed_over():
    marker = placed(batch_of([A_RECORD]), 13, attributes=0x30)
    result, state = result_of(batch_of([A_RECORD] * 3, base=10) + marker, 10)
    (records,) = result.getall()
    assert records.offset.tolist() == [10, 11, 12]
    assert state.position == 14
    result, state = result_of(marker, 13)
    assert result.getall() == []
    assert state.position == 14


async def test_a_batch_whose_last_records_were_compacted_away_is_not_read_again():
    data = bytearray(batch_of([A_RECORD] * 3, base=10))
    data[23:27] = (9).to_bytes(4, "big")
    result, state = result_of(placed(bytes(data), 10), 12)
    (records,) = result.getall()
    assert records.offset.tolist() == [12]
    assert state.position == 20
    result, state = result_of(placed(bytes(data), 10), 15)
    assert result.getall() == []
    assert state.position == 20


async def test_aborted_transactions_and_old_formats_are_left_to_aiokafka():
    old = LegacyRecordBatchBuilder(1, 0, 1_000)
    old.append(0, 5, b"k", b"v")
    kept, _ = result_of(bytes(old.build()), 0)
    committed, _ = result_of(batch_of([A_RECORD]), 0, stock.READ_COMMITTED)
    for result in (kept, committed):
        assert not isinstance(result._partition_records, WholeFetch)
        (record,) = result.getall()
        assert (record.offset, record.key, record.value) == (0, b"k", b"v")


@pytest.mark.parametrize("told", [b"", b"\0" * 40])
async def test_bytes_without_a_whole_batch_are_no_records(told: bytes):
    result, state = result_of(told, 5)
    assert result.getall() == []
    assert state.position == 5


@pytest.mark.parametrize("read", [True, False])
async def test_nothing_of_a_fetch_waits_for_the_garbage_collector(read: bool):
    """It comes seldom, and a fetch is large: thousands of them lay about before it came."""
    gc.collect()
    gc.disable()
    try:
        result, _ = result_of(batch_of([A_RECORD]), 0)
        assert count_fetches() > 0
        if read:
            assert len(list(result._partition_records)) == 1
        del result
        assert count_fetches() == 0
    finally:
        gc.enable()


def count_fetches() -> int:
    return sum(isinstance(o, KeptRecords | WholeFetch) for o in gc.get_objects())
