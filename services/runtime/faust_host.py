"""Hosts one handler per assigned partition in a Faust worker: makes, feeds and checkpoints it, and hands it over."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from typing import Any

import structlog
from aiokafka import AIOKafkaConsumer, TopicPartition
from faust.types import TP

from services.runtime.faust_driver import FetchApp, FetchConsumer, Intake, Membership
from services.runtime.kafka_security import client_security
from services.runtime.lane import Lane, LogLostError, PartitionHandler
from services.runtime.membership import mend_static_members

__all__ = ["LogLostError", "PartitionHandler", "ProcessorHost"]

log = structlog.get_logger(__name__)

COMMIT_INTERVAL_S = 1.0
HEARTBEAT_INTERVAL_S = 1.0
CRASH_CHECK_INTERVAL_S = 0.2
# For the last checkpoints. A store that does not answer must hold neither a rebalance nor the end of the process:
# whoever takes the partition reads again from the checkpoint before.
HAND_OVER_TIMEOUT_S = 20.0
# A member that lives and does not come back into the group in this time is left behind: the others wait no longer.
REBALANCE_TIMEOUT_S = HAND_OVER_TIMEOUT_S + 10.0
# A request to join is answered when all others have joined. Who gives it up at that moment begins a new rebalance.
JOIN_MARGIN_S = 5.0
# A worker that takes nothing in because ClickHouse is away stays a member: nobody else could store its rows either.
LONGEST_PAUSE_S = 86_400.0

HandlerFactory = Callable[[int], PartitionHandler]


class WorkerCrashedError(RuntimeError):
    """Faust's own services failed."""


class _PartitionLog:
    """What lanes ask of the log. Its range by a connection of its own: else it waits behind a fetch that waits."""

    def __init__(self, kafka: str) -> None:
        self.consumer: FetchConsumer | None = None
        self._asking = AIOKafkaConsumer(bootstrap_servers=kafka, enable_auto_commit=False, **client_security())

    async def start(self) -> None:
        await self._asking.start()

    async def stop(self) -> None:
        await self._asking.stop()

    async def seek_exactly(self, tp: TP, offset: int) -> int:
        if self.consumer is None:
            raise RuntimeError("the worker is not started")
        return await self.consumer.seek_exactly(tp, offset)

    async def log_range(self, tp: TP) -> tuple[int, int]:
        partition = TopicPartition(tp.topic, tp.partition)
        first = await self._asking.beginning_offsets([partition])
        end = await self._asking.end_offsets([partition])
        return first[partition], end[partition]

    def log_end(self, tp: TP) -> int | None:
        return self.consumer.log_end(tp) if self.consumer is not None else None


class ProcessorHost:
    """One member of a consumer group.

    `handlers` maps each topic to a factory of handlers by partition. A rebalance takes all partitions from all members.
    One that comes back goes on with the handler that it had, unless another member may have had it in between: then
    it is restored anew. A process that was killed is missed after `session_timeout_seconds`.
    """

    def __init__(
        self,
        group: str,
        kafka: str,
        handlers: Mapping[str, HandlerFactory],
        *,
        checkpoint_seconds: float,
        session_timeout_seconds: float,
        instance: str,
        static: bool = False,
    ) -> None:
        """`static`: the group keeps the place of `instance` until its session has run out, also when it stops."""
        self._handlers = dict(handlers)
        self._checkpoint_seconds = checkpoint_seconds
        self._group, self._kafka, self._instance = group, kafka, instance
        self._static = static
        self._session_timeout_seconds = session_timeout_seconds
        self._lanes: dict[TP, tuple[Lane, asyncio.Task[None]]] = {}
        self.started = asyncio.Event()  # a member of the group, with its partitions
        self._stopping = asyncio.Event()
        self._stopped = asyncio.Event()
        self._failure: BaseException | None = None
        self._intake = Intake(self._misplace)
        self._log = _PartitionLog(kafka)
        self._app: FetchApp | None = None
        self._membership: Membership | None = None

    async def run(self) -> None:
        """Work until `stop`. Raises what a handler raised, `LogLostError`, or `WorkerCrashedError`."""
        app = self._app = self._make_app()
        try:
            await self._log.start()
            if not self._stopping.is_set():
                app.finalize()
                await app.start()
                self.started.set()
                await self._wait_for_end(app)
            if self._failure is None:
                await self._release(list(self._lanes))
        finally:
            await self._cancel(list(self._lanes))
            await app.stop()
            await self._log.stop()
            self._stopped.set()
        if self._failure is not None:
            raise self._failure

    async def stop(self) -> None:
        """Last checkpoints, commit, leave the group; returns when `run` has ended."""
        self._stopping.set()
        if self._app is not None:
            await self._stopped.wait()

    @property
    def partitions(self) -> frozenset[tuple[str, int]]:
        """The partitions whose handlers are restored."""
        return frozenset((tp.topic, tp.partition) for tp, (lane, _) in self._lanes.items() if lane.position >= 0)

    def lag(self) -> dict[tuple[str, int], int]:
        """Records not handled yet, by topic and partition, as far as the last fetches told."""
        return {(tp.topic, tp.partition): lane.lag for tp, (lane, _) in self._lanes.items()}

    def _make_app(self) -> FetchApp:
        if self._static:
            mend_static_members()
        session = self._session_timeout_seconds
        app = FetchApp(
            self._group,
            self._kafka,
            self._intake,
            broker_client_id=self._instance,
            consumer_group_instance_id=self._instance if self._static else None,
            broker_commit_interval=COMMIT_INTERVAL_S,
            broker_session_timeout=session,
            # A member hears of a rebalance by its heartbeat only.
            broker_heartbeat_interval=min(session / 5, HEARTBEAT_INTERVAL_S),
            broker_request_timeout=max(session, REBALANCE_TIMEOUT_S) + JOIN_MARGIN_S,
            broker_rebalance_timeout=REBALANCE_TIMEOUT_S,
            broker_max_poll_interval=LONGEST_PAUSE_S,
        )
        for topic in self._handlers:
            channel = app.topic(topic, key_type=bytes, key_serializer="raw", value_serializer="raw")
            app.agent(channel, name=f"{self._group}:{topic}")(self._deliver)
        app.on_partitions_assigned.connect(self._assigned)
        app.on_partitions_revoked.connect(self._revoked)
        return app

    async def _wait_for_end(self, app: FetchApp) -> None:
        while not self._stopping.is_set() and self._failure is None:
            if app.crashed:
                raise WorkerCrashedError(f"{self._group}: {app.crash_reason!r}") from app.crash_reason
            if app.should_stop:
                raise WorkerCrashedError(f"{self._group}: the worker stopped by itself")
            if (trouble := app.consumer.trouble) is not None:
                raise WorkerCrashedError(f"{self._group}: no member any more: {trouble}") from trouble
            try:
                async with asyncio.timeout(CRASH_CHECK_INTERVAL_S):
                    await self._stopping.wait()
            except TimeoutError:
                continue

    async def _deliver(self, stream: Any) -> None:
        events: AsyncIterator[Any] = stream.noack().events()
        async for event in events:
            message = event.message
            held = self._lanes.get(message.tp)
            if held is not None and not held[1].done():
                self._intake.took_in()
                held[0].deliver(message.value)

    async def _assigned(self, app: Any, /, *given: Any, **_: Any) -> None:
        assigned = set(given[0])
        self._log.consumer = app.consumer
        former, self._membership = self._membership, app.consumer.membership
        kept = assigned if self._membership.follows(former) else set()
        gone = [tp for tp, (_, task) in self._lanes.items() if tp not in kept or task.done()]
        await self._cancel(gone)
        for tp in gone:
            self._intake.safe_offsets.pop(tp, None)
        for tp in sorted(assigned):
            if self._stopping.is_set():
                return
            if tp in self._lanes:
                lane = self._lanes[tp][0]
                lane.go_on()
                log.info("partition_kept", topic=tp.topic, partition=tp.partition, offset=lane.position)
            else:
                self._begin(tp)

    def _misplace(self) -> None:
        for lane, _ in self._lanes.values():
            lane.misplace()

    def _begin(self, tp: TP) -> None:
        handler = self._handlers[tp.topic](tp.partition)
        lane = Lane(tp, handler, self._log, self._checkpoint_seconds, self._intake.let_go, self._is_safe)
        task = asyncio.create_task(lane.run(), name=f"{tp.topic}[{tp.partition}]")
        task.add_done_callback(self._lane_ended)
        self._lanes[tp] = lane, task

    async def _revoked(self, app: Any, /, *given: Any, **_: Any) -> None:
        """What becomes of the lanes is known when the partitions are given out again; they are saved for either."""
        revoked = set(given[0])
        lanes = [lane for tp, (lane, _) in self._lanes.items() if tp in revoked]
        resting = {asyncio.create_task(lane.rest(), name=f"{lane.tp.topic}[{lane.tp.partition}]") for lane in lanes}
        await self._wait_for_hand_over(resting)
        for task in resting:
            task.cancel()
        if self._intake.safe_offsets:
            await app.consumer.commit()
        for tp in revoked:
            self._intake.safe_offsets.pop(tp, None)

    async def _wait_for_hand_over(self, tasks: set[asyncio.Task[None]]) -> None:
        if tasks:
            _, late = await asyncio.wait(tasks, timeout=HAND_OVER_TIMEOUT_S)
            if late:
                log.warning("hand_over_too_slow", partitions=sorted(task.get_name() for task in late))

    async def _release(self, tps: Iterable[TP]) -> None:
        """Let lanes end with a checkpoint, as long as there is time; then end them without."""
        tasks = set()
        for tp in tps:
            if tp in self._lanes:
                lane, task = self._lanes[tp]
                lane.finish()
                if lane.position < 0:
                    task.cancel()  # still restoring: there is nothing to save
                tasks.add(task)
        await self._wait_for_hand_over(tasks)
        await self._cancel(tps)

    async def _cancel(self, tps: Iterable[TP]) -> None:
        tasks = [self._lanes.pop(tp)[1] for tp in tps if tp in self._lanes]
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)

    def _lane_ended(self, task: asyncio.Task[None]) -> None:
        if not task.cancelled() and task.exception() is not None and self._failure is None:
            self._failure = task.exception()
            log.error("handler_failed", partition=task.get_name(), error=repr(self._failure))

    def _is_safe(self, tp: TP, offset: int) -> None:
        self._intake.safe_offsets[tp] = offset
