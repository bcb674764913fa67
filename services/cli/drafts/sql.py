"""Drafts of tables: observations and windows of a kind, and what every domain has."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from services.cli.drafts.words import label, opening, words
from services.core.kind import Aggregate, Column, ColumnType, Kind, Measure

TEXTS = Path(__file__).resolve().parent / "schema"
_TYPES = {ColumnType.FLOAT: "Float32", ColumnType.DOUBLE: "Float64", ColumnType.CODE: "UInt32"}
_STORED = (
    "stored_time",
    "DateTime('UTC') MATERIALIZED now()",
    "When the row was stored, by wall clock; a replay of old days is kept as long as news",
)
_ABOUT = {
    Aggregate.COUNT: "numbers present",
    Aggregate.SUM: "sum; NaN: none",
    Aggregate.MIN: "least; NaN: none",
    Aggregate.MAX: "greatest; NaN: none",
    Aggregate.MEAN: "mean; NaN: none",
    Aggregate.SUM_OF_SQUARES: "sum of squares; NaN: none",
    Aggregate.VARIANCE: "variance of a sample; NaN: fewer than two numbers",
    Aggregate.FIRST: "of the earliest observation; NaN: none",
    Aggregate.LAST: "of the latest observation; NaN: none",
    Aggregate.LAST_MS: "when the latest number was observed, in ms since 1970 (UTC); NaN: none",
    Aggregate.ENERGY_MEAN: "energy mean; NaN: none",
    Aggregate.MEAN_DIRECTION: "mean direction; NaN: none",
}

Line = tuple[str, str, str]  # name, type with what belongs to it, comment


def domain_sql(domain: str) -> str:
    """Signals, entities and books, which every domain has."""
    return (TEXTS / "operations.sql").read_text(encoding="utf-8").replace("{domain}", words(domain))


def signal_attributes_sql() -> str:
    """What the tables of a domain lack that were drafted before signals had attributes."""
    return (TEXTS / "signal_attributes.sql").read_text(encoding="utf-8")


def baselines_sql() -> str:
    """Baselines, where a kind has one."""
    return (TEXTS / "baselines.sql").read_text(encoding="utf-8")


def kind_sql(kind: Kind) -> str:
    """The tables of observations and of windows."""
    said = words(kind.name)
    return (
        f"-- Observations of {said} as they came, and their windows.\n\n"
        f"CREATE TABLE IF NOT EXISTS {kind.name}\n(\n{_aligned(_observation_lines(kind))}\n)\n"
        "ENGINE = ${REPLICATED}ReplacingMergeTree\n"
        "PARTITION BY toYYYYMM(time)\n"
        "ORDER BY (city, entity_id, time, kafka_partition, kafka_offset, kafka_index)\n"
        "TTL stored_time + INTERVAL 90 DAY\n"
        f"COMMENT 'Observations of {said}, each place of the log once; of a frame that was sent twice, both places';\n"
        "\n"
        f"CREATE TABLE IF NOT EXISTS {kind.name}_windows\n(\n{_aligned(_window_lines(kind))}\n)\n"
        "ENGINE = ${REPLICATED}ReplacingMergeTree(revision)\n"
        "PARTITION BY toYYYYMM(start_time)\n"
        "ORDER BY (city, window, entity_id, start_time)\n"
        "TTL stored_time + INTERVAL 13 MONTH\n"
        f"COMMENT 'Windows of {said}; an observation that came late makes another revision';\n"
    )


def _observation_lines(kind: Kind) -> list[Line]:
    return [
        ("city", "LowCardinality(String)", "City"),
        ("entity_id", "String CODEC(ZSTD)", "What was observed"),
        ("time", "DateTime64(3, 'UTC') CODEC(Delta, ZSTD)", "Start of the time that was measured over"),
        ("period_s", "UInt32 CODEC(ZSTD)", "Length of the time that was measured over, in s; 0: a moment"),
        *((c.name, f"{_TYPES[c.type]} CODEC(ZSTD)", f"{label(c)}{_missing(c)}") for c in kind.columns),
        ("source_id", "LowCardinality(String)", "Who made the frame; empty: not told"),
        ("sequence", "UInt64 CODEC(ZSTD)", "Number of the frame at its source; 0: not numbered"),
        ("kafka_partition", "UInt32", "Partition of the observation topic"),
        ("kafka_offset", "Int64 CODEC(Delta, ZSTD)", "Offset of the record in its partition"),
        ("kafka_index", "UInt32", "Index of the observation in its record"),
        _STORED,
    ]


def _missing(column: Column) -> str:
    if column.codes:
        return f": number of a value of {column.unit}{'' if column.required else '; 0: not told'}"
    return "" if column.required else "; NaN: not measured"


def _window_lines(kind: Kind) -> list[Line]:
    windows = ", ".join(window.name for window in kind.windows)
    weighed = (
        f"weighed: those of the window and of the {kind.lookback_ms // 1000} s before it" if kind.trail else "folded"
    )
    revision = f"Number of observations {weighed}; the row with the greatest is the final one"
    patterns = kind.trail.patterns if kind.trail else ()
    return [
        ("city", "LowCardinality(String)", "City"),
        ("window", "LowCardinality(String)", f"Window: {windows}"),
        ("entity_id", "String CODEC(ZSTD)", "What was observed"),
        ("start_time", "DateTime64(3, 'UTC') CODEC(Delta, ZSTD)", "Start, inclusive"),
        ("end_time", "DateTime64(3, 'UTC') CODEC(Delta, ZSTD)", "End, exclusive"),
        ("kafka_partition", "UInt32", "Partition of the observation topic"),
        ("revision", "UInt32 CODEC(ZSTD)", revision),
        *((n, "Float64 CODEC(ZSTD)", text) for m in kind.measures for n, text in _measured(kind.column(m.column), m)),
        *((p.name, "Float64 CODEC(ZSTD)", f"{opening(words(p.name))}; NaN: too many to know") for p in patterns),
        _STORED,
    ]


def _measured(column: Column, measure: Measure) -> Iterable[tuple[str, str]]:
    """Result columns of a measure, in the order of its names, and what they tell."""
    said = label(column)
    about = {f"{column.name}_{aggregate}": f"{said}: {text}" for aggregate, text in _ABOUT.items()}
    error = "exact" if column.codes else "within a relative standard error of 1.63 %; 0: none"
    about[f"{column.name}_{Aggregate.DISTINCT}"] = f"{said}: number of different values, {error}"
    about |= {f"{column.name}_p{p}": f"{said}: percentile {p}, within 1/128; NaN: none" for p in measure.percents}
    for place in range(1, measure.tops + 1):
        nth = "most frequent" if place == 1 else f"{_ordinal(place)} most frequent"
        name = f"{column.name}_top{place}"
        about[name] = f"{opening(nth)} value of {column.unit}, of equally frequent ones the smallest; NaN: none"
        about[f"{name}_count"] = f"How many observations were of the {nth} one; 0: none"
    return [(name, about[name]) for name in measure.names()]


def _ordinal(place: int) -> str:
    return {2: "second", 3: "third", 4: "fourth", 5: "fifth"}.get(place, f"{place}th")


def _aligned(lines: Iterable[Line]) -> str:
    lines = [*lines]
    width = max(len(name) for name, _, _ in lines)
    return ",\n".join(f"    {name:<{width}} {type_} COMMENT '{_escaped(about)}'" for name, type_, about in lines)


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace("'", "''")
