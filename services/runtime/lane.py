"""One assigned partition: restores its handler, finds its place in the log, and feeds it without gap or repetition."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Coroutine, Sequence
from typing import Any, Protocol, runtime_checkable

import structlog
from aiokafka.errors import IllegalStateError
from aiokafka.structs import ConsumerRecord

from services.runtime.faust_driver import TP, Fetched

log = structlog.get_logger(__name__)


class PartitionHandler(Protocol):
    """What is done with the records of one partition. Its methods are never called at the same time (see `GoesOn`)."""

    async def restore(self) -> int | None:
        """Load the newest checkpoint. Returns the next offset to read; None: from the beginning of the log."""

    async def handle(self, records: Sequence[ConsumerRecord]) -> None:
        """Take one fetch, in the order of the log. What it raises ends the worker."""

    async def checkpoint(self) -> int:
        """Flush and persist. Returns the offset that is now safe to commit."""

    def close(self) -> None:
        """Forget the partition: it was taken away, or the worker ends. Not preceded by a checkpoint after an error."""


@runtime_checkable
class GoesOn(Protocol):
    """A handler that takes further fetches while its checkpoint is written."""

    @property
    def goes_on(self) -> bool:
        """Whether it does so now."""

    def begin_checkpoint(self) -> Coroutine[Any, Any, int]:
        """Take the state as it is; what is returned flushes, persists, and gives the offset that is safe to commit.

        Not called again before that has ended.
        """
        ...


class Log(Protocol):
    """What a lane must know and want of the log."""

    async def seek_exactly(self, tp: TP, offset: int) -> int:
        """Go on at `offset`; the number of seeks of the partition so far. IllegalStateError: it is not ours now."""
        ...

    async def log_range(self, tp: TP) -> tuple[int, int]:
        """First offset that the log still holds, and the one that its next record will get."""
        ...

    def log_end(self, tp: TP) -> int | None:
        """The offset that the log's next record will get, as the last fetch told; None before the first."""
        ...


class LogLostError(RuntimeError):
    """The log no longer holds what comes next: retention has passed the reader, or the topic was made anew."""


class Lane:
    """Runs one handler; `run` ends after `finish`, with a last checkpoint, and raises what the handler raises."""

    def __init__(
        self,
        tp: TP,
        handler: PartitionHandler,
        kafka_log: Log,
        checkpoint_seconds: float,
        let_go: Callable[[], None],
        safe: Callable[[TP, int], None],
    ) -> None:
        self.tp = tp
        self.handler = handler
        self.position = -1  # the next offset to handle; -1: not yet restored
        self._log = kafka_log
        self._checkpoint_seconds = checkpoint_seconds
        self._let_go = let_go
        self._safe = safe
        self._fetches: deque[Fetched] = deque()
        self._wake = asyncio.Event()
        self._finishing = False
        self._checkpoint_due = False
        self._timer: asyncio.TimerHandle | None = None  # set while something was handled since the last checkpoint
        self._saving: asyncio.Task[None] | None = None  # a checkpoint that is written while fetches are taken
        self._seeks = 0
        self._misplaced = True  # reading must be told where to go on
        self._pausing = False
        self._at_rest = asyncio.Event()

    def deliver(self, fetched: Fetched) -> None:
        """Queue one fetch."""
        if self._pausing:
            self._let_go()
        else:
            self._fetches.append(fetched)
            self._wake.set()

    async def rest(self) -> None:
        """Handle no further fetch; returns when what was handled is in a checkpoint. The state is kept."""
        self._pausing = True
        if self.position >= 0:
            self._wake.set()
            await self._at_rest.wait()

    def go_on(self) -> None:
        """After `rest`: the partition is still ours, and nobody else has had it."""
        self._pausing, self._misplaced = False, True
        self._at_rest.clear()
        self._wake.set()

    def misplace(self) -> None:
        """Reading goes on elsewhere: it has to be told its place again."""
        self._misplaced = True
        self._wake.set()

    def finish(self) -> None:
        """Ask for the end: no further fetch is begun."""
        self._finishing = True
        self._wake.set()

    @property
    def lag(self) -> int:
        """Records of the log that were not handled yet, as far as the last fetch told."""
        end = self._log.log_end(self.tp)
        return max(0, end - self.position) if end is not None and self.position >= 0 else 0

    async def run(self) -> None:
        """Restore, then handle and checkpoint until `finish`."""
        try:
            await self._restore()
            while not self._finishing:
                if self._pausing:
                    await self._pause()
                elif self._misplaced:
                    self._misplaced = False
                    self._seeks = await self._log.seek_exactly(self.tp, self.position)
                elif self._fetches:
                    fetched = self._fetches.popleft()
                    try:
                        await self._take(fetched)
                    finally:
                        self._let_go()
                else:
                    self._wake.clear()
                    if not self._checkpoint_due:
                        await self._wake.wait()
                if self._saving is not None and self._saving.done():
                    await self._saved()
                if self._checkpoint_due:
                    await self._begin_checkpoint()
            await self._checkpoint()
            log.info("partition_released", topic=self.tp.topic, partition=self.tp.partition, offset=self.position)
        except IllegalStateError:
            # Not ours any more: the revocation is under way, and who has it now reads on from the checkpoint.
            log.info("partition_gone", topic=self.tp.topic, partition=self.tp.partition)
        finally:
            if self._timer is not None:
                self._timer.cancel()
            if self._saving is not None:
                self._saving.cancel()
            self._drop_fetches()
            self._at_rest.set()
            self.handler.close()

    async def _restore(self) -> None:
        restored = await self.handler.restore()
        first, end = await self._log.log_range(self.tp)
        if restored is not None and not first <= restored <= end:
            raise LogLostError(
                f"{self.tp.topic}[{self.tp.partition}]: the checkpoint says offset {restored}, "
                f"but the log holds {first} to {end}"
            )
        self.position = first if restored is None else restored
        log.info("partition_restored", topic=self.tp.topic, partition=self.tp.partition, offset=self.position)

    async def _pause(self) -> None:
        await self._checkpoint()
        self._drop_fetches()
        self._at_rest.set()
        while self._pausing and not self._finishing:
            self._wake.clear()
            await self._wake.wait()

    def _drop_fetches(self) -> None:
        while self._fetches:
            self._fetches.popleft()
            self._let_go()

    async def _take(self, fetched: Fetched) -> None:
        if fetched.seeks < self._seeks:
            return
        if fetched.start is None or fetched.start > self.position:
            # Faust drops what it holds when a rebalance begins, and goes to the committed offset after one.
            self._misplaced = True
            return
        records = fetched.records.since(self.position)
        if fetched.records.offset[0] > max(fetched.start, self.position):
            await self._check_begin()
        if records:
            await self.handler.handle(records)
            self._begin_countdown()
        elif (end := self._log.log_end(self.tp)) is not None and end < self.position:
            raise LogLostError(
                f"{self.tp.topic}[{self.tp.partition}]: handled up to offset {self.position}, the log ends at {end}"
            )
        self.position = max(self.position, fetched.end)

    async def _check_begin(self) -> None:
        """Offsets are missing: markers of transactions, or retention has overtaken us."""
        first, _ = await self._log.log_range(self.tp)
        if first > self.position:
            raise LogLostError(
                f"{self.tp.topic}[{self.tp.partition}]: handled up to offset {self.position}, the log begins at {first}"
            )

    def _begin_countdown(self) -> None:
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(self._checkpoint_seconds, self._time_for_checkpoint)

    def _time_for_checkpoint(self) -> None:
        self._checkpoint_due = True
        self._wake.set()

    async def _begin_checkpoint(self) -> None:
        """One that is written behind, if the handler can do that."""
        handler = self.handler
        if not isinstance(handler, GoesOn) or not handler.goes_on:
            await self._checkpoint()
            return
        await self._saved()
        self._stop_countdown()
        self._saving = asyncio.create_task(self._save(handler.begin_checkpoint()))
        self._saving.add_done_callback(lambda _: self._wake.set())

    async def _checkpoint(self) -> None:
        """Returns when all that was handled is in a checkpoint."""
        await self._saved()
        if self._timer is not None:
            self._stop_countdown()
            await self._save(self.handler.checkpoint())

    async def _saved(self) -> None:
        """Returns when no checkpoint is being written; raises what ended it."""
        if self._saving is not None:
            await self._saving
            self._saving = None

    async def _save(self, checkpoint: Coroutine[Any, Any, int]) -> None:
        self._safe(self.tp, await checkpoint)

    def _stop_countdown(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer, self._checkpoint_due = None, False
