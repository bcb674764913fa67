"""Quix Streams: hopping windows in RocksDB, two processes in one consumer group."""

from __future__ import annotations

from functools import partial

from tests.benchmarks.peers.engine import Command, Engine, Run, Sink
from tests.benchmarks.peers.environment import CHECKPOINT_S, check, job, version_of

ENVIRONMENT = "quix"
PROCESSES = 2
OBSERVATIONS = 1_000_000  # about three minutes of CPU time


def _command(run: Run, more: tuple[str, ...] = ()) -> Command:
    return job(run, ENVIRONMENT, "quix", *more, processes=PROCESSES)


_SETTINGS = {
    "processes": PROCESSES,
    "commit_interval_seconds": CHECKPOINT_S,
    "state": "RocksDB, as it comes",
    "windows": "hopping, reduce(), final(closing_strategy=partition), grace 5 s",
}
_version = partial(version_of, ENVIRONMENT, "quixstreams")
_prepare = partial(check, name=ENVIRONMENT)

ENGINES = (
    Engine(
        name="quix",
        version=_version,
        command=_command,
        sinks=(Sink.CLICKHOUSE, Sink.KAFKA),
        settings={**_SETTINGS, "changelog": False},
        remarks="state lives on this machine's disk only; frames are re-keyed without a repartition topic",
        prepare=_prepare,
        observations=OBSERVATIONS,
    ),
    Engine(
        name="quix-changelog",
        version=_version,
        command=partial(_command, more=("--durable",)),
        sinks=(Sink.KAFKA,),
        settings={**_SETTINGS, "changelog": True},
        remarks="its default: state is in changelog topics too; frames are re-keyed without a repartition topic",
        prepare=_prepare,
        observations=OBSERVATIONS,
    ),
)
