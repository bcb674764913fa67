"""ClickHouse alone: raw bytes inserted, a materialized view makes panes, a query adds up the windows that closed."""

from __future__ import annotations

import clickhouse_connect

from services.runtime.catalogue import OBSERVATION_PARTITIONS
from tests.benchmarks.job.domain import HOP_MS
from tests.benchmarks.job.encoding import Encoding
from tests.benchmarks.peers.engine import RESULT_TABLE, Command, Engine, Run, Sink
from tests.benchmarks.peers.environment import CHECKPOINT_S, check, job

ENVIRONMENT = "clickhouse"
DATABASE = RESULT_TABLE.partition(".")[0]

_PANES = f"""
CREATE TABLE {DATABASE}.panes
(
    partition UInt8,
    pane_ms   Int64,
    entity_id String,
    n         SimpleAggregateFunction(sum, UInt64),
    total     SimpleAggregateFunction(sum, Float64),
    least     SimpleAggregateFunction(min, Float64),
    greatest  SimpleAggregateFunction(max, Float64)
)
ENGINE = AggregatingMergeTree
ORDER BY (partition, pane_ms, entity_id)
"""

_FIGURES = "count() AS n, sum(toFloat64(v)) AS total, min(toFloat64(v)) AS least, max(toFloat64(v)) AS greatest"
_JSON_COLUMNS = "entity_id String, time DateTime64(3, 'UTC'), value Float64"
_FRAME_COLUMNS = (
    "entity_ids Array(String), entity Array(UInt32), base_time_ms Int64, time_offset_ms Array(UInt32),"
    " value Array(Float32)"
)
_FROM_JSON = "SELECT entity_id, toUnixTimestamp64Milli(time) AS time_ms, value AS v FROM {raw}"
_FROM_FRAMES = (
    "SELECT entity_ids[e + 1] AS entity_id, base_time_ms + t AS time_ms, v FROM {raw}"
    " ARRAY JOIN entity AS e, time_offset_ms AS t, value AS v"
)


def _prepare(run: Run) -> None:
    check(run, ENVIRONMENT)
    as_json = run.encoding is Encoding.JSON
    columns, rows = (_JSON_COLUMNS, _FROM_JSON) if as_json else (_FRAME_COLUMNS, _FROM_FRAMES)
    with clickhouse_connect.get_client(dsn=run.clickhouse, autogenerate_session_id=False) as client:
        client.command(f"CREATE DATABASE IF NOT EXISTS {DATABASE}")
        for partition in range(OBSERVATION_PARTITIONS):
            client.command(f"DROP TABLE IF EXISTS {DATABASE}.to_panes_{partition} SYNC")
            client.command(f"DROP TABLE IF EXISTS {DATABASE}.raw_{partition} SYNC")
        client.command(f"DROP TABLE IF EXISTS {DATABASE}.panes SYNC")
        client.command(_PANES)
        # A table for each partition, as the bytes do not say which they are of, and each has a watermark of its own.
        # Of the engine Null: rows go through the view and are not stored, which is the cheapest that ClickHouse has.
        for partition in range(OBSERVATION_PARTITIONS):
            raw = f"{DATABASE}.raw_{partition}"
            client.command(f"CREATE TABLE {raw} ({columns}) ENGINE = Null")
            client.command(
                f"CREATE MATERIALIZED VIEW {DATABASE}.to_panes_{partition} TO {DATABASE}.panes AS"
                f" SELECT toUInt8({partition}) AS partition, intDiv(time_ms, {HOP_MS}) * {HOP_MS} AS pane_ms,"
                f" entity_id, {_FIGURES} FROM ({rows.format(raw=raw)}) GROUP BY pane_ms, entity_id"
            )


def _command(run: Run) -> Command:
    return job(run, ENVIRONMENT, "clickhouse_only")


def _version() -> str:
    import chdb

    return f"{chdb.engine_version} (chDB {chdb.__version__})"


ENGINES = (
    Engine(
        name="clickhouse-only",
        version=_version,
        command=_command,
        sinks=(Sink.CLICKHOUSE,),
        settings={"consumers": 1, "commit_seconds": CHECKPOINT_S, "raw_table": "Null", "panes": "AggregatingMergeTree"},
        remarks="a consumer passes the records' bytes on, as the Kafka engine is not to be had in the embedded engine;"
        " raw rows are not kept; a consumer that dies between an insert and its commit counts a batch twice",
        prepare=_prepare,
        counts_clickhouse_cpu=True,
    ),
)
