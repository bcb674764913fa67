"""What a city of ten million people needs, and what limits it: `python -m tests.benchmarks.city [--write]`.

Computed from what the city reports (city.toml, each count with its source or marked as an assumption) and from the
figures that were measured (scale.json, and ingest.json where it is there). Prints Markdown; with `--write` it goes into
README.md beside.
"""

from __future__ import annotations

import argparse
import json
import math
import tomllib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.benchmarks.city_model import Costs, Flow, Need, add_up, read_costs, read_flows
from tests.benchmarks.pages import write_part
from tests.benchmarks.tables import markdown

HERE = Path(__file__).parent
CITY_FILE, PAGE = HERE / "city.toml", HERE / "README.md"
SCALE_FILE, INGEST_FILE = HERE / "scale.json", HERE / "ingest.json"
SCENARIOS = ("today", "dense")
MARK = "city"


def main() -> None:
    """Prints the page's part, and writes it where that is asked for."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.city", description=__doc__)
    parser.add_argument("--write", action="store_true", help="put it into README.md")
    given = parser.parse_args()
    text = render()
    print(text)
    if given.write:
        write_part(PAGE, MARK, text)


def render() -> str:
    """The part of the page, from the committed files."""
    city = tomllib.loads(CITY_FILE.read_text(encoding="utf-8"))
    scale = json.loads(SCALE_FILE.read_text(encoding="utf-8"))
    ingest = json.loads(INGEST_FILE.read_text(encoding="utf-8")) if INGEST_FILE.exists() else None
    costs, by_scenario = read_costs(scale, ingest), {name: read_flows(city, name) for name in SCENARIOS}
    replication = city["deployment"]["replication"]
    needs = {name: add_up(flows, costs, replication) for name, flows in by_scenario.items()}
    parts = [
        _devices(by_scenario),
        _needs(needs, city["deployment"]),
        _limits(by_scenario, costs, city["deployment"]),
        _assumed(costs),
    ]
    return "\n\n".join(parts)


def _devices(by_scenario: Mapping[str, Sequence[Flow]]) -> str:
    """Who reports, and how often."""
    today, dense = (by_scenario[name] for name in SCENARIOS)
    rows = [
        (
            f"{now.kind}: {now.what}",
            _number(now.entities),
            _number(now.observations_per_s),
            _number(then.entities),
            _number(then.observations_per_s),
            now.source,
        )
        for now, then in zip(today, dense, strict=True)
    ]
    head = ("kind", "entities", "observations/s", "entities, dense", "observations/s, dense", "source of today's count")
    return markdown(head, rows, left=(0, 5))


def _needs(needs: Mapping[str, Need], deployment: Mapping[str, Any]) -> str:
    """What the city takes; cores in the busiest hour, bytes of an average day."""
    lines: dict[str, Callable[[Need], str]] = {
        "observations/s, average": lambda n: _number(n.observations_per_s),
        "observations/s, busiest hour": lambda n: _number(n.peak_per_s),
        "entities": lambda n: _number(n.entities),
        "windows/s": lambda n: _number(n.windows_per_s),
        "cores of processors": lambda n: _number(n.processor),
        "cores of archivers": lambda n: _number(n.archiver),
        "cores of apis": lambda n: _number(n.api) if n.api else "not measured",
        f"cores of brokers ({deployment['replication']} copies)": lambda n: _number(n.broker),
        "cores of ClickHouse, inserts": lambda n: _number(n.engine),
        "memory of open windows": lambda n: _bytes(n.memory),
        f"Kafka, a day ({deployment['replication']} copies)": lambda n: _bytes(n.kafka_day),
        f"Kafka, {deployment['kafka_days']} days": lambda n: _bytes(n.kafka_day * deployment["kafka_days"]),
        "ClickHouse, a day: observations": lambda n: _bytes(n.raw_day),
        "ClickHouse, a day: windows": lambda n: _bytes(n.windows_day),
        f"ClickHouse, {deployment['raw_days']} and {deployment['windows_days']} days": lambda n: _bytes(
            n.raw_day * deployment["raw_days"] + n.windows_day * deployment["windows_days"]
        ),
    }
    rows = [(name, *(tell(needs[scenario]) for scenario in SCENARIOS)) for name, tell in lines.items()]
    return markdown(("in all", *SCENARIOS), rows)


def _limits(by_scenario: Mapping[str, Sequence[Flow]], costs: Costs, deployment: Mapping[str, Any]) -> str:
    """How many such cities fit, by what there is only so much of; the least is the first limit."""
    per_scenario = {name: _room(flows, costs, deployment) for name, flows in by_scenario.items()}
    order = sorted(per_scenario["dense"], key=lambda limit: per_scenario["dense"][limit].times)
    rows = [(limit, *(str(per_scenario[name][limit]) for name in SCENARIOS)) for limit in order]
    firsts = {name: min(room, key=lambda limit: room[limit].times) for name, room in per_scenario.items()}
    told = "; ".join(f"{name}, {first}" for name, first in firsts.items())
    return markdown(("how many such cities fit into", *SCENARIOS), rows) + f"\n\n**The first limit:** {told}."


@dataclass(frozen=True)
class _Room:
    """How many times something fits, and of which kind there is most."""

    times: float
    kind: str = ""

    def __str__(self) -> str:
        return f"{_number(self.times)} ×" + (f" ({self.kind})" if self.kind else "")


def _room(flows: Sequence[Flow], costs: Costs, deployment: Mapping[str, Any]) -> dict[str, _Room]:
    replication, partitions = deployment["replication"], deployment["partitions"]
    whole = add_up(flows, costs, replication)
    of_kind: dict[str, Need] = {}
    for flow in flows:
        of_kind.setdefault(flow.kind, Need()).add(flow, costs, replication)
    busiest = max(of_kind, key=lambda kind: of_kind[kind].processor)
    widest = max(of_kind, key=lambda kind: of_kind[kind].entities)
    entities, engine, brokers = (
        partitions * deployment["entities_per_partition"],
        deployment["engine_cores"],
        deployment["broker_cores"],
    )
    return {
        f"{partitions} partitions of a topic, a worker of one core each": _Room(
            partitions / of_kind[busiest].processor, busiest
        ),
        f"{entities:,} entities that {partitions} partitions of a kind hold": _Room(
            entities / of_kind[widest].entities, widest
        ),
        f"one ClickHouse server of {engine} cores, inserts alone": _Room(engine / whole.engine),
        f"brokers of {brokers} cores": _Room(brokers / whole.broker),
    }


def _assumed(costs: Costs) -> str:
    sizes = (1, 4, 16, 64, 256, 1_024)
    worker = ", ".join(f"{size:,}: {costs.worker(size):,.0f}" for size in sizes)
    return (
        f"Computed with: a worker's ns for an observation by observations per record ({worker}), for a window of five"
        f" measures {costs.worker_window:,.0f}; the engine's {costs.engine_observation:,.0f} for a stored observation,"
        f" {costs.engine_window:,.0f} for a window; {costs.memory_bytes:,.0f} bytes for an entity with open windows."
        " Cores are of the machine that scale.json tells of."
    )


def _number(value: float) -> str:
    """Two digits that count: more would promise too much."""
    if value <= 0:
        return "0"
    digits = 1 - math.floor(math.log10(value))
    rounded = round(value, digits)
    return f"{rounded:,.0f}" if rounded >= 10 else f"{rounded:g}"


def _bytes(value: float) -> str:
    for unit, size in (("TB", 1e12), ("GB", 1e9)):
        if value >= size:
            return f"{_number(value / size)} {unit}"
    return f"{_number(value / 1e6)} MB"


if __name__ == "__main__":
    main()
