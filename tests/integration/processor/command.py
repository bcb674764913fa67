"""The `urban` command against the city of a test, as a process of its own."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from pathlib import Path
from typing import Any, NamedTuple

from tests.integration.processor.city import REPOSITORY, WAIT_S, City


class Answer(NamedTuple):
    """What a command printed, and how it ended."""

    status: int
    output: str
    errors: str

    @property
    def document(self) -> Any:
        return json.loads(self.output)


async def urban(city: City, *arguments: str, services: dict[str, str] | None = None, wait_s: float = WAIT_S) -> Answer:
    """Run `urban` with these arguments; `services`: addresses by name."""
    env = {
        **os.environ,
        "URBAN_ROOT": str(city.folder),
        "URBAN_KAFKA": city.kafka,
        "URBAN_CLICKHOUSE": city.clickhouse_url,
        "URBAN_SERVICES": json.dumps(services or {}),
    }
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "services.cli.main",
        *arguments,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env=env,
        cwd=REPOSITORY,
    )
    async with asyncio.timeout(wait_s):
        output, errors = await process.communicate()
    return Answer(process.returncode or 0, output.decode(), errors.decode())


async def until_ready(city: City, file: Path) -> dict[str, int]:
    """The ports of a service that was started with URBAN_READY_FILE."""

    def told() -> str:
        return file.read_text() if file.is_file() else ""

    async def is_ready() -> bool:
        return bool(await asyncio.to_thread(told))

    await city.until(is_ready, f"{file.name} of a service")
    ports: dict[str, int] = json.loads(await asyncio.to_thread(told))
    return ports
