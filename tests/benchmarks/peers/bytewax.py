"""Bytewax: sliding windows, one process with one worker."""

from __future__ import annotations

from functools import partial

from tests.benchmarks.peers.engine import Command, Engine, Run, Sink
from tests.benchmarks.peers.environment import CHECKPOINT_S, check, job, version_of

ENVIRONMENT = "bytewax"
WORKERS = 1
NEVER_S = 3600
_SETTINGS = {"workers": WORKERS, "windows": "SlidingWindower, fold_window, ordered=False", "input": "tail=False"}


def _command(run: Run, more: tuple[str, ...] = ()) -> Command:
    return job(run, ENVIRONMENT, "bytewax", "--workers", str(WORKERS), *more)


ENGINES = (
    Engine(
        name="bytewax",
        version=partial(version_of, ENVIRONMENT, "bytewax"),
        command=partial(_command, more=("--durable",)),
        sinks=(Sink.CLICKHOUSE, Sink.KAFKA),
        settings={**_SETTINGS, "epoch_interval_seconds": CHECKPOINT_S, "recovery": "SQLite, one partition"},
        remarks="event time of the input alone; copies every touched key's state at each checkpoint",
        observations=300_000,  # with a million it did not end within four minutes
        prepare=partial(check, name=ENVIRONMENT),
    ),
    Engine(
        name="bytewax-no-recovery",
        version=partial(version_of, ENVIRONMENT, "bytewax"),
        command=partial(_command, more=("--checkpoint-s", str(NEVER_S))),
        sinks=(Sink.KAFKA,),
        settings={**_SETTINGS, "epoch_interval_seconds": NEVER_S, "recovery": False},
        remarks="no checkpoint at all: loses everything with its process, which no other engine here may",
        observations=4_000_000,
        prepare=partial(check, name=ENVIRONMENT),
    ),
)
