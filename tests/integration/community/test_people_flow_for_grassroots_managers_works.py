"""People flow for grassroots managers: who is where and who came and went, held against plain Python."""

from __future__ import annotations

import random
from collections import defaultdict
from datetime import UTC, date, datetime, timedelta

import h3.api.basic_int as h3
import numpy as np
import pyarrow as pa

from services.community.indices.suppression import hidden_cells, hidden_totals
from services.runtime.clickhouse import ClickHouse

NOW = datetime(2026, 6, 1, 12, tzinfo=UTC)
TIME = pa.timestamp("ms", "UTC")
CELL = h3.latlng_to_cell(39.9, 116.4, 9)
GRIDS = [("north", "n-1"), ("north", "n-2"), ("south", "s-1"), ("south", "s-2"), ("south", "s-3")]


def known(value: float) -> float | None:
    return None if np.isnan(value) else value


async def tell_sensors(clickhouse: ClickHouse, grids: list[tuple[str, str]]) -> None:
    for sensor, (community, grid) in enumerate(grids):
        await clickhouse.command(
            "INSERT INTO community.entities (city, entity_id, h3_cell, labels) VALUES"
            f" ('c', 's{sensor}', {CELL}, {{'community': '{community}', 'grid': '{grid}'}})"
        )


async def tell_counts(clickhouse: ClickHouse, rows: list[tuple[str, float, float]], period_s: int = 0) -> None:
    """Sensor, seconds before now, people."""
    table = {
        "city": pa.array(["c"] * len(rows)),
        "entity_id": pa.array([row[0] for row in rows]),
        "time": pa.array([NOW - timedelta(seconds=row[1]) for row in rows], TIME),
        "period_s": pa.array([period_s] * len(rows), pa.uint32()),
        "count": pa.array([row[2] for row in rows], pa.float32()),
        "confidence": pa.array([0.5 + 0.25 * (i % 2) for i in range(len(rows))], pa.float32()),
        "kafka_offset": pa.array(range(len(rows)), pa.int64()),
    }
    await clickhouse.insert("community.people_count", pa.table(table))


async def test_people_flow_works_by_community_and_grid_a_minute_old_at_most(clickhouse: ClickHouse):
    await tell_sensors(clickhouse, [*GRIDS, GRIDS[4]])
    counts = [("s0", 5.0, 40.0), ("s1", 59.9, 3.0), ("s2", 0.0, 25.0), ("s3", 60.1, 70.0), ("s4", 8.0, 90.0)]
    before = [(sensor, age + 60.0, people + 500.0) for sensor, age, people in counts]
    # Those who were counted over some time are no people who are there.
    await tell_counts(clickhouse, [("s0", 1.0, 10_000.0)], period_s=60)
    for rows in (counts, before, counts, [("s5", 30.0, 10.0)]):  # late, again, and each in a part of its own
        await tell_counts(clickhouse, rows)
    shown = await clickhouse.query(
        "SELECT community, grid, people, city_people, sensors, known_sensors, coverage, confidence, oldest_time"
        " FROM community.people_now FINAL ORDER BY grid"
    )
    minute = {(row[0], row[1]): (known(row[2]), known(row[3]), *row[4:7]) for row in shown}
    assert minute == {
        ("north", "n-1"): (40.0, 168.0, 1, 1, 1.0),
        ("north", "n-2"): (None, 168.0, 1, 1, 1.0),  # three people
        ("south", "s-1"): (None, 168.0, 1, 1, 1.0),  # without whom 168 would tell of the three
        ("south", "s-2"): (None, 168.0, 0, 1, 0.0),  # counted more than a minute ago
        ("south", "s-3"): (100.0, 168.0, 2, 2, 1.0),
    }
    assert [known(row[7]) for row in shown] == [0.5, 0.75, 0.5, None, 0.5]
    oldest = [row[8].replace(tzinfo=UTC) for row in shown]
    assert [(NOW - time).total_seconds() for time in oldest if time.year > 1970] == [5.0, 59.9, 0.0, 30.0]
    communities = await clickhouse.query(
        "SELECT community, people, grids, hidden_grids, sensors, known_sensors, confidence"
        " FROM community.community_people_now FINAL ORDER BY community"
    )
    assert [tuple(row) for row in communities] == [
        ("north", 40.0, 2, 1, 2, 2, 0.625),
        ("south", 100.0, 3, 1, 3, 4, 0.5),
    ]


async def test_people_flow_works_without_telling_small_grids_or_what_they_follow_from(clickhouse: ClickHouse):
    chance = random.Random(7)
    seen = set()
    await tell_sensors(clickhouse, GRIDS)
    for round_ in range(12):
        await clickhouse.command("TRUNCATE TABLE community._people_latest")
        people = [chance.choice([0, 3, 9, 10, 10, 11, 12]) if round_ else 4 for _ in GRIDS]
        await tell_counts(clickhouse, [(f"s{i}", 1.0 * i, float(n)) for i, n in enumerate(people)])
        rows = await clickhouse.query("SELECT people, city_people FROM community.people_now FINAL ORDER BY grid")
        counts = np.array(people)
        total = None if hidden_totals(counts) else float(counts.sum())
        assert [(known(row[0]), known(row[1])) for row in rows] == [
            (None if hide else float(n), total) for n, hide in zip(people, hidden_cells(counts).tolist(), strict=True)
        ]
        seen |= set(hidden_cells(counts).tolist()) | {"total" if total is None else "no total"}
    assert seen == {True, False, "total", "no total"}


async def test_people_flow_works_where_a_sensor_has_no_labels_by_its_cell(clickhouse: ClickHouse):
    await clickhouse.command(f"INSERT INTO community.entities (city, entity_id, h3_cell) VALUES ('c', 's0', {CELL})")
    await tell_counts(clickhouse, [("s0", 0.0, 12.0), ("s1", 0.0, 14.0)])
    rows = await clickhouse.query("SELECT community, grid, people FROM community.people_now FINAL ORDER BY people")
    cell = h3.int_to_str(h3.cell_to_parent(CELL, 8))
    assert [tuple(row) for row in rows] == [("", cell, 12.0), ("", "", 14.0)]


HOURS = 40  # over the end of a day
GATES = {"park": 3, "school": 2}
MIDNIGHT = datetime(2026, 6, 1, tzinfo=UTC)
Flow = tuple[float, float]


def flows(seed: int) -> dict[tuple[str, str, int], Flow]:
    """Who came and went, by place, gate and hour; who has come has gone when the hour of closing is over."""
    chance = random.Random(seed)
    found: dict[tuple[str, str, int], Flow] = {}
    for place, gates in GATES.items():
        inside = 0
        for hour in range(HOURS):
            if not 6 <= hour % 24 <= 20:
                continue
            last = hour % 24 == 20
            for gate in range(gates):
                came = 0 if last else chance.choice([0, 2, 6, 12, 30])
                went = min(chance.choice([0, 2, 6, 12, 30]), inside + came)
                if last and gate == gates - 1:
                    went = inside + came
                inside += came - went
                if came or went or chance.random() < 0.5:
                    found[place, f"{place}-{gate}", hour] = (float(came), float(went))
        assert HOURS % 24 <= 20 or not inside
    return found


def expected_flow(told: dict[tuple[str, str, int], Flow]) -> dict[tuple[str, datetime], tuple[float | None, ...]]:
    """What may be shown of every hour and its day: entered, departed, balance, and the same of the day."""
    sums: dict[tuple[str, int], np.ndarray] = defaultdict(lambda: np.zeros(2, np.int64))
    for (place, _, hour), flow in told.items():
        sums[place, hour] += np.array(flow, np.int64)
    latest = max(hour for _, _, hour in told)
    expected = {}
    for place in GATES:
        for day in range(2):
            hours = range(24 * day, min(24 * (day + 1), latest + 1))
            of_day = np.array([sums[place, hour] for hour in hours])
            hides = np.atleast_1d(hidden_cells(of_day.T).any(axis=0))
            total = [None] * 3 if hidden_totals(of_day.T).any() else _with_balance(of_day.sum(0))
            for hour, flow, hide in zip(hours, of_day, hides, strict=True):
                cells = [None] * 3 if hide else _with_balance(flow)
                expected[place, MIDNIGHT + timedelta(hours=hour)] = (*cells, *total)
    return expected


def _with_balance(flow: np.ndarray) -> list[float]:
    came, went = flow.tolist()
    return [float(came), float(went), float(came - went)]


async def tell_flows(clickhouse: ClickHouse, kind: str, label: str, told: dict[tuple[str, str, int], Flow]) -> None:
    gates = sorted({(place, gate) for place, gate, _ in told})
    for place, gate in gates:
        await clickhouse.command(
            f"INSERT INTO community.entities (city, entity_id, labels) VALUES ('c', '{gate}', {{'{label}': '{place}'}})"
        )
    table = {
        "city": pa.array(["c"] * len(told)),
        "window": pa.array(["1h"] * len(told)),
        "entity_id": pa.array([gate for _, gate, _ in told]),
        "start_time": pa.array([MIDNIGHT + timedelta(hours=hour) for _, _, hour in told], TIME),
        "count_in_sum": pa.array([flow[0] for flow in told.values()]),
        "count_out_sum": pa.array([flow[1] for flow in told.values()]),
    }
    for revision, times in ((1, 0.5), (2, 1.0)):  # a late observation made another one
        more = {
            "revision": pa.array([revision] * len(told), pa.uint32()),
            "count_in_sum": pa.array([flow[0] * times for flow in told.values()]),
        }
        await clickhouse.insert(f"community.{kind}_windows", pa.table({**table, **more}))


async def test_people_flow_works_with_the_passages_that_gates_denied_where_they_are_ten(clickhouse: ClickHouse):
    for gate in ("a", "b"):
        await clickhouse.command(
            "INSERT INTO community.entities (city, entity_id, labels) VALUES"
            f" ('c', '{gate}', {{'building': 'hall', 'place': 'hall'}})"
        )
    # Nine and ten in all by two gates; of the others, who passed, however many they are.
    told = [("a", 0, 2, 5), ("b", 0, 2, 4), ("a", 1, 2, 5), ("b", 1, 2, 5), ("a", 2, 1, 500)]
    table = {
        "city": pa.array(["c"] * len(told)),
        "window": pa.array(["1h"] * len(told)),
        "entity_id": pa.array([gate for gate, *_ in told]),
        "start_time": pa.array([MIDNIGHT + timedelta(hours=hour) for _, hour, *_ in told], TIME),
        "revision": pa.array([1] * len(told), pa.uint32()),
        **{f"outcome_top{n}": pa.array([np.nan] * len(told)) for n in (1, 3, 4, 5)},
        "outcome_top2": pa.array([float(outcome) for _, _, outcome, _ in told]),
        "outcome_top2_count": pa.array([float(count) for *_, count in told]),
        "count_in_sum": pa.array([500.0] * len(told)),
    }
    await clickhouse.insert("community.passage_windows", pa.table(table))
    await clickhouse.insert("community.people_count_windows", pa.table({k: table[k] for k in list(table)[:5]}))
    rows = await clickhouse.query("SELECT source, denied FROM community.gate_flow FINAL ORDER BY source, start_time")
    assert [known(denied) for source, denied in rows if source == "passage"] == [None, 10.0, None]
    assert {known(denied) for source, denied in rows if source == "people_count"} == {None}


async def test_people_flow_works_in_minus_out_balances_across_gates(clickhouse: ClickHouse):
    shown = {}
    for kind, label, told in (("people_count", "place", flows(1)), ("passage", "building", flows(2))):
        renamed = {(place, f"{kind}-{gate}", hour): flow for (place, gate, hour), flow in told.items()}
        await tell_flows(clickhouse, kind, label, renamed)
        rows = await clickhouse.query(
            "SELECT place, start_time, entered, departed, balance, day_entered, day_departed, day_balance, gates,"
            f" known_gates, coverage, day FROM community.gate_flow FINAL WHERE source = '{kind}'"
        )
        shown[kind] = {(row[0], row[1].replace(tzinfo=UTC)): row[2:] for row in rows}
        assert {key: tuple(map(known, row[:6])) for key, row in shown[kind].items()} == expected_flow(told)
        for (place, time), row in shown[kind].items():
            hour = (time - MIDNIGHT) // timedelta(hours=1)
            gates = sum(p == place and h == hour for p, _, h in told)
            # That no gate told of a passage would tell that there was none.
            of_gates = (
                (GATES[place], GATES[place], None) if kind == "passage" else (gates, GATES[place], gates / GATES[place])
            )
            assert (*row[6:8], known(row[8])) == of_gates
            assert row[9] == time.date()
    first_day = {row[5] for rows in shown.values() for row in rows.values() if row[9] == date(2026, 6, 1)}
    assert first_day == {0.0}  # all have gone
    assert {np.isnan(row[0]) for row in shown["people_count"].values()} == {True, False}
