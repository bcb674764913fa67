"""The real roles on the job: `python -m tests.benchmarks.job.processor [archiver]`, set by URBAN_* like a service."""

from __future__ import annotations

import asyncio
import signal
import sys

import uvloop

from services.runtime import metrics
from services.runtime.logs import configure_logs
from services.runtime.role import end
from services.runtime.roles import ArchiverRole, ProcessorRole
from services.runtime.service import settle
from services.runtime.settings import Settings
from tests.benchmarks.job.contract import contract
from tests.benchmarks.job.domain import BENCHMARK

ROLES: dict[str, type[ProcessorRole] | type[ArchiverRole]] = {"processor": ProcessorRole, "archiver": ArchiverRole}


async def work(role: ProcessorRole | ArchiverRole) -> None:
    """Until SIGTERM; raises what ends the role before."""
    asked = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, asked.set)
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
    """What a service process does, without its server for health; metrics where a port is given."""
    settings = Settings()  # type: ignore[call-arg]  # every field has a default
    configure_logs(settings.log_format, settings.log_level, service=BENCHMARK.name, instance=settings.instance)
    contract()
    settle()
    role = ROLES[sys.argv[1] if len(sys.argv) > 1 else "processor"](BENCHMARK, settings)
    if settings.metrics_port:
        metrics.serve(settings.metrics_host, settings.metrics_port)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(work(role))


if __name__ == "__main__":
    main()
