"""A listener outlives whatever its neighbour's Kafka does, and hears all of it when that is back."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

import pytest

from services.correlation import neighbour_listener
from services.correlation.neighbour_listener import Listener
from services.runtime.catalogue import EXCHANGE
from services.runtime.fakes import MemoryLog, MemoryReader
from services.runtime.log import FROM_BEGINNING, LogError, LogRecord

PATIENCE_S = 10.0


class Failing(MemoryReader):
    """Reads until the neighbour's Kafka is away; then aiokafka's ways: silence, errors, and a cancelled task inside."""

    def __init__(self, log: MemoryLog, faults: list[str]) -> None:
        super().__init__(log, EXCHANGE)
        self._faults = faults

    def _meet(self, fault: str) -> bool:
        if self._faults[:1] == [fault]:
            self._faults.pop(0)
            return True
        return False

    async def start(self, positions: Mapping[int, int] | int, *, pass_over_gone: bool = False) -> None:
        assert positions == FROM_BEGINNING
        if self._meet("nobody answers"):
            raise LogError("nobody answers")
        await super().start(positions)

    async def end_offsets(self) -> dict[int, int]:
        if self._meet("silence"):
            await asyncio.Event().wait()
        if self._meet("made anew"):
            return {0: -1}
        return await super().end_offsets()

    async def stop(self) -> None:
        if self._meet("cancelled inside"):
            raise asyncio.CancelledError
        await super().stop()


@pytest.mark.parametrize(
    "faults",
    [
        ["nobody answers"] * 3,
        ["silence"],
        ["silence", "cancelled inside", "nobody answers", "cancelled inside"],
        ["made anew"],
    ],
    ids=", ".join,
)
async def test_it_hears_all_from_the_beginning_whenever_the_neighbour_is_back(monkeypatch, faults: list[str]):
    monkeypatch.setattr(neighbour_listener, "FIRST_PAUSE_S", 0.001)
    monkeypatch.setattr(neighbour_listener, "ANSWER_S", 0.05)
    monkeypatch.setattr(neighbour_listener, "READ_S", 0.01)
    log, left, heard = MemoryLog({EXCHANGE: 1}), list(faults), asyncio.Queue[bytes | None]()
    await log.send(EXCHANGE, b"first", partition=0)

    async def take(neighbour: str, record: LogRecord) -> None:
        assert neighbour == "eastbank"
        heard.put_nowait(record.value)

    running = asyncio.create_task(Listener("eastbank", lambda: Failing(log, left), take).run())
    try:
        async with asyncio.timeout(PATIENCE_S):
            assert await heard.get() == b"first"
            await log.send(EXCHANGE, b"second", partition=0)
            while await heard.get() != b"second":
                continue
        assert left == []
        assert not running.done()
    finally:
        running.cancel()
        await asyncio.wait([running])
    assert running.cancelled()


async def test_what_cannot_be_taken_ends_it_loudly():
    log = MemoryLog({EXCHANGE: 1})
    await log.send(EXCHANGE, b"first", partition=0)

    async def take(neighbour: str, record: LogRecord) -> None:
        raise ValueError("a fault of ours")

    with pytest.raises(ValueError, match="a fault of ours"):
        async with asyncio.timeout(PATIENCE_S):
            await Listener("eastbank", lambda: log.reader(EXCHANGE), take).run()
