"""Bytewax: sliding windows, one process with one worker."""

from __future__ import annotations

from functools import partial

from tests.benchmarks.peers.engine import Command, Engine, Run, Sink
from tests.benchmarks.peers.environment import CHECKPOINT_S, check, job, version_of

ENVIRONMENT = "bytewax"
WORKERS = 1


def _command(run: Run, more: tuple[str, ...] = ()) -> Command:
    return job(run, ENVIRONMENT, "bytewax", "--workers", str(WORKERS), *more)


ENGINES = (
    Engine(
        name="bytewax",
        version=partial(version_of, ENVIRONMENT, "bytewax"),
        command=partial(_command, more=("--durable",)),
        sinks=(Sink.CLICKHOUSE, Sink.KAFKA),
        settings={"workers": WORKERS, "epoch_interval_seconds": CHECKPOINT_S, "recovery": True},
        prepare=partial(check, name=ENVIRONMENT),
    ),
    Engine(
        name="bytewax-no-recovery",
        version=partial(version_of, ENVIRONMENT, "bytewax"),
        command=_command,
        sinks=(Sink.KAFKA,),
        settings={"workers": WORKERS, "epoch_interval_seconds": CHECKPOINT_S, "recovery": False},
        prepare=partial(check, name=ENVIRONMENT),
    ),
)
