"""A scenic area on real tables: who is there by its gates, and how the day goes on if it goes on as it began."""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

import pyarrow as pa
import pytest

from services.community.place_forecast import Hours, PlaceNow, look
from services.runtime.clickhouse import ClickHouse

AUCKLAND = ZoneInfo("Pacific/Auckland")
# Ten quarters of an hour. A Sunday three weeks after clocks were put forward: before that the same quarters lie an hour
# later in UTC.
HOURS = Hours(AUCKLAND, time(9), time(11, 30))
DAY = date(2024, 10, 20)
USUAL_IN = [20.0, 40.0, 40.0, 40.0, 60.0, 20.0, 0.0, 0.0, 0.0, 0.0]
USUAL_OUT = [0.0, 0.0, 20.0, 20.0, 20.0, 20.0, 20.0, 40.0, 40.0, 40.0]


async def store(clickhouse: ClickHouse, days: dict[date, tuple[list[float], list[float]]], gates: int = 2) -> None:
    """Windows of each day, evenly over the gates."""
    await clickhouse.command(
        "INSERT INTO community.entities (city, entity_id, numbers, labels) VALUES ('c', 'park', {'capacity': 250}, {}),"
        " ('c', 'gate-0', {}, {'place': 'park'}), ('c', 'gate-1', {}, {'place': 'park'}),"
        " ('c', 'elsewhere', {'capacity': 9}, {})"
    )
    rows = [
        (
            f"gate-{gate}",
            datetime.combine(day, HOURS.opens, AUCKLAND).astimezone(UTC) + timedelta(minutes=15 * step),
            i,
            o,
        )
        for day, (entered, left) in days.items()
        for step, (i, o) in enumerate(zip(entered, left, strict=True))
        for gate in range(gates)
    ]
    table = {
        "city": pa.array(["c"] * len(rows)),
        "window": pa.array(["15m"] * len(rows)),
        "entity_id": pa.array([row[0] for row in rows]),
        "start_time": pa.array([row[1] for row in rows], pa.timestamp("ms", "UTC")),
        "revision": pa.array([1] * len(rows), pa.uint32()),
        "count_in_sum": pa.array([row[2] / 2 for row in rows]),
        "count_out_sum": pa.array([row[3] / 2 for row in rows]),
        "confidence_mean": pa.array([0.75] * len(rows)),
    }
    await clickhouse.insert("community.people_count_windows", pa.table(table))


def at(hour: int, minute: int) -> datetime:
    return datetime.combine(DAY, time(hour, minute), AUCKLAND)


def utc(hour: int, minute: int) -> str:
    return at(hour, minute).astimezone(UTC).isoformat()


def weeks(number: int) -> dict[date, tuple[list[float], list[float]]]:
    return {DAY - timedelta(weeks=week): (USUAL_IN, USUAL_OUT) for week in range(1, number + 1)}


async def test_a_day_twice_as_lively_is_full_before_it_closes_also_across_a_change_of_clocks(clickhouse: ClickHouse):
    today = ([2 * n for n in USUAL_IN[:4]], [2 * n for n in USUAL_OUT[:4]])
    await store(clickhouse, {**weeks(8), DAY: today})
    # 280 came and 80 left; twice + 40, 0, - 20, - 40 … are to follow.
    expected = PlaceNow(utc(10, 0), 200.0, 250.0, 1.0, 0.75, 8, 0.0, 280.0, utc(10, 15))
    assert await look(clickhouse, "c", "park", HOURS, at(10, 7)) == expected


async def test_a_usual_day_stays_below_and_a_gate_that_is_silent_is_told(clickhouse: ClickHouse):
    # On each of the Sundays 20 of 220 were not seen to go.
    usual = dict.fromkeys(weeks(4), (USUAL_IN, [*USUAL_OUT[:-1], 20.0]))
    await store(clickhouse, {**usual, DAY: (USUAL_IN[:4], USUAL_OUT[:4])})
    found = await look(clickhouse, "c", "park", HOURS, at(10, 0))
    assert (found.people, found.peak, found.full_time, found.usual_days) == (100.0, 140.0, None, 4)
    assert found.gate_drift == pytest.approx(20 / 210)
    later = await look(clickhouse, "c", "park", HOURS, at(10, 15))
    assert (later.coverage, later.confidence) == (0.0, None)


async def test_without_four_such_days_nothing_is_foretold_and_fewer_than_ten_people_are_hidden(clickhouse: ClickHouse):
    await store(clickhouse, {**weeks(3), DAY: ([9.0], [0.0])}, gates=1)
    found = await look(clickhouse, "c", "park", HOURS, at(9, 15))
    assert (found.people, found.peak, found.gate_drift, found.usual_days) == (None, None, None, 3)
    assert found.coverage == 0.5


async def test_a_place_without_capacity_or_gates_or_that_is_closed_is_refused(clickhouse: ClickHouse):
    await store(clickhouse, {DAY: (USUAL_IN, USUAL_OUT)})
    for place, when, why in (
        ("nowhere", at(10, 0), "no number capacity"),
        ("elsewhere", at(10, 0), "no gates"),
        ("park", at(9, 14), "opening"),
        ("park", at(11, 45), "closing"),
    ):
        with pytest.raises(ValueError, match=why):
            await look(clickhouse, "c", place, HOURS, when)
    with pytest.raises(ValueError, match="must close"):
        Hours(AUCKLAND, time(9), time(9, 14))
