"""From what a city reports (city.toml) and what was measured (scale.json) to cores, memory and bytes."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

DAY_S = 86_400
# What the benchmark's windows and observations hold: the columns of a real kind come on top (tests/benchmarks/job).
MEASURES, COLUMNS = 5, 1
NUMBER_BYTES = 4  # of one more column in a frame: numbers as they are do not shrink much

Figures = Mapping[str, Any]


@dataclass(frozen=True)
class Flow:
    """What devices of one sort report."""

    kind: str
    what: str
    source: str
    entities: float
    observations_per_s: float  # on average
    peak: float  # the busiest hour against that
    per_record: int
    windows_s: tuple[float, ...]  # lengths of the windows that each observation belongs to
    columns: int
    measures: int

    @property
    def peak_per_s(self) -> float:
        return self.observations_per_s * self.peak

    def windows_per_s(self, observations_per_s: float) -> float:
        """Windows that close at such a rate: an entity that reports seldom has no more of them than observations."""
        return sum(min(self.entities / length_s, observations_per_s) for length_s in self.windows_s)


@dataclass(frozen=True)
class Costs:
    """What was measured: processor time in ns, and bytes."""

    worker: Callable[[int], float]  # of an observation, by observations per record, without its windows
    broker: Callable[[int], float]
    worker_window: float
    engine_window: float
    archiver: float
    engine_observation: float
    api: Callable[[int], float] | None  # by observations per frame; None: ingest.json is not there
    memory_bytes: float  # of an entity with open windows
    kafka_bytes: Callable[[int], float]
    kafka_window_bytes: float
    observation_bytes: float
    column_bytes: float
    window_bytes: float
    measure_bytes: float


def read_flows(city: Figures, scenario: str) -> list[Flow]:
    """The flows of the file, scaled to the city's population."""
    found = []
    for told in city["flows"]:
        given = {**told, **(told["dense"] if scenario == "dense" else {})}
        scale = city["population"] / given["people"]
        entities = given["count"] * scale
        # A flow that is changed to come so often a day has no period any more.
        by_day = "per_day" in given and ("per_day" in told["dense"] or scenario == "today" or "period_s" not in given)
        rate = given["per_day"] * scale / DAY_S if by_day else entities / given["period_s"]
        kind = city["kinds"][given["kind"]]
        found.append(
            Flow(
                kind=given["kind"],
                what=given["what"],
                source=given["source"],
                entities=entities,
                observations_per_s=rate,
                peak=given["peak"],
                per_record=given["per_record"],
                windows_s=tuple(kind["windows_s"]),
                columns=kind["columns"],
                measures=kind["measures"],
            )
        )
    return found


# Scenarios of tests/benchmarks/ingest, and how many observations a call or a frame of them has.
INGEST = {"frames of 1,024": 1_024, "frames of 256": 256, "Report of 1": 1}


def read_costs(scale: Figures, ingest: Figures | None) -> Costs:
    """From the sweeps; what a window costs is the slope over runs with more and fewer windows for an observation."""
    sweeps, sizes = scale["sweeps"], scale["sizes"]
    worker_window = _slope(sweeps["period"], "cpu_ns_per_observation")
    frames = {row["observations_per_record"]: _stretch(row) for row in sweeps["frame"]}
    without_windows = {
        size: max(1.0, cost["cpu_ns_per_observation"] - worker_window * cost["rows_per_observation"])
        for size, cost in frames.items()
    }
    entities = sorted(sweeps["entities"], key=lambda row: row["entities"])
    megabytes = entities[-1]["peak_pss_mb"] - entities[0]["peak_pss_mb"]
    observations, windows = sizes["clickhouse"]["observations"], sizes["clickhouse"]["windows"]
    of_measures = [size for name, size in windows["bytes_per_row_of_column"].items() if name.startswith("value_")]
    in_kafka = {
        row["observations_per_record"]: row["each_record_by_itself"]
        for row in sizes["kafka_bytes_per_observation"]
        if row["encoding"] != "json"
    }
    return Costs(
        worker=_between(without_windows),
        broker=_between({size: cost["kafka_cpu_ns_per_observation"] for size, cost in frames.items()}),
        worker_window=worker_window,
        engine_window=_slope(sweeps["period"], "clickhouse_cpu_ns_per_observation"),
        archiver=scale["sizes"]["archiver"]["cpu_ns_per_observation"],
        engine_observation=scale["sizes"]["archiver"]["clickhouse_cpu_ns_per_observation"],
        api=_api_costs(ingest or {}),
        memory_bytes=megabytes * 1e6 / (entities[-1]["entities"] - entities[0]["entities"]),
        kafka_bytes=_between(in_kafka),
        kafka_window_bytes=sizes["kafka_bytes_per_window"],
        observation_bytes=observations["bytes_per_row"],
        column_bytes=observations["bytes_per_row_of_column"]["value"],
        window_bytes=windows["bytes_per_row"],
        measure_bytes=sum(of_measures) / len(of_measures),
    )


def _api_costs(ingest: Figures) -> Callable[[int], float] | None:
    """ns of an api process for an observation, as far as that was measured."""
    told = {size: ingest.get("scenarios", {}).get(name, {}).get("this checkout", {}) for name, size in INGEST.items()}
    rates = {size: found["observations_per_api_cpu_s"] for size, found in told.items() if found}
    return _between({size: 1e9 / rate for size, rate in rates.items()}) if len(rates) > 1 else None


def _stretch(row: Figures) -> Figures:
    stretch: Figures = row["steady"] or row["without_start"]
    return stretch


def _slope(rows: Sequence[Figures], name: str) -> float:
    """Least squares of a cost over windows per observation."""
    x = [_stretch(row)["rows_per_observation"] for row in rows]
    y = [_stretch(row)[name] for row in rows]
    mean_x, mean_y = sum(x) / len(x), sum(y) / len(y)
    over: float = sum((a - mean_x) * (b - mean_y) for a, b in zip(x, y, strict=True))
    below: float = sum((a - mean_x) ** 2 for a in x)
    return max(0.0, over / below)


def _between(measured: Mapping[int, float]) -> Callable[[int], float]:
    """A straight line between two measured sizes, on logarithmic axes; beyond the last ones, their own figures."""
    points = sorted((math.log(size), math.log(max(cost, 1e-9))) for size, cost in measured.items())

    def at(size: int) -> float:
        x = min(max(math.log(size), points[0][0]), points[-1][0])
        (x0, y0), (x1, y1) = next(pair for pair in itertools.pairwise(points) if x <= pair[1][0])
        return math.exp(y0 + (y1 - y0) * (x - x0) / (x1 - x0))

    return at


@dataclass
class Need:
    """What all flows of a kind, or of the city, take: in the busiest hour, and bytes of an average day."""

    observations_per_s: float = 0.0
    peak_per_s: float = 0.0
    windows_per_s: float = 0.0
    entities: float = 0.0
    processor: float = 0.0  # cores
    archiver: float = 0.0
    api: float = 0.0
    broker: float = 0.0
    engine: float = 0.0
    memory: float = 0.0  # bytes
    kafka_day: float = 0.0
    raw_day: float = 0.0
    windows_day: float = 0.0

    def add(self, flow: Flow, costs: Costs, replication: int) -> None:
        """One more flow. Assumed: a window costs as much more as it has more measures."""
        peak, wider = flow.peak_per_s, flow.measures / MEASURES
        windows = flow.windows_per_s(peak)
        self.observations_per_s += flow.observations_per_s
        self.peak_per_s += peak
        self.windows_per_s += windows
        self.entities += flow.entities
        self.processor += (peak * costs.worker(flow.per_record) + windows * wider * costs.worker_window) / 1e9
        self.archiver += peak * costs.archiver / 1e9
        self.api += peak * costs.api(flow.per_record) / 1e9 if costs.api else 0.0
        self.broker += peak * costs.broker(flow.per_record) * replication / 1e9
        self.engine += (peak * costs.engine_observation + windows * wider * costs.engine_window) / 1e9
        self.memory += flow.entities * costs.memory_bytes * wider
        a_day = flow.observations_per_s * DAY_S
        windows_a_day = flow.windows_per_s(flow.observations_per_s) * DAY_S
        in_kafka = a_day * (costs.kafka_bytes(flow.per_record) + (flow.columns - COLUMNS) * NUMBER_BYTES)
        self.kafka_day += (in_kafka + windows_a_day * wider * costs.kafka_window_bytes) * replication
        self.raw_day += a_day * (costs.observation_bytes + (flow.columns - COLUMNS) * costs.column_bytes)
        bytes_of_window = costs.window_bytes + (flow.measures - MEASURES) * costs.measure_bytes
        self.windows_day += windows_a_day * bytes_of_window


def add_up(flows: Sequence[Flow], costs: Costs, replication: int) -> Need:
    """What these flows take together."""
    need = Need()
    for flow in flows:
        need.add(flow, costs, replication)
    return need
