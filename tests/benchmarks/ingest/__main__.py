"""Observations that the api takes, acknowledged by Kafka: `python -m tests.benchmarks.ingest`.

A real api process, real Kafka and callers in a process of their own share one machine. Prints JSON, and a table as
Markdown on standard error. `--against` measures another checkout too, in turn with this one.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from deploy.local.kafka import KafkaSettings
from deploy.local.servers import LocalServers, ServerSettings
from services.runtime.logs import configure_logs
from tests.benchmarks.ingest.payloads import ENTITIES
from tests.benchmarks.ingest.trial import REPOSITORY, Scenario, measure

SCENARIOS = (
    Scenario("frames of 1,024", "ReportFrames", rows=1024, streams=8, in_flight=8),
    Scenario("frames of 256", "ReportFrames", rows=256, streams=8, in_flight=16),
    Scenario("frames of 256, 200,000 a second", "ReportFrames", rows=256, streams=8, in_flight=64, rate=200_000),
    Scenario("Report of 256", "Report", rows=256, streams=8, in_flight=4),
    Scenario("Report of 1", "Report", rows=1, streams=8, in_flight=32),
)
OURS, OTHER = "this checkout", "the other"


def main() -> None:
    """Prints the result as JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", action="append", choices=[s.name for s in SCENARIOS], help="may be repeated")
    parser.add_argument("--rounds", type=int, default=3, help="of each scenario; the median is told")
    parser.add_argument("--seconds", type=float, default=6.0, help="of each round, after two of warm-up")
    parser.add_argument("--against", type=Path, help="another checkout, measured in turn with this one")
    parser.add_argument("--cache", type=Path, default=REPOSITORY / ".urban" / "cache", help="folder of downloads")
    given = parser.parse_args()
    configure_logs("console", "warning")
    scenarios = [s.lasting(given.seconds) for s in SCENARIOS if not given.only or s.name in given.only]
    checkouts = {OURS: REPOSITORY} | ({OTHER: given.against.resolve()} if given.against else {})
    found = run(scenarios, checkouts, given.rounds, given.cache)
    print(as_markdown(found), file=sys.stderr)
    described = {"kind": "traffic.road_flow", "entities": ENTITIES, "rounds": given.rounds}
    print(json.dumps({**described, "scenarios": found}, indent=2))


def run(
    scenarios: Sequence[Scenario], checkouts: Mapping[str, Path], rounds: int, cache: Path
) -> dict[str, dict[str, Any]]:
    """Figures by scenario and checkout."""
    server = ServerSettings(kafka=KafkaSettings(first_port=0), clickhouse_port=0, cache=cache)
    found: dict[str, dict[str, Any]] = {}
    with tempfile.TemporaryDirectory() as name, LocalServers(Path(name), server, progress=tell) as endpoints:
        for scenario in scenarios:
            runs: dict[str, list[dict[str, Any]]] = {checkout: [] for checkout in checkouts}
            for _ in range(rounds):
                for checkout, folder in checkouts.items():
                    runs[checkout].append(measure(scenario, endpoints, Path(name), folder))
                    tell(f"{scenario.name}, {checkout}: {runs[checkout][-1]}")
            found[scenario.name] = {checkout: middle(all_of) for checkout, all_of in runs.items()}
    return found


def middle(runs: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """The run in the middle by observations per CPU-second, and the range of all."""
    rates = [run["observations_per_api_cpu_s"] for run in runs]
    chosen = runs[rates.index(statistics.median_low(rates))]
    return {**chosen, "range_per_api_cpu_s": [min(rates), max(rates)], "rounds": len(runs)}


def as_markdown(found: Mapping[str, Mapping[str, Mapping[str, Any]]]) -> str:
    """One line for each scenario and checkout."""
    lines = [
        "| callers | checkout | observations/s | per CPU-second of the api | range | api, s | callers, s | broker, s"
        " | p50, ms | p99, ms | load average |",
        "|---|---|---:|---:|---|---:|---:|---:|---:|---:|---:|",
    ]
    for scenario, checkouts in found.items():
        for checkout, told in checkouts.items():
            low, high = told["range_per_api_cpu_s"]
            lines.append(
                f"| {scenario} | {checkout} | {told['observations_per_s']:,} | {told['observations_per_api_cpu_s']:,}"
                f" | {low:,} to {high:,} | {told['api_cpu_s']} | {told['client_cpu_s']} | {told['broker_cpu_s']}"
                f" | {told['latency_ms']['p50']} | {told['latency_ms']['p99']} | {told['load_average']} |"
            )
    return "\n".join(lines)


def tell(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
