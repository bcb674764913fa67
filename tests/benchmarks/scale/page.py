"""The figures of a run as tables and as a plot."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from tests.benchmarks.plots import lines
from tests.benchmarks.tables import markdown

HERE = Path(__file__).parent
JSON_FILE = HERE.parent / "scale.json"
PAGE = HERE / "README.md"
PLOT_FILE = HERE / "cost.svg"

Figures = Mapping[str, Any]
# Of each sweep: its heading, and the name of its axis.
HEADINGS = {
    "workers": ("One worker and two", "workers"),
    "entities": ("Entities", "entities"),
    "frame": ("Observations per record", "observations per record"),
    "partitions": ("Partitions", "partitions"),
    "period": ("Seconds between two observations of an entity", "seconds"),
}
ENCODINGS = {"frames": "frames of {}", "protobuf": "single, protobuf", "json": "single, JSON"}


def as_markdown(document: Figures) -> str:
    """All tables of a document."""
    machine = document["machine"]
    parts = [
        f"{machine['cores']} cores ({machine['architecture']}) shared by worker, broker, engine and harness; Python"
        f" {machine['python']}; {sum(document['took_s'].values()) / 60:.0f} minutes. *load*: the load average when the"
        " run had ended; far above 3 other programs took most of the cores, and rates tell little, ns a bit too much."
    ]
    for name, (heading, axis) in HEADINGS.items():
        if rows := document["sweeps"].get(name):
            parts += [f"### {heading}", _workers(rows) if name == "workers" else _costs(axis, rows)]
    if sizes := document.get("sizes"):
        archiver = sizes["archiver"]
        told = (
            f"The archiver takes {archiver['cpu_ns_per_observation']:,} ns for an observation, the engine then"
            f" {archiver['clickhouse_cpu_ns_per_observation']:,} ns; {archiver['pss_mb']:,} MB."
        )
        parts += ["### Bytes, and the archive", _bytes_in_kafka(sizes), _bytes_in_tables(sizes), told]
    return "\n\n".join(parts)


def _workers(rows: Sequence[Figures]) -> str:
    """All but the start: several workers take the steps of a backlog at different times, so no stretch is of all."""
    first = rows[0]["without_start"]["observations_per_s"]

    def cells(row: Figures) -> tuple[str, ...]:
        of = row["without_start"]
        ns = sum(of[f"{part}cpu_ns_per_observation"] for part in ("", "kafka_", "clickhouse_"))
        return (
            f"{row['workers']}",
            f"{of['observations_per_s']:,}",
            f"{of['observations_per_s'] / first:.2f}",
            *_nanoseconds(of),
            f"{of['observations_per_s'] * ns / 1e9:.2f}",
            f"{row['peak_pss_mb']:,}",
            f"{row['load_average']}",
        )

    head = (
        "workers",
        "observations/s",
        "ratio",
        "worker, ns",
        "broker, ns",
        "engine, ns",
        "cores",
        "memory, MB",
        "load",
    )
    return markdown(head, [cells(row) for row in rows])


def _best(row: Figures) -> Figures:
    """The steady stretch, or else all but the start."""
    stretch: Figures = row["steady"] or row["without_start"]
    return stretch


def _costs(axis: str, rows: Sequence[Figures]) -> str:
    """Worker, broker and engine by what they cost for an observation in the steady stretch, or else in the whole."""

    def cells(row: Figures) -> tuple[str, ...]:
        of = _best(row)
        return (
            f"{row['at']:,g}",
            f"{row['observations']:,}",
            f"{of['rows_per_observation']:.2f}",
            *_nanoseconds(of),
            f"{row['peak_pss_mb']:,}",
            f"{row['load_average']}" + ("" if row["steady"] else " (whole run)"),
        )

    head = (
        axis,
        "observations",
        "windows per observation",
        "worker, ns",
        "broker, ns",
        "engine, ns",
        "memory, MB",
        "load",
    )
    return markdown(head, [cells(row) for row in rows])


def _nanoseconds(stretch: Figures) -> tuple[str, ...]:
    whose = ("cpu_ns", "kafka_cpu_ns", "clickhouse_cpu_ns")
    return tuple(f"{stretch[f'{name}_per_observation']:,}" for name in whose)


def _bytes_in_kafka(sizes: Figures) -> str:
    rows = [
        (
            ENCODINGS[row["encoding"]].format(f"{row['observations_per_record']:,}"),
            f"{row['each_record_by_itself']}",
            f"{row['full_batches']}",
        )
        for row in sizes["kafka_bytes_per_observation"]
    ]
    rows.append(("a window of five measures, as the worker sends them", "", f"{sizes['kafka_bytes_per_window']}"))
    return markdown(("in Kafka, bytes an observation", "each record by itself", "full batches"), rows)


def _bytes_in_tables(sizes: Figures) -> str:
    rows = []
    for name, table in sizes["clickhouse"].items():
        columns = sorted(table["bytes_per_row_of_column"].items(), key=lambda told: -told[1])
        largest = ", ".join(f"{column} {size:g}" for column, size in columns[:5])
        rows.append((name, f"{table['rows']:,}", f"{table['bytes_per_row']:g}", largest))
    return markdown(("in ClickHouse, merged", "rows", "bytes a row", "largest columns"), rows)


def plot(document: Figures) -> str:
    """Processor time of the worker for an observation, by what grows; SVG."""

    def series(name: str, x: Callable[[Figures], float]) -> list[tuple[float, float]]:
        return sorted((x(row), row["cpu_ns_per_observation"]) for row in document["sweeps"].get(name, ()))

    return lines(
        {
            "by observations per record": series("frame", lambda row: row["observations_per_record"]),
            "by entities": series("entities", lambda row: row["entities"]),
            "by partitions": series("partitions", lambda row: row["partitions"]),
        },
        "What an observation costs the worker",
        "observations per record, entities, partitions",
        "processor time, ns",
        log_x=True,
        log_y=True,
    )
