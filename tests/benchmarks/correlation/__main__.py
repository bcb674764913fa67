"""What a signal costs the correlation, in processor time: `python -m tests.benchmarks.correlation` prints JSON.

Pure core, without Kafka: all shipped rules over the signals of five cities to five thousand at once, over cities in
which every signal belongs to a planted incident, and over cities thirty times as dense. A load whose incidents are not
those of brute force ends the run.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from pathlib import Path
from typing import Any

from services.correlation.rules import load_rules
from services.runtime.memory import look_seldom
from tests.benchmarks.__main__ import describe_machine
from tests.benchmarks.correlation.load import Load
from tests.benchmarks.correlation.trial import measure
from tests.benchmarks.pages import write_part
from tests.benchmarks.tables import markdown

HERE = Path(__file__).parent
JSON_FILE = HERE.parent / "correlation.json"
MARK = "correlation"
SIGNALS_PER_HOUR = 200  # of each city
# One signal in five belongs to an incident that was planted; by chance some more do.
PLANTED = 0.2


def loads(most: int) -> list[Load]:
    """Up to so many signals an hour."""
    rates = [rate for rate in (1_000, 10_000, 100_000, 1_000_000) if rate <= most]
    # What lies in an hour of few cities is too little to measure.
    ordinary = [
        Load("ordinary", rate // SIGNALS_PER_HOUR, SIGNALS_PER_HOUR, 200.0, max(1, 5_000 // rate), PLANTED)
        for rate in rates
    ]
    return [
        *ordinary,
        Load("all in incidents", 25, SIGNALS_PER_HOUR, 200.0, 1, 1.0),
        Load("dense", 25, SIGNALS_PER_HOUR, 200 / 30, 1, 0.0),
    ]


def main() -> None:
    """Measures each load, and writes the figures where asked to."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.correlation", description=__doc__)
    parser.add_argument(
        "--most", type=int, default=1_000_000, help="signals an hour; the greatest load takes gigabytes"
    )
    parser.add_argument("--only", default="", help="part of a load's name")
    parser.add_argument("--write", action="store_true", help="keep the figures: JSON and table")
    given = parser.parse_args()
    rules = load_rules()
    look_seldom()  # as the service does
    document: dict[str, Any] = {"machine": describe_machine(), "rules": len(rules), "loads": []}
    for load in loads(given.most):
        if given.only in load.name:
            document["loads"].append(figures := measure(load, rules))
            print(f"{load.name}, {load.rate:,}/h: {figures['records_per_cpu_s']:,} a CPU-second", file=sys.stderr)
    document["load_average"] = round(os.getloadavg()[0], 1)
    text = json.dumps(document, indent=1)
    print(text)
    if given.write:
        JSON_FILE.write_text(text + "\n", encoding="utf-8")
        write_part(HERE / "README.md", MARK, as_markdown(document))


def as_markdown(document: dict[str, Any]) -> str:
    """The table of a run."""
    machine = document["machine"]
    opening = (
        f"{machine['cores']} cores ({machine['architecture']}), Python {machine['python']}, {document['rules']} rules;"
        f" load average at the end {document['load_average']}."
    )
    heads = (
        "load",
        "signals an hour",
        "a km² and hour",
        "in incidents",
        "versions",
        "µs a record",
        "records a CPU-second",
    )
    rows = [
        (
            figures["load"],
            f"{figures['signals_per_hour']:,}",
            f"{figures['signals_per_km2_and_hour']:g}",
            f"{figures['in_incidents']:.0%}",
            f"{figures['versions']:,}",
            f"{figures['us_per_record']:,.0f}",
            f"{figures['records_per_cpu_s']:,}",
        )
        for figures in document["loads"]
    ]
    return f"{opening}\n\n{markdown(heads, rows)}"


if __name__ == "__main__":
    main()
