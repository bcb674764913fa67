"""The real processor role on the job: `python -m tests.benchmarks.job.processor`, set by URBAN_* like a service."""

from __future__ import annotations

import asyncio
import signal

import uvloop

from services.runtime.garbage import look_seldom
from services.runtime.kafka_connection import mend_connections
from services.runtime.logs import configure_logs
from services.runtime.role import end
from services.runtime.roles import ProcessorRole
from services.runtime.settings import Settings
from tests.benchmarks.job.contract import contract
from tests.benchmarks.job.domain import BENCHMARK


async def work(settings: Settings) -> None:
    """Until SIGTERM; raises what ends the role before."""
    asked = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, asked.set)
    role = ProcessorRole(BENCHMARK, settings)
    await role.start()
    waiting, working = asyncio.create_task(asked.wait()), asyncio.create_task(role.wait())
    try:
        await asyncio.wait([waiting, working], return_when=asyncio.FIRST_COMPLETED)
        if working.done():
            working.result()
    finally:
        await end(waiting, working)
        await role.stop()


def main() -> None:
    """What a service process does, without its servers for health and metrics."""
    settings = Settings()  # type: ignore[call-arg]  # every field has a default
    configure_logs(settings.log_format, settings.log_level, service=BENCHMARK.name, instance=settings.instance)
    contract()
    mend_connections()
    look_seldom()
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(work(settings))


if __name__ == "__main__":
    main()
