"""How good the rules and the detectors are on seeds that nobody has seen: `make quality`, or with ARGS="--seeds 20".

Prints a table and, with --json, writes all figures. Each seed is a city of its own that goes its course in this
process: no server is needed, as all that judges is pure.
"""

from __future__ import annotations

import argparse
import json
import platform
import sys
import time
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from services.core.correlation.rule import Rule
from services.core.kind import HOUR_MS
from services.correlation.rules import FOLDER, load_rules
from services.feeds.scenario.city import WHOLE_BLOCKS, build_city
from services.feeds.scenario.script import INCIDENTS, write_script
from tests.benchmarks.quality.course import Course, go
from tests.benchmarks.quality.report import table_of
from tests.benchmarks.quality.scores import Scores

# 2026-06-01T00:00Z, a Monday.
FROM_MS = 1_780_272_000_000
# Seeds of tests and of those who write rules are small.
FIRST_SEED = 1_000


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


def run(job: Job) -> Course:
    """A city's course."""
    city = build_city(job.seed, job.blocks)
    quiet_ms, to_ms = job.quiet_hours * HOUR_MS, FROM_MS + (job.quiet_hours + job.hours) * HOUR_MS
    script = write_script(city, FROM_MS, to_ms, quiet_ms=quiet_ms, density=job.density, only=job.only)
    return go(city, script, load_rules(job.rules), unusual=job.unusual)


def read_arguments(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """What is asked for."""
    parser = argparse.ArgumentParser(prog="make quality ARGS=", description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=20, help="how many cities (%(default)d)")
    parser.add_argument("--first-seed", type=int, default=FIRST_SEED, help="the seed of the first one (%(default)d)")
    parser.add_argument("--days", type=float, default=7.0, help="of each in which something happens (%(default)g)")
    parser.add_argument(
        "--quiet-days", type=float, default=3.0, help="before them, for detectors to learn (%(default)g)"
    )
    parser.add_argument("--density", type=float, default=1.0, help="times two incidents of each rule a week")
    parser.add_argument("--only", action="append", default=[], choices=[*INCIDENTS], help="incidents of this rule only")
    parser.add_argument("--blocks", type=int, default=WHOLE_BLOCKS, help="size of the city (%(default)d: 8 km a side)")
    parser.add_argument("--rules", type=Path, default=FOLDER, help="folder of the rules")
    parser.add_argument("--without-unusual", action="store_true", help="leave out the detectors of the unusual")
    parser.add_argument("--jobs", type=int, default=1, help="seeds at once (%(default)d)")
    parser.add_argument("--json", type=Path, help="write all figures into this file")
    given = parser.parse_args(arguments)
    for name in ("seeds", "days", "jobs"):
        if getattr(given, name) <= 0:
            parser.error(f"--{name} must be above 0, not {getattr(given, name)}")
    return given


def main() -> None:
    given = read_arguments()
    rules: tuple[Rule, ...] = load_rules(given.rules)
    jobs = [
        Job(
            seed,
            given.blocks,
            round(given.days * 24),
            round(given.quiet_days * 24),
            given.density,
            tuple(given.only),
            given.rules,
            not given.without_unusual,
        )
        for seed in range(given.first_seed, given.first_seed + given.seeds)
    ]
    scores = Scores()
    began = time.process_time()
    with ProcessPoolExecutor(given.jobs) as pool:
        for number, course in enumerate(pool.map(run, jobs) if given.jobs > 1 else map(run, jobs), start=1):
            scores.add(course, [rule.name for rule in rules])
            done = f"{number} of {len(jobs)} cities, {scores.observations:,} observations"
            print(f"{done}, {time.process_time() - began:,.0f} CPU s", file=sys.stderr, flush=True)
    about = {
        "seeds": given.seeds,
        "first_seed": given.first_seed,
        "days": given.days,
        "quiet_days": given.quiet_days,
        "blocks": given.blocks,
        "density": given.density,
        "only": given.only,
        "detectors_of_the_unusual": not given.without_unusual,
        "rules": {rule.name: rule.version for rule in rules},
        "python": platform.python_version(),
    }
    document = {"about": about, **scores.document()}
    print(table_of(document))
    if given.json is not None:
        given.json.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    try:
        main()
    except ValueError as error:
        sys.exit(f"quality: {error}")
