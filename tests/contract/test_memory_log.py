"""The log in memory keeps the contract of logs."""

from __future__ import annotations

import pytest

from services.runtime.fakes import MemoryLog
from services.runtime.log import LogError
from tests.contract.log_contract import PARTITIONS, Log, LogContract


@pytest.fixture
async def log() -> Log:
    memory = MemoryLog({"t": PARTITIONS})
    return Log(memory, memory.reader, "t")


class TestMemoryLog(LogContract):
    async def test_an_unknown_topic_is_an_error(self, log: Log):
        with pytest.raises(LogError, match="no topic other"):
            await log.writer.send("other", b"x", partition=0)
