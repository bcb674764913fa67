"""How good the rules and the detectors are on seeds that nobody has seen: `make quality`, or with ARGS="--seeds 20".

Prints a table and, with --json, writes all figures. Each seed is a city of its own that goes its course in this
process: no server is needed, as all that judges is pure.
"""

from __future__ import annotations

import argparse
import json
import platform
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from services.core.correlation.rule import Rule
from services.correlation.rules import FOLDER, load_rules
from services.feeds.scenario.city import WHOLE_BLOCKS
from services.feeds.scenario.script import INCIDENTS
from tests.benchmarks.pages import write_part
from tests.benchmarks.quality import motorway
from tests.benchmarks.quality.cities import Done, Job, run_all
from tests.benchmarks.quality.report import table_of
from tests.benchmarks.quality.scores import Scores
from tests.benchmarks.quality.sumo_road import NoSumo

PAGE = Path(__file__).with_name("README.md")
JSON_FILE = Path(__file__).parents[1] / "quality.json"
MARK = "quality"
# Seeds of tests and of those who write rules are small.
FIRST_SEED = 1_000


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
    parser.add_argument(
        "--keep", type=Path, help="folder for each city's figures: a run that is repeated goes on there"
    )
    parser.add_argument(
        "--sumo-roads", type=int, default=20, help="roads of SUMO with an incident, and as many without (%(default)d)"
    )
    parser.add_argument("--json", type=Path, help="write all figures into this file")
    parser.add_argument("--write", action="store_true", help="keep the figures: quality.json and the README's tables")
    given = parser.parse_args(arguments)
    for name in ("seeds", "days", "jobs"):
        if getattr(given, name) <= 0:
            parser.error(f"--{name} must be above 0, not {getattr(given, name)}")
    if given.sumo_roads < 0:
        parser.error(f"--sumo-roads must be 0 or more, not {given.sumo_roads}")
    return given


def drive_motorway(given: argparse.Namespace) -> Mapping[str, Any]:
    """Three ways to find an incident on SUMO's roads; or why they are not there, which is said aloud."""
    if given.sumo_roads == 0:
        return {"left_out": "--sumo-roads 0"}
    try:
        return motorway.document_of(given.first_seed, given.sumo_roads, given.jobs)
    except NoSumo as error:
        print(f"NOT RUN, the motorway of SUMO: {error}", file=sys.stderr, flush=True)
        return {"left_out": str(error)}


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
            given.keep,
        )
        for seed in range(given.first_seed, given.first_seed + given.seeds)
    ]
    done: dict[int, Done] = {}
    for one in run_all(jobs, given.jobs):
        done[one.seed] = one
        observations = sum(city.scores.observations for city in done.values())
        cpu_s = sum(city.cpu_s for city in done.values())
        what = f"seed {one.seed} {'was there' if one.again else 'is done'}, {len(done)} of {len(jobs)} cities"
        print(f"{what}, {observations:,} observations, {cpu_s:,.0f} CPU s", file=sys.stderr, flush=True)
    scores = Scores()
    for seed in sorted(done):
        scores.join(done[seed].scores)
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
        "cpu_seconds": round(sum(city.cpu_s for city in done.values())),
    }
    document = {"about": about, **scores.document(), "motorway": drive_motorway(given)}
    table = table_of(document)
    print(table)
    text = json.dumps(document, indent=1) + "\n"
    if given.json is not None:
        given.json.write_text(text, encoding="utf-8")
    if given.write:
        JSON_FILE.write_text(text, encoding="utf-8")
        write_part(PAGE, MARK, table)


if __name__ == "__main__":
    try:
        main()
    except ValueError as error:
        sys.exit(f"quality: {error}")
