"""Stock faust-streaming with a hopping table: wrong by construction on event time, which the README shows."""

from __future__ import annotations

from functools import partial

from tests.benchmarks.peers.engine import Command, Engine, Run, Sink
from tests.benchmarks.peers.environment import CHECKPOINT_S, check, job, version_of

ENVIRONMENT = "faust"


def _command(run: Run) -> Command:
    return job(run, ENVIRONMENT, "faust_stock")


ENGINES = (
    Engine(
        name="faust",
        version=partial(version_of, ENVIRONMENT, "faust-streaming"),
        command=_command,
        sinks=(Sink.KAFKA,),
        settings={"workers": 1, "store": "memory", "loop": "uvloop", "commit_interval_seconds": CHECKPOINT_S},
        remarks="its windows expire by the clock of the machine, not by event time, and of each window it tells one"
        " partition only: there is no setting with which it gives final results of this job",
        prepare=partial(check, name=ENVIRONMENT),
        observations=300_000,
    ),
)
