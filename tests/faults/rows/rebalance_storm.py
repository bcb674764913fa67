"""Workers that join and leave every two seconds, gracefully and by kill -9, while observations come in."""

from __future__ import annotations

import asyncio
import signal

from deploy.local.process import Child
from services.runtime.faust_host import REBALANCE_TIMEOUT_S
from tests.faults.matrix import PROCESS
from tests.faults.results import end_and_compare, watching
from tests.faults.row import Outcome, Row, Trial
from tests.integration.processor.city import City, flows, frames_by_minute

SEGMENTS = 30
MINUTES_A_FAULT = 10
PERIOD_S = 2.0
SESSION_TIMEOUT_S = 6.0  # of the city's processors
MOST_WORKERS = 3
LONGEST_STOP_S = 60.0


async def run(trial: Trial) -> Outcome:
    rows = flows(MINUTES_A_FAULT * (trial.faults + 1), SEGMENTS, trial.seed)
    frames = frames_by_minute(rows)
    outcome = Outcome()
    async with trial.world.city() as city:
        await city.prepare()
        storm = _Storm(trial, city)
        sent = len(frames) // (trial.faults + 1)
        await city.send(frames[:sent])
        await city.until_handled()
        async with watching(city.ledger) as progress:
            for fault in range(trial.faults):
                outcome.faults[storm.blow()] += 1
                share = len(frames) * (fault + 2) // (trial.faults + 1)
                await city.send(frames[sent:share])
                sent = share
                await asyncio.sleep(PERIOD_S)
            outcome += await end_and_compare(city, rows)
            await storm.end()
    outcome.longest_pause_s = progress.longest_s
    assert progress.longest_s < longest_pause_s(outcome.faults["worker killed"]), outcome
    return outcome


def longest_pause_s(killed: int) -> float:
    """What a pause may last: each killed worker is missed after its session, a living one comes back in bounded time.

    At worst the kills add up, as one that was to lead the next generation is missed only when it does not; and a
    rebalance has to come to its end before the one that another worker wants.
    """
    return (killed + 1) * SESSION_TIMEOUT_S + 2 * REBALANCE_TIMEOUT_S


class _Storm:
    """One worker to begin with; each blow is a join or a leave, of whoever it hits: also of one that still joins."""

    def __init__(self, trial: Trial, city: City) -> None:
        self._chance, self._city = trial.chance, city
        self._workers = [city.start("processor")]
        self._asked: list[Child] = []

    def blow(self) -> str:
        if len(self._workers) == 1 or (len(self._workers) < MOST_WORKERS and self._chance.random() < 0.5):
            self._workers.append(self._city.start("processor"))
            return "worker joined"
        gone = self._workers.pop(self._chance.randrange(len(self._workers)))
        if self._chance.random() < 0.5:
            gone.kill()
            return "worker killed"
        gone.terminate()
        self._asked.append(gone)
        return "worker asked to leave"

    async def end(self) -> None:
        """Those that were asked have ended, and well; the others live."""
        for child in self._asked:
            status = await asyncio.to_thread(child.wait, LONGEST_STOP_S)
            # Python itself was still starting when it was asked.
            assert status == 0 or (status == -signal.SIGTERM and not child.tail()), f"{child.name}\n{child.tail()}"
        for child in self._workers:
            assert child.poll() is None, f"{child.name} has ended\n{child.tail()}"


ROWS = (Row("rebalance_storm", PROCESS, run, once=4, whole=30),)
