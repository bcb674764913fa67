"""`make faults`: the whole fault matrix with more seeds, as a table and as JSON."""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from tempfile import TemporaryDirectory

import uvloop
from rich.console import Console
from rich.table import Table

from services.runtime.logs import configure_logs
from tests.faults.matrix import MATRIX, NAMES, PROCESS
from tests.faults.row import Outcome, Row, Trial
from tests.faults.rows.all import read_rows
from tests.faults.world import World, download_cache, open_world

REPOSITORY = Path(__file__).resolve().parents[2]
LONGEST_RUN_S = 2700.0


@dataclass
class Result:
    """What all runs of one row came to."""

    fault: str
    ring: str
    seeds: list[int] = field(default_factory=list)
    outcome: Outcome = field(default_factory=Outcome)
    failures: list[str] = field(default_factory=list)
    seconds: float = 0.0


def main(arguments: Sequence[str] | None = None) -> int:
    """Exit status 1 where a row failed."""
    parser = argparse.ArgumentParser(prog="python -m tests.faults", description=__doc__)
    parser.add_argument("--seeds", type=int, default=3, help="how many seeds each row is run with (default 3)")
    parser.add_argument("--first-seed", type=int, default=1, help="the first of them (default 1)")
    parser.add_argument("--only", action="append", choices=NAMES, help="a row to run; may be repeated (default: all)")
    parser.add_argument("--json", type=Path, default=REPOSITORY / "build" / "faults.json", help="where the JSON goes")
    options = parser.parse_args(arguments)
    configure_logs("console", "warning")
    seeds = range(options.first_seed, options.first_seed + options.seeds)
    rows = [row for row in read_rows() if not options.only or row.fault in options.only]
    console = Console()
    results: list[Result] = []
    with TemporaryDirectory(prefix="urban-faults-") as folder:
        for row in rows:
            if row.ring != PROCESS:
                results.append(run_row(row, seeds, None, console))
        if any(row.ring == PROCESS for row in rows):
            console.print("starting Kafka and ClickHouse")
            with open_world(Path(folder), download_cache()) as world:
                results += [run_row(row, seeds, world, console) for row in rows if row.ring == PROCESS]
    results.sort(key=lambda result: (NAMES.index(result.fault), result.ring))
    console.print(table_of(results))
    options.json.parent.mkdir(parents=True, exist_ok=True)
    options.json.write_text(json.dumps({"rows": [as_json(result) for result in results]}, indent=1))
    for result in results:
        for failure in result.failures:
            console.print(f"[red]{result.fault} ({result.ring}):[/red] {failure}", markup=True)
    return 1 if any(result.failures for result in results) else 0


def run_row(row: Row, seeds: Sequence[int], servers: World | None, console: Console) -> Result:
    """Run a row once with each seed; a failure does not keep the others from running."""
    result = Result(row.fault, row.ring)
    began = time.monotonic()
    for seed in seeds:
        console.print(f"{row.fault} ({row.ring}), seed {seed}")
        trial = Trial(seed, max(1, -(-row.whole // len(seeds))), servers)
        try:
            outcome = run_once(row, trial)
        except Exception as error:  # noqa: BLE001 (whatever a row finds is its result)
            result.failures.append(f"seed {seed}: {type(error).__name__}: {error}")
            console.print_exception(max_frames=4)
        else:
            result.outcome += outcome
        result.seeds.append(seed)
    result.seconds = round(time.monotonic() - began, 1)
    return result


def run_once(row: Row, trial: Trial) -> Outcome:
    async def run() -> Outcome:
        async with asyncio.timeout(LONGEST_RUN_S):
            outcome = await row.run(trial)
        outcome.check()
        return outcome

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(run())


def as_json(result: Result) -> dict[str, object]:
    """A result as JSON has it."""
    outcome = result.outcome
    # A Counter does not survive asdict: its keys become pairs.
    plain = asdict(replace(result, outcome=replace(outcome, faults=Counter())))
    told = {**plain["outcome"], "faults": dict(outcome.faults)}
    del told["struck"], told["every"]
    if outcome.every:
        missing = sorted(outcome.every - outcome.struck)
        told["coverage"] = {"struck": len(outcome.struck), "all": len(outcome.every), "missing": missing}
    return {**plain, "outcome": told}


def table_of(results: Sequence[Result]) -> Table:
    """The table that the README shows."""
    titles = {fault.name: fault.title for fault in MATRIX}
    table = Table(title="Faults survived", show_lines=False)
    for name in ("fault", "ring"):
        table.add_column(name)
    for name in (
        "seeds",
        "faults injected",
        "observations",
        "lost",
        "doubled",
        "ledger difference",
        "longest pause, s",
    ):
        table.add_column(name, justify="right")
    for r in results:
        o = r.outcome
        shown = "\n".join(f"{number} × {what}" for what, number in sorted(o.faults.items()))
        if o.every:
            shown += f"\n{len(o.struck)} of {len(o.every)} in the list"
        pause = f"{o.longest_pause_s:.1f}" if o.longest_pause_s else ""
        figures = [f"{n:,}" for n in (o.observations, o.lost, o.doubled, o.ledger_difference)]
        verdict = [f"[red]{len(r.failures)} failed[/red]"] if r.failures else []
        table.add_row(titles[r.fault], r.ring, str(len(r.seeds)), "\n".join([shown, *verdict]), *figures, pause)
    return table


if __name__ == "__main__":
    sys.exit(main())
