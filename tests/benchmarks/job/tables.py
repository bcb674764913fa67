"""The tables of the job in ClickHouse: those that every domain has, copied from traffic; observations; windows."""

from __future__ import annotations

import clickhouse_connect

from services.runtime.migrations import ensure_schema
from tests.benchmarks.job.domain import BENCHMARK

SHARED = ("ledger", "dead_letters", "signals", "entities", "archive_ledger")
OBSERVATIONS = f"{BENCHMARK.name}.reading"
WINDOWS = f"{BENCHMARK.name}.reading_windows"

# What every engine's results are compared by.
RESULTS_SQL = (
    "SELECT entity_id, toUnixTimestamp64Milli(start_time) AS start_ms, value_count AS count, value_sum AS sum,"
    f" value_min AS min, value_max AS max, value_mean AS mean FROM {WINDOWS}"
)

# As traffic.road_flow lies, with one number.
_OBSERVATIONS = f"""
CREATE TABLE IF NOT EXISTS {OBSERVATIONS}
(
    city            LowCardinality(String),
    entity_id       String CODEC(ZSTD),
    time            DateTime64(3, 'UTC') CODEC(Delta, ZSTD),
    period_s        UInt32 CODEC(ZSTD),
    value           Float32 CODEC(ZSTD),
    source_id       LowCardinality(String),
    sequence        UInt64 CODEC(ZSTD),
    kafka_partition UInt32,
    kafka_offset    Int64 CODEC(Delta, ZSTD),
    kafka_index     UInt32,
    stored_time     DateTime('UTC') MATERIALIZED now()
)
ENGINE = ReplacingMergeTree
PARTITION BY toYYYYMM(time)
ORDER BY (city, entity_id, time, kafka_partition, kafka_offset, kafka_index)
"""

# As the windows of traffic.road_flow lie, with the figures of the job.
_WINDOWS = f"""
CREATE TABLE IF NOT EXISTS {WINDOWS}
(
    city            LowCardinality(String),
    window          LowCardinality(String),
    entity_id       String CODEC(ZSTD),
    start_time      DateTime64(3, 'UTC') CODEC(Delta, ZSTD),
    end_time        DateTime64(3, 'UTC') CODEC(Delta, ZSTD),
    kafka_partition UInt32,
    revision        UInt32 CODEC(ZSTD),
    value_count     Float64 CODEC(ZSTD),
    value_sum       Float64 CODEC(ZSTD),
    value_min       Float64 CODEC(ZSTD),
    value_max       Float64 CODEC(ZSTD),
    value_mean      Float64 CODEC(ZSTD)
)
ENGINE = ReplacingMergeTree(revision)
PARTITION BY toYYYYMM(start_time)
ORDER BY (city, window, entity_id, start_time)
"""


async def make_tables(url: str) -> None:
    """Make the database of the job anew."""
    await ensure_schema(url, "traffic")
    with clickhouse_connect.get_client(dsn=url, autogenerate_session_id=False) as client:
        client.command(f"DROP DATABASE IF EXISTS {BENCHMARK.name} SYNC")
        client.command(f"CREATE DATABASE {BENCHMARK.name}")
        client.command(_OBSERVATIONS)
        client.command(_WINDOWS)
        for table in SHARED:
            client.command(f"CREATE TABLE {BENCHMARK.name}.{table} AS traffic.{table}")
