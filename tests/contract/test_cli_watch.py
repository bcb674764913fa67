"""`urban watch` as a process: it may be held up, and misses nothing for it."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from structlog.testing import capture_logs

from services.runtime.fakes import MemoryLog
from services.traffic.domain import TRAFFIC
from tests.contract.calls import PATIENCE_SECONDS, memory_log, serving
from tests.contract.streams import EARLY, WINDOWS, until_cut_off, window_frame, write

URBAN = (sys.executable, "-c", "from services.cli.main import app; app()")
# More than gRPC and the kernel hold for a client that does not read.
FRAMES, ROWS = 80, 1000


@asynccontextmanager
async def watching(port: int) -> AsyncIterator[asyncio.subprocess.Process]:
    """`urban watch windows --early`, ended after the block."""
    environment = {
        **os.environ,
        "URBAN_KAFKA": "127.0.0.1:1",
        "URBAN_CLICKHOUSE": "http://127.0.0.1:1",
        "URBAN_SERVICES": json.dumps({"traffic": f"127.0.0.1:{port}"}),
    }
    argv = (*URBAN, "watch", "windows", "--early", "--domain", "traffic", "--city", "auckland")
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(*argv, env=environment, stdout=pipe, stderr=pipe)
    try:
        yield process
    finally:
        process.kill()
        await process.wait()


async def first_line(log: MemoryLog, output: asyncio.StreamReader) -> str:
    """An early window, told again until somebody watches."""
    line = asyncio.create_task(output.readline())
    async with asyncio.timeout(PATIENCE_SECONDS):
        while not (await asyncio.wait((line,), timeout=0.2))[0]:
            await write(log, EARLY, window_frame(["early"], early=True))
    return (await line).decode()


async def test_who_was_stopped_goes_on_where_it_was_cut_off():
    log = memory_log(TRAFFIC)
    async with serving(TRAFFIC, log, subscriber_patience_seconds=0.5) as client, watching(client.port) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        assert "road_flow/1m early revision 3 so far speed_kmh_mean=50" in await first_line(log, process.stdout)
        process.send_signal(signal.SIGSTOP)
        with capture_logs() as logged:
            for number in range(FRAMES):
                await write(log, WINDOWS, window_frame([f"{number}-{row}" for row in range(ROWS)]))
            await until_cut_off(logged)
        process.send_signal(signal.SIGCONT)
        found: list[str] = []
        async with asyncio.timeout(PATIENCE_SECONDS):
            while len(found) < FRAMES * ROWS:
                words = (await process.stdout.readline()).decode().split()
                found += [words[words.index("revision") - 1]] if "far" not in words else []
            assert (
                "traffic was not listened to, going on where it stopped" in (await process.stderr.readline()).decode()
            )
        assert found == [f"{number}-{row}" for number in range(FRAMES) for row in range(ROWS)]
