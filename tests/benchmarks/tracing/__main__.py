"""`python -m tests.benchmarks.tracing [--against FOLDER]`: the cost of traces for a frame, off and at one of a hundred.

Each repetition takes all modes in turn, each in a process of its own (trial.py), which gives the least of five rounds;
figures are the least and the middle of the repetitions, in processor time, the thread that sends spans included.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import statistics
import sys
from pathlib import Path

from tests.benchmarks.tables import markdown
from tests.collector import collecting

ROOT = Path(__file__).resolve().parents[3]
TRIAL = Path(__file__).with_name("trial.py")
FRAMES = {"api": 500, "processor": 1_000}
ROWS = {"api": 1_024, "processor": 256}
SHARE = 0.01


async def spent_ns(code: Path, part: str, share: float, collector: str) -> int:
    """One trial with the code of a checkout."""
    env = {**os.environ, "PYTHONPATH": os.pathsep.join((str(code), str(code / "build" / "proto")))}
    argv = (str(TRIAL), part, str(FRAMES[part]), str(share), collector)
    child = await asyncio.create_subprocess_exec(
        sys.executable, *argv, env=env, cwd=code, stdout=asyncio.subprocess.PIPE
    )
    told, _ = await child.communicate()
    if child.returncode:
        raise RuntimeError(f"a trial of {part} ended with status {child.returncode}")
    return int(told)


async def measure(against: Path | None, repetitions: int) -> dict[str, list[int]]:
    """Processor time for a frame, in ns, by part and mode."""
    found: dict[str, list[int]] = {}
    async with collecting() as collector:
        modes = {
            **({"before": (against, 0.0, "")} if against is not None else {}),
            "off": (ROOT, 0.0, ""),
            "1 %": (ROOT, SHARE, collector.url),
        }
        for _ in range(repetitions):
            for part in FRAMES:
                for mode, (code, share, url) in modes.items():
                    found.setdefault(f"{part}, {mode}", []).append(await spent_ns(code, part, share, url))
        sampled = len(collector.spans)
    if not sampled:
        raise RuntimeError("no span was sent: what is called 1 % was none")
    return found


def as_text(found: dict[str, list[int]]) -> str:
    """A table; ratios to the first mode of the part."""
    rows = []
    first: dict[str, tuple[float, float]] = {}
    for name, values in found.items():
        part, _, mode = name.partition(", ")
        least, middle = min(values), statistics.median(values)
        base = first.setdefault(part, (least, middle))
        spread = f"{least / 1000:,.1f}", f"{middle / 1000:,.1f}", f"{max(values) / 1000:,.1f}"
        ratios = f"{least / base[0]:.3f}", f"{middle / base[1]:.3f}"
        rows.append((f"{part}, frames of {ROWS[part]:,}", mode, *spread, *ratios))
    head = ("", "traces", "least, µs", "middle, µs", "most, µs", "ratio of the least", "of the middle")
    return markdown(head, rows, left=(0, 1))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--against", type=Path, help="checkout from before, with its build/proto")
    parser.add_argument("--repetitions", type=int, default=5)
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args()
    found = asyncio.run(measure(given.against, given.repetitions))
    print(json.dumps(found) if given.json else as_text(found))


if __name__ == "__main__":
    main()
