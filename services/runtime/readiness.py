"""Whether a process can do its work now: that follows what it needs, with some patience; that it lives does not.

An orchestrator sends no work to a process that is not ready, and ends one that does not live. A process here outlives
every absence of Kafka and ClickHouse, so that ending it would help nobody.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable, Mapping

import structlog
from aiokafka.conn import create_conn
from aiokafka.errors import KafkaError

from services.runtime import metrics
from services.runtime.kafka_security import client_security

log = structlog.get_logger(__name__)

PROBE_INTERVAL_S = 1.0
# A server that is paused takes connections and does not answer.
PROBE_TIMEOUT_S = 2.0
# In a row: one lost answer takes no process out of service, and one that came does not bring it back.
FAILURES_TO_LEAVE = 3
SUCCESSES_TO_RETURN = 2

# Returns where what is needed answers; raises what is wrong.
Probe = Callable[[], Awaitable[None]]


class Steady:
    """An answer that is yes at first, and turns only after some different ones in a row."""

    def __init__(self) -> None:
        self.holds = True
        self._against = 0

    def take(self, answer: bool) -> bool:
        """The answer after this one."""
        self._against = self._against + 1 if answer != self.holds else 0
        if self._against >= (FAILURES_TO_LEAVE if self.holds else SUCCESSES_TO_RETURN):
            self.holds, self._against = answer, 0
        return self.holds


class Readiness:
    """Asks each need again and again; `tell` is called with every change."""

    def __init__(self, needs: Mapping[str, Probe], tell: Callable[[bool], Awaitable[None]]) -> None:
        self._needs, self._tell = dict(needs), tell
        self._steady = {name: Steady() for name in self._needs}
        self._ready = True

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            await self.look()
            await asyncio.sleep(PROBE_INTERVAL_S)

    async def look(self) -> None:
        """Ask each need once."""
        await asyncio.gather(*(self._ask(name) for name in self._needs))
        ready = all(steady.holds for steady in self._steady.values())
        if ready != self._ready:
            self._ready = ready
            await self._tell(ready)

    async def _ask(self, name: str) -> None:
        error = ""
        try:
            async with asyncio.timeout(PROBE_TIMEOUT_S):
                await self._needs[name]()
        except TimeoutError:
            error = f"no answer within {PROBE_TIMEOUT_S:g} s"
        except (OSError, KafkaError) as failure:
            error = str(failure) or repr(failure)
        before = self._steady[name].holds
        holds = self._steady[name].take(not error)
        metrics.READY.labels(name).set(holds)
        if before and not holds:
            log.warning("not_ready", needs=name, error=error)
        elif holds and not before:
            log.info("ready_again", needs=name)


def kafka_probe(kafka: str) -> Probe:
    """Asks the bootstrap servers, host:port[,host:port], until one answers: by a connection that hides no failure."""
    servers = [server.rsplit(":", 1) for server in kafka.split(",")]

    async def probe() -> None:
        failure: Exception | None = None
        for host, port in random.sample(servers, len(servers)):
            try:
                # It asks for the versions that the broker knows: a connection alone would come up with a paused one.
                connection = await create_conn(
                    host,
                    int(port),
                    request_timeout_ms=int(PROBE_TIMEOUT_S * 1000 / len(servers)),
                    **client_security(),
                )
            except (OSError, KafkaError, TimeoutError) as error:
                failure = error
            else:
                connection.close()
                return
        raise failure or OSError("no bootstrap servers")

    return probe
