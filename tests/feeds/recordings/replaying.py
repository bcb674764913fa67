"""`urban replay` as a process, as people start it, against an api of a test."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

URBAN = (sys.executable, "-c", "from services.cli.main import app; app()")


@dataclass(frozen=True)
class Answer:
    """How a command ended, and what it said."""

    status: int
    output: str
    errors: str

    @property
    def document(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.output)
        return found


class Urban:
    """A running `urban replay`."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self.process = process

    @classmethod
    async def start(cls, port: int, *arguments: str | Path) -> Urban:
        """`arguments`: of the command, the kinds first; the api of their domain is at `port`."""
        domain = str(arguments[0]).partition(".")[0]
        environment = {
            **os.environ,
            "URBAN_KAFKA": "127.0.0.1:1",
            "URBAN_CLICKHOUSE": "http://127.0.0.1:1",
            "URBAN_SERVICES": json.dumps({domain: f"127.0.0.1:{port}"}),
        }
        argv = (*URBAN, "replay", *map(str, arguments))
        pipe = asyncio.subprocess.PIPE
        return cls(await asyncio.create_subprocess_exec(*argv, env=environment, stdout=pipe, stderr=pipe))

    async def end(self) -> Answer:
        output, errors = await self.process.communicate()
        return Answer(self.process.returncode or 0, output.decode(), errors.decode())


async def urban(port: int, *arguments: str | Path) -> Answer:
    return await (await Urban.start(port, *arguments)).end()


def moment_ms(text: str) -> int:
    return round(datetime.fromisoformat(text).timestamp() * 1000)
