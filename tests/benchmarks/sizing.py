"""What a city of a given size is deployed with: `python -m tests.benchmarks.sizing [--write]`, deploy/k8s/SIZING.md.

From the same flows (city.toml) and measured costs (scale.json, ingest.json) as tests/benchmarks/city.py; nothing is
measured here. What a need becomes in pods, brokers and shards is decided by the constants below.
"""

from __future__ import annotations

import argparse
import json
import math
import tomllib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from deploy.k8s.roles import API, ARCHIVER, PROCESSOR, PROFILES
from deploy.k8s.scaling import API_MOST
from services.cli.domains import find_domains
from tests.benchmarks.city import CITY_FILE, INGEST_FILE, SCALE_FILE, SCENARIOS
from tests.benchmarks.city_model import INGEST, Costs, Flow, Need, add_up, read_costs, read_flows
from tests.benchmarks.tables import markdown
from tests.deploy.rendering import K8S

PAGE = K8S / "SIZING.md"
PEOPLE = (100_000, 1_000_000, 10_000_000)
# The busiest hour takes half of what is there: the other half is for a pod that is away, and for catching up.
BUSY = 0.5
FEWEST = 2
BROKER_CORES, FEWEST_BROKERS = 8, 3
# A disk that is fuller than this has no room for merges and for a node that is away.
FULL = 0.7
MIB = 1 << 20


@dataclass(frozen=True)
class Size:
    """A city of one size: what it needs in all, by domain, and by kind."""

    people: int
    scenario: str
    whole: Need
    domains: Mapping[str, Need]
    kinds: Mapping[str, Need]

    @property
    def title(self) -> str:
        return f"{self.people:,}, {self.scenario}"


def main() -> None:
    """Prints the page, and writes it where that is asked for."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.sizing", description=__doc__)
    parser.add_argument("--write", action="store_true", help="put it into deploy/k8s/SIZING.md")
    given, text = parser.parse_args(), render()
    print(text)
    if given.write:
        PAGE.write_text(text, encoding="utf-8")


def render() -> str:
    """The whole page, from the committed files."""
    city = tomllib.loads(CITY_FILE.read_text(encoding="utf-8"))
    costs = measured_costs()
    found = [size_of(city, people, scenario, costs) for people in PEOPLE for scenario in SCENARIOS]
    deployment = city["deployment"]
    return (
        "\n\n".join(
            (
                "# Sizing",
                "What a city of 100,000, 1 and 10 million people is deployed with. Computed by `python -m"
                " tests.benchmarks.sizing --write` from what cities report"
                " ([city.toml](../../tests/benchmarks/city.toml), each count with its source or marked as an"
                " assumption, scaled by people) and from what was measured on a shared machine of two cores"
                " ([scale](../../tests/benchmarks/scale/README.md), [ingest](../../tests/benchmarks/ingest/README.md))."
                " *Today*: what large cities have; *dense*: all of it in its greatest form, at once. No city of these"
                " sizes was run.",
                "## What it takes",
                markdown(("people", *(one.title for one in found)), _rows(_needs(deployment), found)),
                "## What to deploy",
                f"Pods at {BUSY:.0%} of a core in the busiest hour, never fewer than {FEWEST}, as the base has;"
                f" brokers of {BROKER_CORES} cores, ClickHouse servers of {deployment['engine_cores']}, disks at most"
                f" {FULL:.0%} full. More of a processor than its topics have partitions has no work.",
                markdown(("people", *(one.title for one in found)), _rows(_deployed(found[0], deployment), found)),
                _told(found, deployment),
            )
        )
        + "\n"
    )


def measured_costs() -> Costs:
    """Of an api the dearest of the runs: they had unequal shares of the machine."""
    scale, ingest = (json.loads(path.read_text(encoding="utf-8")) for path in (SCALE_FILE, INGEST_FILE))
    rate = "observations_per_api_cpu_s"
    told = {name: [run["scenarios"][name] for run in ingest["runs"] if name in run["scenarios"]] for name in INGEST}
    now = {name: [one["now"] for one in runs if rate in one.get("now", {})] for name, runs in told.items()}
    worst = {name: {"this checkout": min(runs, key=lambda run: run[rate])} for name, runs in now.items() if runs}
    return read_costs(scale, {"scenarios": worst})


def size_of(city: Mapping[str, Any], people: int, scenario: str, costs: Costs) -> Size:
    flows = read_flows({**city, "population": people}, scenario)
    replication = city["deployment"]["replication"]
    owner = {kind.name: domain.name for domain in find_domains() for kind in domain.kinds}

    def sums(of: Callable[[Flow], str]) -> dict[str, Need]:
        names = sorted({of(flow) for flow in flows})
        return {name: add_up([flow for flow in flows if of(flow) == name], costs, replication) for name in names}

    return Size(
        people, scenario, add_up(flows, costs, replication), sums(lambda f: owner[f.kind]), sums(lambda f: f.kind)
    )


Rows = Mapping[str, Callable[[Size], str]]


def _rows(rows: Rows, sizes: Sequence[Size]) -> list[tuple[str, ...]]:
    return [(name, *(tell(size) for size in sizes)) for name, tell in rows.items()]


def _needs(deployment: Mapping[str, Any]) -> Rows:
    return {
        "observations/s, busiest hour": lambda s: _number(s.whole.peak_per_s),
        "entities": lambda s: _number(s.whole.entities),
        "cores of apis": lambda s: _number(s.whole.api),
        "cores of processors": lambda s: _number(s.whole.processor),
        "cores of archivers": lambda s: _number(s.whole.archiver),
        "cores of brokers": lambda s: _number(s.whole.broker),
        "cores of ClickHouse, inserts": lambda s: _number(s.whole.engine),
        "memory of open windows, GB": lambda s: _number(s.whole.memory / 1e9),
        f"Kafka, {deployment['kafka_days']} days, {deployment['replication']} copies, TB": lambda s: _number(
            _kafka_bytes(s, deployment) / 1e12
        ),
        "ClickHouse, one copy, TB": lambda s: _number(_table_bytes(s, deployment) / 1e12),
    }


def _deployed(first: Size, deployment: Mapping[str, Any]) -> dict[str, Callable[[Size], str]]:
    rows: dict[str, Callable[[Size], str]] = {}
    for domain in first.domains:
        rows[f"{domain}-api"] = lambda s, d=domain: str(_pods(s.domains[d].api))  # type: ignore[misc]
        rows[f"{domain}-processor"] = lambda s, d=domain: str(_pods(s.domains[d].processor))  # type: ignore[misc]
        rows[f"{domain}-archiver"] = lambda s, d=domain: str(_pods(s.domains[d].archiver))  # type: ignore[misc]
    return rows | {
        "memory of the largest processor, MiB": lambda s: f"{_processor_mib(s):,}",
        "partitions of a topic": lambda s: str(partitions(s, deployment)),
        "brokers": lambda s: str(_brokers(s)),
        "disk of a broker, TB": lambda s: _number(_kafka_bytes(s, deployment) / _brokers(s) / FULL / 1e12),
        "ClickHouse shards": lambda s: str(shards(s, deployment)),
        "disk of a ClickHouse server, TB": lambda s: _number(
            _table_bytes(s, deployment) / shards(s, deployment) / FULL / 1e12
        ),
    }


def partitions(size: Size, deployment: Mapping[str, Any]) -> int:
    """That the kind with most entities, and the one with most work, needs: a power of two, the catalogue's at least."""
    by_entities = max(need.entities for need in size.kinds.values()) / deployment["entities_per_partition"]
    by_work = max(need.processor for need in size.kinds.values()) / BUSY
    least: int = deployment["partitions"]
    needed = 2 ** math.ceil(math.log2(max(by_entities, by_work, 1.0)))
    return max(least, int(needed))


def shards(size: Size, deployment: Mapping[str, Any]) -> int:
    """Servers among which inserts have to be spread; each has its copies beside."""
    return max(1, math.ceil(size.whole.engine / BUSY / float(deployment["engine_cores"])))


def _pods(cores: float) -> int:
    return max(FEWEST, math.ceil(cores / BUSY))


def _processor_mib(size: Size) -> int:
    """What an empty one is given, and its share of the windows when one of the others is away."""
    shares = (need.memory / max(1, _pods(need.processor) - 1) for need in size.domains.values())
    return PROFILES[PROCESSOR].memory_request_mib + math.ceil(max(shares) / MIB)


def _brokers(size: Size) -> int:
    return max(FEWEST_BROKERS, math.ceil(size.whole.broker / BUSY / BROKER_CORES))


def _kafka_bytes(size: Size, deployment: Mapping[str, Any]) -> float:
    return size.whole.kafka_day * float(deployment["kafka_days"])


def _table_bytes(size: Size, deployment: Mapping[str, Any]) -> float:
    raw, windows = float(deployment["raw_days"]), float(deployment["windows_days"])
    return size.whole.raw_day * raw + size.whole.windows_day * windows


def _told(sizes: Sequence[Size], deployment: Mapping[str, Any]) -> str:
    limit = PROFILES[PROCESSOR].memory_limit_mib
    beyond = [one.title for one in sizes if _processor_mib(one) > limit]
    sharded = [one.title for one in sizes if shards(one, deployment) > 1]
    crowded = [one.title for one in sizes if max(_pods(need.api) for need in one.domains.values()) > API_MOST]
    given = {role: PROFILES[role] for role in (API, PROCESSOR, ARCHIVER)}
    requests = ", ".join(f"{role} {one.cpu_request} and {one.memory_request_mib} Mi" for role, one in given.items())
    return (
        f"The base asks for: {requests}. Cities whose processors need more than its limit of {limit:,} Mi:"
        f" {', '.join(beyond) or 'none'}. Cities that need more than one shard, which the schema does not spread over"
        f" yet: {', '.join(sharded) or 'none'}. Cities of which an api needs more than the {API_MOST} pods at which the"
        f" component hpa stops: {', '.join(crowded) or 'none'}. Partitions are `OBSERVATION_PARTITIONS` of"
        " services/runtime/catalogue.py, chosen before a city goes live.\n\n"
        "Not in it: the correlation (it takes findings, not observations: the base's two pods), queries of analysts,"
        " detectors and indices, memory of what is told as unusual (1.7 kB for an entity and measure),"
        " Kafka's and ClickHouse's own memory, and the network."
    )


def _number(value: float) -> str:
    """Two digits that count: more would promise too much."""
    if value <= 0:
        return "0"
    digits = 1 - math.floor(math.log10(value))
    rounded = round(value, digits)
    return f"{rounded:,.0f}" if rounded >= 10 else f"{rounded:g}"


if __name__ == "__main__":
    main()
