"""Throughput with all kinds at once against plain windows: `python -m tests.benchmarks.all_kinds`.

Every kind of every domain has a backlog of equally many observations. Plain: a processor of one kind works its windows
off and does nothing else. Whole: the same with its detectors, indices, baselines and patterns. At once: the processors
of all domains, as they are, at the same time on the same servers. A round does all three, one after the other, so that
what is compared ran on the same machine in the same minutes. Figures are processor time of the processors, without
their start, and there are none unless every window has all its observations. Prints JSON.

It is bounded: no round is begun that would not end within `--minutes`, as the longest one so far tells, and one that is
not done by then is broken off and does not count.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import median
from typing import Any

from deploy.local.kafka import KafkaSettings
from deploy.local.servers import Endpoints, LocalServers, ServerSettings
from services.cli.domains import find_domains
from services.runtime.logs import configure_logs
from tests.benchmarks.__main__ import describe_machine
from tests.benchmarks.all_kinds.backlog import Backlog
from tests.benchmarks.all_kinds.backlog import plain as plain_kind
from tests.benchmarks.all_kinds.page import JSON_FILE, MARK, PAGE, as_markdown
from tests.benchmarks.all_kinds.trial import Cost, Process, load_average, run
from tests.benchmarks.city import CITY_FILE
from tests.benchmarks.city_model import read_flows
from tests.benchmarks.observing import tell
from tests.benchmarks.pages import write_part

REPOSITORY = Path(__file__).resolve().parents[3]
SOME_KINDS = "tests.benchmarks.all_kinds.some_kinds"


@dataclass(frozen=True)
class Round:
    """The costs of one round: of each kind alone by its name, and of each domain with all others at work."""

    plain: dict[str, Cost]
    whole: dict[str, Cost]
    at_once: dict[str, Cost]


def main() -> None:
    """Runs the rounds and prints what they say."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.all_kinds", description=__doc__)
    parser.add_argument("--kind", default="", help="part of the names of the kinds; none: all")
    parser.add_argument("--rounds", type=int, default=3, help="at most")
    parser.add_argument("--minutes", type=float, default=20.0, help="for all of it")
    parser.add_argument("--entities", type=int, default=4_096, help="of each kind")
    parser.add_argument("--reports", type=int, default=480, help="of each entity")
    parser.add_argument("--write", action="store_true", help="keep the figures: JSON and tables")
    parser.add_argument("--cache", type=Path, default=REPOSITORY / ".urban" / "cache", help="folder of downloads")
    given = parser.parse_args()
    configure_logs("console", "warning")
    every = (Backlog(d.name, kind, given.entities, given.reports) for d in find_domains() for kind in d.kinds)
    backlogs = [backlog for backlog in every if given.kind in backlog.name]
    if not backlogs:
        parser.error(f"no kind has {given.kind!r} in its name")
    began_s = time.monotonic()
    rounds: list[Round] = []
    longest_s = 0.0
    while len(rounds) < given.rounds and time.monotonic() - began_s + longest_s <= 60 * given.minutes:
        round_began_s = time.monotonic()
        found = _round(backlogs, given.cache, began_s, began_s + 60 * given.minutes)
        if found is None:
            break
        rounds.append(found)
        longest_s = max(longest_s, time.monotonic() - round_began_s)
    if not rounds:
        sys.exit("no round was done when the time was over: give it more --minutes, or fewer --entities")
    document = {
        "machine": describe_machine(),
        "load_average": load_average(),
        **summary(backlogs, rounds, reported_today()),
    }
    text = json.dumps(document, indent=1)
    print(text)
    if given.write:
        JSON_FILE.write_text(text + "\n", encoding="utf-8")
        write_part(PAGE, MARK, as_markdown(document))


def _round(backlogs: Sequence[Backlog], cache: Path, began_s: float, ends_s: float) -> Round | None:
    plain, whole = {}, {}
    with tempfile.TemporaryDirectory() as folder, LocalServers(Path(folder), servers(cache), progress=tell) as at:
        for backlog in backlogs:
            if time.monotonic() > ends_s:
                return None
            plain[backlog.name] = _alone(replace(backlog, kind=plain_kind(backlog.kind)), at, PLAIN="1")
            whole[backlog.name] = _alone(backlog, at)
            told = f"{plain[backlog.name].ns:,.0f} ns plain, {whole[backlog.name].ns:,.0f} whole"
            tell(f"[{time.monotonic() - began_s:4.0f} s] {backlog.name}: {told}")
        names = list(dict.fromkeys(backlog.domain for backlog in backlogs))
        processes = [Process(f"services.{name}", tuple(b for b in backlogs if b.domain == name), {}) for name in names]
        at_once = dict(zip(names, run(processes, at), strict=True))
        tell(f"[{time.monotonic() - began_s:4.0f} s] at once: {mean_ns(list(at_once.values())):,.0f} ns")
    return Round(plain, whole, at_once)


def servers(cache: Path) -> ServerSettings:
    """Kafka and ClickHouse of a round."""
    # As in `scale`: a group waits for its members, so that none begins with the partitions of another.
    kafka = KafkaSettings(first_port=0, heap_mib=512, overrides={"group.initial.rebalance.delay.ms": "3000"})
    return ServerSettings(kafka=kafka, clickhouse_port=0, cache=cache)


def _alone(backlog: Backlog, at: Endpoints, **environment: str) -> Cost:
    (cost,) = run([Process(SOME_KINDS, (backlog,), {"KINDS": backlog.name, **environment})], at)
    return cost


def mean_ns(costs: Sequence[Cost]) -> float:
    """Processor time for an observation of all of them."""
    return sum(cost.cpu_s for cost in costs) / sum(cost.observations for cost in costs) * 1e9


def summary(backlogs: Sequence[Backlog], rounds: Sequence[Round], reported: Mapping[str, float]) -> dict[str, Any]:
    """Medians over the rounds; ratios are of one round each. `reported`: observations/s of a city, by kind."""
    ratios = [mean_ns([*found.at_once.values()]) / _plain_ns(found, backlogs) for found in rounds]
    in_a_city = [ratio for found in rounds if (ratio := _weighed(found, backlogs, reported)) is not None]
    return {
        "rounds": len(rounds),
        "entities": backlogs[0].entities,
        "reports": backlogs[0].reports,
        "at_once": {
            "ratio": round(median(ratios), 3),
            "ratios": [round(ratio, 3) for ratio in ratios],
            "ns": round(median([mean_ns([*found.at_once.values()]) for found in rounds])),
            "plain_ns": round(median([_plain_ns(found, backlogs) for found in rounds])),
        },
        "in_a_city": {
            "ratio": round(median(in_a_city), 3) if in_a_city else None,
            "left_out": sorted(b.name for b in backlogs if b.kind.name not in reported),
        },
        "kinds": [_of_kind(backlog, rounds) for backlog in backlogs],
        "domains": [
            _of_domain(name, [b for b in backlogs if b.domain == name], rounds)
            for name in dict.fromkeys(b.domain for b in backlogs)
        ],
    }


def _plain_ns(found: Round, backlogs: Sequence[Backlog]) -> float:
    return mean_ns([found.plain[b.name] for b in backlogs])


def _weighed(found: Round, backlogs: Sequence[Backlog], reported: Mapping[str, float]) -> float | None:
    """Whole against plain where each kind has its share of a city's observations; None: the city has none of them."""
    weights = {b.name: reported.get(b.kind.name, 0.0) for b in backlogs}
    plain, whole = (sum(w * of[name].ns for name, w in weights.items()) for of in (found.plain, found.whole))
    return whole / plain if plain else None


def _of_kind(backlog: Backlog, rounds: Sequence[Round]) -> dict[str, Any]:
    return {
        "name": backlog.name,
        "observations": backlog.observations,
        "measures": len(backlog.kind.measure_names()),
        "judges": len(backlog.kind.detectors) + len(backlog.kind.indices),
        "windows_per_observation": round(backlog.window_rows / backlog.observations, 3),
        "plain_ns": round(median([found.plain[backlog.name].ns for found in rounds])),
        "whole_ns": round(median([found.whole[backlog.name].ns for found in rounds])),
    }


def _of_domain(name: str, backlogs: Sequence[Backlog], rounds: Sequence[Round]) -> dict[str, Any]:
    windows = sum(backlog.window_rows for backlog in backlogs)
    return {
        "name": name,
        "kinds": len(backlogs),
        "plain_ns": round(median([_plain_ns(found, backlogs) for found in rounds])),
        "ns": round(median([found.at_once[name].ns for found in rounds])),
        "signals_per_window": round(median([found.at_once[name].signals for found in rounds]) / windows, 5),
        "pss_mb": round(median([found.at_once[name].pss_mb for found in rounds])),
    }


def reported_today() -> dict[str, float]:
    """Observations/s that a city of ten million people tells today, by kind (city.toml)."""
    found: dict[str, float] = {}
    for flow in read_flows(tomllib.loads(CITY_FILE.read_text(encoding="utf-8")), "today"):
        found[flow.kind] = found.get(flow.kind, 0.0) + flow.observations_per_s
    return found


if __name__ == "__main__":
    main()
