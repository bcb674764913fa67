"""Faust's Kafka driver with two changes: an event is one fetch of one partition, and only safe offsets are committed.

Stock Faust pays 60 to 200 µs for every record, and its tracking of acknowledgements can commit past a record that was
never acknowledged. Here an event holds all records that one fetch brought for one partition, nothing is acknowledged,
and what may be committed is said by `SafeOffsets`. The private names that this file relies on are pinned by
tests/contract/test_faust_names.py.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Iterator, Mapping, MutableMapping
from typing import Any, NamedTuple

import faust
from aiokafka import AIOKafkaConsumer
from faust.transport.drivers import aiokafka as stock
from faust.types import TP as TP  # told on: lanes name partitions and know no Faust
from yarl import URL

from services.runtime.kafka_security import client_context
from services.runtime.record_columns import Records
from services.runtime.whole_fetches import read_whole

# Fetches that may wait for their handlers; a fetch holds at most one MiB a partition, or one record.
MAXIMUM_WAITING_FETCHES = 16
MAXIMUM_PARTITION_FETCH_BYTES = 1 << 20


class Fetched(NamedTuple):
    """What one fetch brought for one partition: all that the log holds from `start` to `end`; never empty.

    The two make a chain: a fetch follows another if it starts where that one ended. Offsets alone would not tell a
    record that got lost from one that the log never had (the markers of transactions have offsets too).
    """

    records: Records
    start: int | None  # None: not known, as after a rebalance
    end: int  # the next offset
    seeks: int  # of this partition before the fetch; a smaller number is of before the seek


class Membership(NamedTuple):
    """As whom, and in which generation of the group, the process was given its partitions."""

    member_id: str
    generation: int

    def follows(self, former: Membership | None) -> bool:
        """Whether the same member was in the generation right before: nobody else had its partitions in between."""
        return former is not None and self == Membership(former.member_id, former.generation + 1)


class Intake:
    """What the driver must know of its host: how much room there is, and what is safe to commit."""

    def __init__(self, misplaced: Callable[[], None] = lambda: None) -> None:
        """`misplaced` is called when Faust has gone to the committed offsets, wherever a handler wants to go on."""
        self.safe_offsets: dict[TP, int] = {}
        self.misplaced = misplaced
        self._waiting = 0
        self._room = asyncio.Event()
        self._room.set()

    def took_in(self) -> None:
        """A fetch waits for its handler."""
        self._waiting += 1
        if self._waiting >= MAXIMUM_WAITING_FETCHES:
            self._room.clear()

    def let_go(self, fetches: int = 1) -> None:
        """Fetches were handled or dropped."""
        self._waiting -= fetches
        if self._waiting < MAXIMUM_WAITING_FETCHES:
            self._room.set()

    async def wait_for_room(self, timeout_s: float) -> bool:
        """Whether another fetch may be taken in; waits for it, but not for ever: a rebalance must come through."""
        if self._room.is_set():
            return True
        try:
            async with asyncio.timeout(timeout_s):
                await self._room.wait()
        except TimeoutError:
            return False
        return True


class _NoReadOffsets(MutableMapping[TP, int | None]):
    """Remembers nothing: Faust's own notion of the place in the log would drop records that were sought on purpose."""

    def __getitem__(self, tp: TP) -> None:
        return None

    def __setitem__(self, tp: TP, offset: int | None) -> None: ...

    def __delitem__(self, tp: TP) -> None: ...

    def __iter__(self) -> Iterator[TP]:
        return iter(())

    def __len__(self) -> int:
        return 0


class _Event(NamedTuple):
    """A fetch in the shape of a record, as Faust passes it on."""

    topic: str
    partition: int
    offset: int  # of the last record
    timestamp: int
    timestamp_type: int
    headers: tuple[Any, ...]
    key: None
    value: Fetched
    checksum: None = None
    serialized_key_size: int = 0
    serialized_value_size: int = 0


def _event(tp: TP, fetched: Fetched) -> _Event:
    records = fetched.records
    last = (int(records.offset[-1]), int(records.timestamp_ms[-1]), int(records.timestamp_type[-1]))
    return _Event(tp.topic, tp.partition, *last, (), None, fetched)


class FetchThread(stock.AIOKafkaConsumerThread):
    """The thread that Faust runs the consumer in. It alone knows, without a race, where each fetch started."""

    def __post_init__(self) -> None:
        super().__post_init__()
        self._ends: dict[TP, int | None] = {}  # where the last fetch or seek left each partition
        self._seeks: dict[TP, int] = {}
        self.membership: Membership | None = None

    async def on_start(self) -> None:
        await super().on_start()
        read_whole(self._ensure_consumer()._fetcher)

    async def _fetch_records(
        self,
        consumer: AIOKafkaConsumer,
        active_partitions: set[TP],
        timeout: float | None = None,  # noqa: ASYNC109 (as Faust calls it)
        max_records: int | None = None,
    ) -> Any:
        taken = await super()._fetch_records(consumer, active_partitions, timeout, max_records)
        fetched: dict[TP, Fetched] = {}
        for tp, records in taken.items():
            if records:
                # A position that was just consumed to is known: this await does not let anything else run.
                end = await consumer.position(tp)
                whole = records[0] if isinstance(records[0], Records) else Records.of(records)
                fetched[tp] = Fetched(whole, self._ends.get(tp), end, self._seeks.get(tp, 0))
                self._ends[tp] = end
        return fetched

    async def seek_to_committed(self) -> Mapping[TP, int]:
        self._ends.clear()
        committed = await super().seek_to_committed()
        # Again: fetches that came in between are of neither side.
        self._ends.clear()
        return committed

    async def seek_exactly(self, tp: TP, offset: int) -> int:
        """Go on at `offset`; the number of seeks of the partition so far, which later fetches carry."""

        async def seek() -> int:
            self._ensure_consumer().seek(tp, offset)
            self._ends[tp] = offset
            self._seeks[tp] = self._seeks.get(tp, 0) + 1
            return self._seeks[tp]

        number: int = await self.call_thread(seek)
        return number

    def log_end(self, tp: TP) -> int | None:
        """The offset that the log's next record will get, as the last fetch told; None before the first.

        For one partition it looks at no other: whoever asks for all of 256 would else look at each 256 times.
        """
        consumer = self._consumer
        # aiokafka gives its own set, Faust's `assignment` makes another one of it.
        if consumer is None or tp not in consumer.assignment():
            return None
        # Called from another thread, to which the partition may be lost between the two lines.
        with contextlib.suppress(AssertionError):
            end: int | None = consumer.highwater(tp)
            return end
        return None

    @property
    def trouble(self) -> BaseException | None:
        """What has ended the membership for good: aiokafka tells it who polls, and Faust polls in a way of its own."""
        coordinator = getattr(self._consumer, "_coordinator", None)
        if coordinator is None:
            return None
        task = coordinator._coordination_task
        error = task.exception() if task.done() and not task.cancelled() else coordinator._pending_exception
        return error if error is None else error.__cause__ or error

    async def on_partitions_revoked(self, revoked: set[TP]) -> None:
        self._ends.clear()
        await super().on_partitions_revoked(revoked)

    async def on_partitions_assigned(self, assigned: set[TP], generation_id: int = 0) -> None:
        self._ends.clear()
        # Here and now: the coordinator may forget both as soon as this thread does something else.
        coordinator = self._ensure_consumer()._coordinator
        self.membership = Membership(coordinator.member_id, coordinator.generation)
        await super().on_partitions_assigned(assigned, generation_id)


class FetchConsumer(stock.Consumer):
    """Consumer whose events are fetches."""

    app: FetchApp
    _thread: FetchThread

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._read_offset = _NoReadOffsets()

    def _new_consumer_thread(self) -> FetchThread:
        return FetchThread(self, loop=self.loop, beacon=self.beacon)

    async def _getmany(self, active_partitions: set[TP] | None, timeout: float) -> Any:  # noqa: ASYNC109 (as above)
        if not await self.app.intake.wait_for_room(timeout):
            return {}
        fetched: Any = await super()._getmany(active_partitions, timeout)
        return {tp: [_event(tp, of_tp)] for tp, of_tp in fetched.items()}

    async def _add_gap(self, tp: TP, offset_from: int, offset_to: int) -> None:
        """Offsets between two events are not missing: an event holds many records."""

    def _filter_tps_with_pending_acks(self, topics: Any = None) -> Iterator[TP]:
        return iter(list(self.app.intake.safe_offsets))

    def _new_offset(self, tp: TP) -> int | None:
        return self.app.intake.safe_offsets.get(tp)

    async def seek_to_committed(self) -> Mapping[TP, int]:
        """Faust does so some time after an assignment; on a busy machine handlers have sought their own place by then.

        Where that lies before the committed offset, as without a checkpoint, no record might ever come to show it.
        """
        committed = await super().seek_to_committed()
        self.app.intake.misplaced()
        return committed

    async def seek_exactly(self, tp: TP, offset: int) -> int:
        """Go on at `offset`; the number of seeks of the partition so far. IllegalStateError: it is not ours now."""
        return await self._thread.seek_exactly(tp, offset)

    @property
    def membership(self) -> Membership | None:
        """That of the last assignment; None before the first."""
        return self._thread.membership

    @property
    def trouble(self) -> BaseException | None:
        """What has ended the membership for good."""
        return self._thread.trouble

    def log_end(self, tp: TP) -> int | None:
        """The offset that the log's next record will get, as the last fetch told; None before the first."""
        return self._thread.log_end(tp)


class FetchTransport(stock.Transport):
    """Transport that makes such consumers."""

    Consumer = FetchConsumer


class FetchApp(faust.App):
    """Faust application on that transport: no web, no tables, no leader, no files."""

    consumer: FetchConsumer

    def __init__(self, group: str, kafka: str, intake: Intake, **settings: Any) -> None:
        self.intake = intake
        urls = [URL(f"kafka://{server}") for server in kafka.split(",")]
        context = client_context()
        super().__init__(
            group,
            broker=urls,
            broker_credentials=None if context is None else faust.SSLCredentials(context),
            store="memory://",
            key_serializer="raw",
            value_serializer="raw",
            topic_allow_declare=False,
            topic_disable_leader=True,
            table_standby_replicas=0,
            web_enabled=False,
            processing_guarantee="at_least_once",
            consumer_auto_offset_reset="earliest",
            consumer_max_fetch_size=MAXIMUM_PARTITION_FETCH_BYTES,
            stream_wait_empty=False,
            # Silence is normal here: a quiet partition has nothing to commit.
            stream_processing_timeout=1e9,
            broker_commit_livelock_soft_timeout=1e9,
            **settings,
        )

    def _new_transport(self) -> FetchTransport:
        return FetchTransport(self.conf.broker_consumer, self)

    def _create_directories(self) -> None:
        """None: no state lies on this machine."""
