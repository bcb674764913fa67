"""Throughput with all kinds at once against plain windows: `python -m tests.benchmarks.all_kinds`.

Every kind of every domain has a backlog of equally many observations. Plain: a processor of one kind works its windows
off and does nothing else. Whole: the same with its detectors and baselines. At once: the processors of all domains, as
they are, at the same time on the same servers. A round does all three, one after the other, so that what is compared
ran on the same machine in the same minutes. Figures are processor time of the processors, without their start, and
there are none unless every window has all its observations. Prints JSON.
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from deploy.local.kafka import KafkaSettings
from deploy.local.servers import Endpoints, LocalServers, ServerSettings
from services.cli.domains import find_domains
from services.runtime.logs import configure_logs
from tests.benchmarks.__main__ import describe_machine
from tests.benchmarks.all_kinds.backlog import Backlog
from tests.benchmarks.all_kinds.page import JSON_FILE, MARK, PAGE, as_markdown
from tests.benchmarks.all_kinds.trial import Cost, Process, load_average, run
from tests.benchmarks.observing import tell
from tests.benchmarks.pages import write_part

REPOSITORY = Path(__file__).resolve().parents[3]
ONE_KIND = "tests.benchmarks.all_kinds.one_kind"


@dataclass(frozen=True)
class Round:
    """The costs of one round: of each kind alone by its name, and of each domain with all others at work."""

    plain: dict[str, Cost]
    whole: dict[str, Cost]
    at_once: dict[str, Cost]


def main() -> None:
    """Runs the rounds and prints what they say."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.all_kinds", description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--entities", type=int, default=8_192, help="of each kind")
    parser.add_argument("--steps", type=int, default=20, help="of the shortest window of each kind")
    parser.add_argument("--write", action="store_true", help="keep the figures: JSON and tables")
    parser.add_argument("--cache", type=Path, default=REPOSITORY / ".urban" / "cache", help="folder of downloads")
    given = parser.parse_args()
    configure_logs("console", "warning")
    backlogs = [Backlog(d.name, kind, given.entities, given.steps) for d in find_domains() for kind in d.kinds]
    began_s = time.monotonic()
    rounds = [_round(backlogs, given.cache, began_s) for _ in range(given.rounds)]
    document = {"machine": describe_machine(), "load_average": load_average(), **summary(backlogs, rounds)}
    text = json.dumps(document, indent=1)
    print(text)
    if given.write:
        JSON_FILE.write_text(text + "\n", encoding="utf-8")
        write_part(PAGE, MARK, as_markdown(document))


def _round(backlogs: Sequence[Backlog], cache: Path, began_s: float) -> Round:
    # As in `scale`: a group waits for its members, so that none begins with the partitions of another.
    kafka = KafkaSettings(first_port=0, heap_mib=512, overrides={"group.initial.rebalance.delay.ms": "3000"})
    server = ServerSettings(kafka=kafka, clickhouse_port=0, cache=cache)
    plain, whole = {}, {}
    with tempfile.TemporaryDirectory() as folder, LocalServers(Path(folder), server, progress=tell) as at:
        for backlog in backlogs:
            plain[backlog.name] = _alone(backlog, at, PLAIN="1")
            whole[backlog.name] = _alone(backlog, at)
            told = f"{plain[backlog.name].ns:,.0f} ns plain, {whole[backlog.name].ns:,.0f} whole"
            tell(f"[{time.monotonic() - began_s:4.0f} s] {backlog.name}: {told}")
        names = list(dict.fromkeys(backlog.domain for backlog in backlogs))
        processes = [Process(f"services.{name}", tuple(b for b in backlogs if b.domain == name), {}) for name in names]
        at_once = dict(zip(names, run(processes, at), strict=True))
        tell(f"[{time.monotonic() - began_s:4.0f} s] at once: {_ns(list(at_once.values())):,.0f} ns")
    return Round(plain, whole, at_once)


def _alone(backlog: Backlog, at: Endpoints, **environment: str) -> Cost:
    (cost,) = run([Process(ONE_KIND, (backlog,), {"KIND": backlog.name, **environment})], at)
    return cost


def _ns(costs: Sequence[Cost]) -> float:
    return sum(cost.cpu_s for cost in costs) / sum(cost.observations for cost in costs) * 1e9


def summary(backlogs: Sequence[Backlog], rounds: Sequence[Round]) -> dict[str, Any]:
    """Medians over the rounds; ratios are of one round each."""

    def plain_ns(found: Round, domain: str = "") -> float:
        return _ns([found.plain[b.name] for b in backlogs if domain in ("", b.domain)])

    def median(values: Sequence[float]) -> float:
        return statistics.median(values)

    ratios = [_ns(list(r.at_once.values())) / plain_ns(r) for r in rounds]
    rows = {b.domain: 0 for b in backlogs}
    for backlog in backlogs:
        rows[backlog.domain] += backlog.window_rows
    return {
        "rounds": len(rounds),
        "entities": backlogs[0].entities,
        "at_once": {
            "ratio": round(median(ratios), 3),
            "ratios": [round(ratio, 3) for ratio in ratios],
            "ns": round(median([_ns(list(r.at_once.values())) for r in rounds])),
            "plain_ns": round(median([plain_ns(r) for r in rounds])),
        },
        "kinds": [
            {
                "name": b.name,
                "observations": b.observations,
                "measures": len(b.kind.measure_names()),
                "detectors": len(b.kind.detectors),
                "windows_per_observation": round(b.window_rows / b.observations, 3),
                "plain_ns": round(median([r.plain[b.name].ns for r in rounds])),
                "whole_ns": round(median([r.whole[b.name].ns for r in rounds])),
            }
            for b in backlogs
        ],
        "domains": [
            {
                "name": name,
                "kinds": sum(b.domain == name for b in backlogs),
                "plain_ns": round(median([plain_ns(r, name) for r in rounds])),
                "ns": round(median([r.at_once[name].ns for r in rounds])),
                "signals_per_window": round(median([r.at_once[name].signals for r in rounds]) / rows[name], 5),
                "pss_mb": round(median([r.at_once[name].pss_mb for r in rounds])),
            }
            for name in rows
        ],
    }


if __name__ == "__main__":
    main()
