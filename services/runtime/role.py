"""What a role of a service process is, and how its tasks end."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import Any, Protocol


class Role(Protocol):
    """One part of a service process."""

    async def start(self) -> None:
        """Returns when it is ready to do its work."""

    async def wait(self) -> None:
        """Returns or raises when it has ended by itself, which it should not."""

    async def stop(self) -> None:
        """Finishes what is under way, and returns when all is safe."""


async def wait_for_first(tasks: Iterable[asyncio.Task[Any]]) -> None:
    """Until one of the tasks ends; raises what it raised."""
    done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    for task in done:
        task.result()


async def end(*tasks: asyncio.Task[Any]) -> None:
    """Cancel tasks and wait for them. What they raised before was told by `wait`."""
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
