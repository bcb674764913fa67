"""All kinds at once in the mixture of a city: `python -m tests.benchmarks.all_kinds.in_a_city`.

Each kind has a backlog of what a city of ten million people reports in an hour (city.toml). All domains work off theirs
at the same time on the same servers, once as plain windows and once as they are; a round does both, the second first in
every other round. Figures are processor time of the processors, and there are none unless every window has all its
observations. Prints JSON.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from statistics import median
from typing import Any

from deploy.local.servers import LocalServers
from services.cli.domains import find_domains
from services.runtime.logs import configure_logs
from tests.benchmarks.__main__ import describe_machine
from tests.benchmarks.all_kinds.__main__ import REPOSITORY, SOME_KINDS, mean_ns, reported_today, servers
from tests.benchmarks.all_kinds.backlog import Backlog
from tests.benchmarks.all_kinds.backlog import plain as plain_kind
from tests.benchmarks.all_kinds.page import PAGE
from tests.benchmarks.all_kinds.trial import Cost, Process, load_average, run
from tests.benchmarks.observing import tell
from tests.benchmarks.pages import write_part
from tests.benchmarks.tables import markdown

JSON_FILE = PAGE.parent.parent / "all_kinds_in_a_city.json"
MARK = "in_a_city"
LEAST_STEPS = 2  # of its shortest window that each kind goes through


def main() -> None:
    """Runs the rounds and prints what they say."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.all_kinds.in_a_city", description=__doc__)
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--seconds", type=int, default=3_600, help="of a city's time")
    parser.add_argument("--write", action="store_true", help="keep the figures: JSON and table")
    parser.add_argument("--cache", type=Path, default=REPOSITORY / ".urban" / "cache", help="folder of downloads")
    given = parser.parse_args()
    configure_logs("console", "warning")
    backlogs = of_city(given.seconds, reported_today())
    rounds = [_round(backlogs, given.cache, number) for number in range(given.rounds)]
    document = {
        "machine": describe_machine(),
        "load_average": load_average(),
        "rounds": given.rounds,
        **summary(backlogs, rounds),
    }
    text = json.dumps(document, indent=1)
    print(text)
    if given.write:
        JSON_FILE.write_text(text + "\n", encoding="utf-8")
        write_part(PAGE, MARK, as_markdown(document))


def of_city(seconds: int, reported: Mapping[str, float]) -> list[Backlog]:
    """What a city reports in so long, of every kind that it has. `reported`: observations/s by kind.

    Of kinds whose windows are long it is told by fewer entities over a longer time, so that windows end.
    """
    made = []
    for domain in find_domains():
        for kind in (kind for kind in domain.kinds if kind.name in reported):
            one = Backlog(domain.name, kind, 1, 1)
            reports = max(seconds * 1000 // one.interval_ms, LEAST_STEPS * one.step_ms // one.interval_ms)
            entities = max(1, round(seconds * reported[kind.name] / reports))
            made.append(replace(one, entities=entities, reports=reports))
    return made


Round = tuple[dict[str, Cost], dict[str, Cost]]  # by domain: as plain windows, and as they are


def _round(backlogs: Sequence[Backlog], cache: Path, number: int) -> Round:
    found: dict[bool, dict[str, Cost]] = {}
    names = list(dict.fromkeys(backlog.domain for backlog in backlogs))
    with tempfile.TemporaryDirectory() as folder, LocalServers(Path(folder), servers(cache), progress=tell) as at:
        for plain in (True, False) if number % 2 == 0 else (False, True):
            processes = [
                Process(
                    SOME_KINDS,
                    tuple(replace(b, kind=plain_kind(b.kind)) if plain else b for b in backlogs if b.domain == name),
                    {"KINDS": name, **({"PLAIN": "1"} if plain else {})},
                )
                for name in names
            ]
            found[plain] = dict(zip(names, run(processes, at), strict=True))
            tell(f"round {number + 1}, {'plain' if plain else 'whole'}: {mean_ns(list(found[plain].values())):,.0f} ns")
    return found[True], found[False]


def summary(backlogs: Sequence[Backlog], rounds: Sequence[Round]) -> dict[str, Any]:
    """Medians over the rounds; ratios are of one round each."""
    ratios = [mean_ns(list(whole.values())) / mean_ns(list(plain.values())) for plain, whole in rounds]
    return {
        "ratio": round(median(ratios), 3),
        "ratios": [round(ratio, 3) for ratio in ratios],
        "observations": sum(backlog.observations for backlog in backlogs),
        "domains": [
            {
                "name": name,
                "entities": {b.kind.name: b.entities for b in backlogs if b.domain == name},
                "observations": sum(b.observations for b in backlogs if b.domain == name),
                "plain_ns": round(median([plain[name].ns for plain, _ in rounds])),
                "ns": round(median([whole[name].ns for _, whole in rounds])),
            }
            for name in dict.fromkeys(backlog.domain for backlog in backlogs)
        ],
    }


def as_markdown(document: Mapping[str, Any]) -> str:
    """The table of a run, and the ratio that it is about."""
    machine = document["machine"]
    opening = (
        f"{machine['cores']} cores ({machine['architecture']}), Python {machine['python']}; {document['rounds']}"
        f" rounds, medians; load average at the end {document['load_average']}.\n\n"
        f"**In the mixture of a city all kinds at once cost {document['ratio']:.2f} times the plain windows at once**"
        f" (by round: {', '.join(f'{ratio:.2f}' for ratio in document['ratios'])};"
        f" {document['observations']:,} observations)."
    )
    table = markdown(
        ("domain", "entities", "observations", "plain, ns", "as it is, ns", "ratio"),
        [
            (
                domain["name"],
                ", ".join(f"{name} {count:,}" for name, count in domain["entities"].items()),
                f"{domain['observations']:,}",
                f"{domain['plain_ns']:,}",
                f"{domain['ns']:,}",
                f"{domain['ns'] / domain['plain_ns']:.2f}",
            )
            for domain in document["domains"]
        ],
    )
    return f"{opening}\n\n{table}"


if __name__ == "__main__":
    main()
