"""aiokafka's fetcher, made to give what a fetch brought for a partition as columns, without an object for each record.

The private names that this relies on are pinned by tests/contract/test_whole_fetches.py.
"""

from __future__ import annotations

from typing import Any

from aiokafka.consumer import fetcher as stock
from aiokafka.record.memory_records import MemoryRecords

from services.runtime.record_batches import MAGIC, magic_of, read_batch, read_records, split
from services.runtime.record_columns import Records


class KeptRecords(MemoryRecords):  # type: ignore[misc]  # aiokafka has no types
    """What a fetch brought for one partition; the bytes can be had again."""

    def __init__(self, data: bytes) -> None:
        super().__init__(data)
        self.data = data


class WholeFetch:
    """In the place of aiokafka's PartitionRecords: an iterator of all records as one `Records`, or of nothing."""

    def __init__(self, of: stock.PartitionRecords, data: bytes) -> None:
        self.next_fetch_offset: int = of.next_fetch_offset
        self._tp, self._check_crcs, self._data = of._tp, of._check_crcs, data
        # It waits to be begun and holds what holds it: Python looks for garbage in cycles seldom, and this is MBs.
        of._records_iterator.close()

    def __iter__(self) -> WholeFetch:
        return self

    def __next__(self) -> Records:
        data, self._data = self._data, b""
        batches = [read_batch(raw, check_crc=self._check_crcs) for raw in split(data)]
        if not batches:
            raise StopIteration
        told = [batch for batch in batches if not batch.is_control and batch.records]
        topic, partition = self._tp
        records = read_records(topic, partition, told, self.next_fetch_offset) if told else ()
        self.next_fetch_offset = batches[-1].next_offset
        if not records:
            raise StopIteration
        return records


def read_whole(fetcher: stock.Fetcher) -> None:
    """From now on `fetched_records` of this fetcher gives a list of one `Records` for each partition.

    Where it leaves out aborted transactions, and of records in a format of before Kafka 0.11, it gives objects as ever.
    """
    stock.MemoryRecords = KeptRecords
    process = fetcher._proc_fetch_request

    async def process_whole(assignment: Any, node_id: int, request: Any) -> Any:
        new = await process(assignment, node_id, request)
        # Nothing else has run since they were put there.
        for result in fetcher._records.values():
            if type(result) is stock.FetchResult:
                _make_whole(result)
        return new

    fetcher._proc_fetch_request = process_whole


def _make_whole(result: stock.FetchResult) -> None:
    of = result._partition_records
    if type(of) is not stock.PartitionRecords or of._isolation_level != stock.READ_UNCOMMITTED:
        return
    data = getattr(of._records, "data", None)
    if data is not None and all(magic_of(raw) == MAGIC for raw in split(data)):
        result._partition_records = WholeFetch(of, data)
