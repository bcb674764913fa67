"""Cities that go their course, each from a seed, some at once; what is kept of one is not run again.

Apart from the command: a process that is spawned finds nothing that stands in a package's __main__.
"""

from __future__ import annotations

import multiprocessing
import platform
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from services.core.kind import DAY_MS, HOUR_MS
from services.correlation.rules import load_rules
from services.feeds.scenario.city import City, build_city
from services.feeds.scenario.script import Script, write_script
from tests.benchmarks.quality.course import Heard, hear, judge
from tests.benchmarks.quality.kept import digest_of, programs, read_figures, read_heard, write_figures, write_heard
from tests.benchmarks.quality.scores import Scores

# 2026-06-01T00:00Z, a Monday.
FROM_MS = 1_780_272_000_000


@dataclass(frozen=True)
class Job:
    """One seed to run."""

    seed: int
    blocks: int
    hours: int
    quiet_hours: int
    density: float
    only: tuple[str, ...]
    rules: Path
    unusual: bool
    keep: Path | None = None  # folder of what is kept of each city

    @property
    def quiet_ms(self) -> int:
        return self.quiet_hours * HOUR_MS

    def made_of(self, *, detectors_only: bool = False) -> dict[str, Any]:
        """What its figures follow from; or what its detectors' signals do."""
        facts = {**asdict(self), "python": platform.python_version(), "numpy": np.__version__}
        del facts["keep"], facts["rules"]
        facts["programs"] = programs(detectors_only=detectors_only)
        return facts if detectors_only else {**facts, "rules": digest_of(self.rules, self.rules.glob("*.yaml"))}


@dataclass(frozen=True)
class Done:
    """What came of a job."""

    seed: int
    scores: Scores
    cpu_s: float
    again: bool = False  # nothing was run: it was there


def run(job: Job) -> Done:
    """A city's course, or of it what was kept."""
    began = time.process_time()
    made_of = job.made_of()  # before it runs: somebody may write at the programs meanwhile
    if (kept := _kept(job, made_of)) is not None:
        return kept
    city = build_city(job.seed, job.blocks)
    to_ms = FROM_MS + job.quiet_ms + job.hours * HOUR_MS
    script = write_script(city, FROM_MS, to_ms, quiet_ms=job.quiet_ms, density=job.density, only=job.only)
    rules = load_rules(job.rules)
    course = judge(city, script, _heard(job, city, script), rules, quiet_ms=job.quiet_ms)
    done = Done(job.seed, Scores.of(course, [rule.name for rule in rules]), time.process_time() - began)
    if job.keep is not None:
        figures = {"cpu_s": done.cpu_s, "scores": done.scores.plain()}
        write_figures(_figures_path(job.keep, job.seed), made_of, figures)
    return done


def _figures_path(keep: Path, seed: int) -> Path:
    return keep / f"seed-{seed}.json"


def _kept(job: Job, made_of: Mapping[str, Any]) -> Done | None:
    if job.keep is None:
        return None
    figures = read_figures(_figures_path(job.keep, job.seed), made_of)
    if figures is None:
        return None
    return Done(job.seed, Scores.restored(figures["scores"]), figures["cpu_s"], again=True)


def _heard(job: Job, city: City, script: Script) -> Heard:
    """What its detectors tell: read where it was kept, for rules are changed more often than detectors."""
    path = None if job.keep is None else job.keep / f"seed-{job.seed}.heard.gz"
    made_of = job.made_of(detectors_only=True)
    if path is not None and (heard := read_heard(path, made_of)) is not None:
        return heard
    began = time.monotonic()

    def say(day: int) -> None:
        of = (script.to_ms - script.from_ms) / DAY_MS
        print(f"seed {job.seed}: day {day} of {of:g}, {time.monotonic() - began:,.0f} s", file=sys.stderr, flush=True)

    heard = hear(city, script, unusual=job.unusual, quiet_ms=job.quiet_ms, day_done=say)
    if path is not None:
        write_heard(path, made_of, heard)
    return heard


def run_all(jobs: Sequence[Job], at_once: int) -> Iterator[Done]:
    """Every job, as it is done."""
    if at_once == 1:
        yield from map(run, jobs)
        return
    # Never forked: a lock that another thread holds at that moment (gRPC and Polars have threads) stays locked in the
    # child for ever.
    with ProcessPoolExecutor(at_once, mp_context=multiprocessing.get_context("spawn")) as pool:
        yield from (future.result() for future in as_completed([pool.submit(run, job) for job in jobs]))
