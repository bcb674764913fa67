"""The virtual environments of the Python peers, and how a job is started in one."""

from __future__ import annotations

import importlib.metadata
import sys
from collections.abc import Sequence
from pathlib import Path

from tests.benchmarks.job.contract import contract
from tests.benchmarks.peers.engine import RESULT_TABLE, RESULT_TOPIC, Command, Run, Sink

REPOSITORY = Path(__file__).resolve().parents[3]
ENVIRONMENTS = REPOSITORY / "build" / "peers"
JOBS = "tests.benchmarks.peers.jobs"
CHECKPOINT_S = 5


def version_of(name: str, package: str) -> str:
    """Of a package in an environment; says so where it is not installed."""
    found = importlib.metadata.distributions(
        name=package, path=[str(p) for p in _folder(name).glob("lib/python*/site-packages")]
    )
    return next((d.version for d in found), "not installed")


def check(run: Run, name: str) -> None:
    """Before a run: its environment is there, and the contract is generated. Raises `RuntimeError`."""
    if not _python(name).exists():
        raise RuntimeError(f"{run.engine}: no virtual environment {_folder(name)}; `make bench-peers` makes it")
    contract()


def job(run: Run, name: str, module: str, *more: str, processes: int = 1) -> Command:
    """A module of `jobs`, in the environment `name`."""
    target = f"{JOBS}.{module}"
    start: Sequence[str] = ("-m", target) if processes == 1 else ("-m", f"{JOBS}.several", str(processes), target)
    results = RESULT_TOPIC if run.sink is Sink.KAFKA else RESULT_TABLE
    arguments = {
        "kafka": run.kafka,
        "clickhouse": run.clickhouse,
        "topic": run.topic,
        "encoding": str(run.encoding),
        "sink": str(run.sink),
        "results": results,
        "group": run.group,
        "folder": str(run.folder),
        "checkpoint-s": str(CHECKPOINT_S),
    }
    flags = [part for key, value in arguments.items() for part in (f"--{key}", value)]
    return Command((str(_python(name)), *start, *flags, *more), {"PYTHONUNBUFFERED": "1"})


def _folder(name: str) -> Path:
    return ENVIRONMENTS / name


def _python(name: str) -> Path:
    return _folder(name) / "bin" / Path(sys.executable).name
