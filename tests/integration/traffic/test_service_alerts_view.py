"""Alerts of operators in SQL: one row for each alert, version and thing, and which of them are in force."""

from __future__ import annotations

import math
from datetime import UTC, datetime, timedelta

import pyarrow as pa

from services.core.pseudonym import LEAST
from services.runtime.clickhouse import ClickHouse
from services.traffic.indices.service_alert import AlertCause, AlertEffect, AlertLevel, AlertScope

START = datetime(2026, 6, 1, 8, tzinfo=UTC)

# alert, entity, scope, effect, minutes after the start, end as announced (minutes after the start)
TOLD = (
    # Stands, and was graver at first.
    *((1, "stop:WYN", AlertScope.STOP, AlertEffect.NO_SERVICE, m, None) for m in (0, 5)),
    *((1, "stop:WYN", AlertScope.STOP, AlertEffect.DETOUR, m, None) for m in (10, 15)),
    # Ceased to be told.
    (2, "line:east", AlertScope.LINE, AlertEffect.SIGNIFICANT_DELAYS, 0, 60),
    # Told to the last, but its time is over.
    (3, "network:A", AlertScope.NETWORK, AlertEffect.REDUCED_SERVICE, 15, 15),
)


def at(minute: float) -> datetime:
    return START + timedelta(minutes=minute)


async def test_what_is_in_force_is_what_was_told_last_and_has_not_ended(clickhouse: ClickHouse):
    columns = list(zip(*TOLD, strict=True))
    rows = len(TOLD)
    table = pa.table(
        {
            "city": ["c"] * rows,
            "entity_id": list(columns[1]),
            "time": pa.array([at(m) for m in columns[4]], pa.timestamp("ms", "UTC")),
            "alert": [LEAST + number for number in columns[0]],
            "scope": pa.array(list(map(int, columns[2])), pa.uint32()),
            "effect": pa.array(list(map(int, columns[3])), pa.uint32()),
            "cause": pa.array([int(AlertCause.STRIKE)] * rows, pa.uint32()),
            "level": pa.array([int(AlertLevel.WARNING)] * rows, pa.uint32()),
            "from_s": [math.nan] * rows,
            "until_s": [math.nan if end is None else at(end).timestamp() for end in columns[5]],
            "kafka_offset": list(range(rows)),
        }
    )
    await clickhouse.insert("traffic.service_alert", table)
    query = (
        "SELECT alert, entity_id, scope, effect, cause, level, announced_from, announced_end, first_time, last_time,"
        " in_force FROM traffic.service_alerts ORDER BY alert, first_time"
    )
    words = "STRIKE", "WARNING"

    def row(
        alert: int, entity: str, scope: str, effect: str, end: datetime | None, first: int, last: int, in_force: int
    ) -> tuple[object, ...]:
        return (int(LEAST) + alert, entity, scope, effect, *words, None, end, at(first), at(last), in_force)

    def in_utc(value: object) -> object:
        return value.replace(tzinfo=UTC) if isinstance(value, datetime) else value

    assert [tuple(map(in_utc, found)) for found in await clickhouse.query(query)] == [
        row(1, "stop:WYN", "STOP", "NO_SERVICE", None, 0, 5, 0),
        row(1, "stop:WYN", "STOP", "DETOUR", None, 10, 15, 1),
        row(2, "line:east", "LINE", "SIGNIFICANT_DELAYS", at(60), 0, 0, 0),
        row(3, "network:A", "NETWORK", "REDUCED_SERVICE", at(15), 15, 15, 0),
    ]


async def test_an_alert_of_a_feed_that_tells_of_none_any_more_is_over_when_trains_have_gone_on(clickhouse: ClickHouse):
    def table(time: datetime, **columns: list[object]) -> pa.Table:
        told = {"city": ["c"], "entity_id": ["stop:WYN"], "time": pa.array([time], pa.timestamp("ms", "UTC"))}
        return pa.table(told | columns)

    one = pa.array([1], pa.uint32())
    alert = table(at(0), alert=[LEAST], scope=one, effect=one, from_s=[math.nan], until_s=[math.nan])
    await clickhouse.insert("traffic.service_alert", alert)
    in_force = "SELECT in_force, cause FROM traffic.service_alerts"
    assert [tuple(row) for row in await clickhouse.query(in_force)] == [(1, "")]
    await clickhouse.insert("traffic.rail_call", table(at(10), state=one))
    assert [tuple(row) for row in await clickhouse.query(in_force)] == [(0, "")]
