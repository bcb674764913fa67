"""What analysts see, held against plain Python: hidden cells, people inside buildings, how requests are answered."""

from __future__ import annotations

import random
import statistics
from collections import defaultdict
from datetime import UTC, datetime, timedelta

import h3.api.basic_int as h3
import numpy as np
import pyarrow as pa

from services.community.indices.occupancy import occupancy
from services.community.indices.suppression import hidden_cells, hidden_totals
from services.runtime.clickhouse import ClickHouse

START = datetime(2026, 6, 1, tzinfo=UTC)
TIME = pa.timestamp("ms", "UTC")
HOURS, SENSORS = 24, 9
CELLS = sorted(h3.grid_disk(h3.latlng_to_cell(-36.85, 174.76, 8), 1))[:4]


def times(minutes: list[int]) -> pa.Array:
    return pa.array([START + timedelta(minutes=m) for m in minutes], TIME)


def _number(value: int | None) -> float:
    return np.nan if value is None else float(value)


def known(value: float) -> float | None:
    return None if np.isnan(value) else value


async def test_people_by_cell_and_hour_are_shown_as_the_rule_of_small_cells_allows(clickhouse: ClickHouse):
    chance = random.Random(4)
    cells = {f"s{i}": CELLS[i % len(CELLS)] for i in range(SENSORS)}
    entities = {
        "city": pa.array(["c"] * SENSORS),
        "entity_id": pa.array(list(cells)),
        "h3_cell": pa.array([h3.cell_to_center_child(cell, 9) for cell in cells.values()], pa.uint64()),
    }
    await clickhouse.insert("community.entities", pa.table(entities))
    rows = [
        (s, h, float(chance.choice([0, 1, 4, 9, 10, 12] if h % 6 else [0, 1, 2])))
        for h in range(HOURS)
        for s in cells
        if chance.random() < 0.8
    ]
    # A third of the sensors tells no density. That of fewer than ten people would tell how many they are.
    densities = [np.nan if chance.random() < 0.3 else chance.random() for _ in rows]
    counts = {
        "city": pa.array(["c"] * len(rows)),
        "window": pa.array(["1h"] * len(rows)),
        "entity_id": pa.array([row[0] for row in rows]),
        "start_time": times([row[1] * 60 for row in rows]),
        "revision": pa.array([1] * len(rows), pa.uint32()),
        "count_sum": pa.array([row[2] for row in rows]),
        "count_max": pa.array([row[2] for row in rows]),
        "density_p_m2_max": pa.array(densities),
        "confidence_mean": pa.array([0.5] * len(rows)),
    }
    await clickhouse.insert("community.people_count_windows", pa.table(counts))
    by_hour: dict[int, dict[int, list[float]]] = defaultdict(lambda: defaultdict(list))
    for sensor, hour, count in rows:
        by_hour[hour][cells[sensor]].append(count)
    dense: dict[tuple[int, int], list[float]] = defaultdict(list)
    for (sensor, hour, count), density in zip(rows, densities, strict=True):
        if count >= 10 and not np.isnan(density):
            dense[hour, cells[sensor]].append(density)
    expected = {}
    hidden_sums = 0
    for hour, found in by_hour.items():
        sums = np.array([int(sum(found[cell])) for cell in sorted(found)])
        total = None if hidden_totals(sums) else float(sums.sum())
        hidden_sums += total is None
        for cell, people, hide in zip(sorted(found), sums.tolist(), hidden_cells(sums).tolist(), strict=True):
            sensors = sum(c == cell for c in cells.values())
            expected[START + timedelta(hours=hour), cell] = (
                None if hide else float(people),
                total,
                len(found[cell]),
                len(found[cell]) / sensors,
                0.5,
                None if hide else max(dense[hour, cell], default=None),
            )
    shown = await clickhouse.query(
        "SELECT start_time, h3_cell, people, city_people, sensors, coverage, confidence, peak_density_p_m2"
        " FROM community.people_flow FINAL"
    )
    assert {
        (r[0].replace(tzinfo=UTC), r[1]): (known(r[2]), known(r[3]), *r[4:7], known(r[7])) for r in shown
    } == expected
    assert {True, False} == {value[5] is None for value in expected.values() if value[0] is not None}
    assert {True, False} == {value[0] is None for value in expected.values()}
    assert 0 < hidden_sums < HOURS


async def test_people_inside_a_building_are_those_of_the_pure_index_and_fewer_than_ten_are_hidden(
    clickhouse: ClickHouse,
):
    chance = random.Random(9)
    events = []
    for minute in range(600):
        building = chance.randrange(6)
        kind = chance.choice(["in"] * 5 + ["out"] * (building + 2) + (["count"] if building % 2 else []))
        events.append((building, minute // 2, kind, chance.randint(1, 4), chance.randint(5, 40)))
    gates = [f"b{b}" if kind == "count" else f"b{b}-gate{m % 3}" for b, m, kind, _, _ in events]

    def column(of: str, place: int) -> list[float]:
        return [float(event[place]) if event[2] == of else np.nan for event in events]

    table = {
        "city": pa.array(["c"] * len(events)),
        "entity_id": pa.array(gates),
        "time": times([event[1] for event in events]),
        "outcome": pa.array([5 if event[2] == "count" else 1 for event in events], pa.uint32()),
        "count_in": pa.array(column("in", 3), pa.float32()),
        "count_out": pa.array(column("out", 3), pa.float32()),
        "occupancy": pa.array(column("count", 4), pa.float32()),
        "source_id": pa.array(["gateway"] * len(events)),
        "sequence": pa.array(range(1, len(events) + 1), pa.uint64()),
        "kafka_offset": pa.array(range(len(events)), pa.int64()),
    }
    await clickhouse.insert("community.passage", pa.table(table))
    # What a source sent twice is in the log, and in the archive, twice.
    again = {**table, "kafka_offset": pa.array(range(9_000, 9_000 + len(events)), pa.int64())}
    await clickhouse.insert("community.passage", pa.table(again))
    await clickhouse.command(
        "INSERT INTO community.entities (city, entity_id, labels) SELECT DISTINCT city, entity_id,"
        " map('building', splitByChar('-', entity_id)[1]) FROM community.passage WHERE entity_id LIKE '%-%'"
    )
    area = np.array([event[0] for event in events])
    found = occupancy(
        area,
        np.array([event[1] for event in events]),
        np.nan_to_num(column("in", 3)).astype(np.int64),
        np.nan_to_num(column("out", 3)).astype(np.int64),
        np.array(column("count", 4)),
    )
    last = {f"b{area[place]}": int(n) for place, n in zip(found.order, found.inside, strict=True)}
    shown = await clickhouse.query("SELECT building, people FROM community.building_occupancy FINAL")
    assert {row[0]: known(row[1]) for row in shown} == {b: float(n) if n >= 10 else None for b, n in last.items()}
    assert min(last.values()) < 10 <= max(last.values())


async def test_how_requests_are_answered_by_category_area_and_month(clickhouse: ClickHouse):
    chance, nan = random.Random(6), float("nan")
    rows = []
    groups: dict[str, list[tuple[float, float, float]]] = defaultdict(list)
    for number in range(120):
        entity = f"{chance.choice(['noise', 'water'])}:{chance.choice(['8a', '8b'])}"
        opened = chance.randrange(20_000)
        taken = chance.randrange(1, 9_000) if chance.random() < 0.7 else None
        done = chance.randrange(9_000, 20_000) if chance.random() < 0.7 else None
        mark = chance.randint(1, 5) if chance.random() < 0.4 else None
        rows.append((entity, number, opened, 1.0, nan, nan, nan))
        if taken is not None:
            rows.append((entity, number, opened + taken, nan, taken * 60.0, nan, nan))
        if done is not None:
            rows.append((entity, number, opened + done, nan, nan, done * 60.0, nan))
        if mark is not None:
            rows.append((entity, number, opened + 20_001, nan, nan, nan, float(mark)))
        groups[entity].append((_number(taken), _number(done), _number(mark)))
    # An answer to a request that nobody opened within memory is of no month.
    rows.append(("noise:8a", 999, 5, nan, nan, 60.0, nan))
    names = ("opened", "acknowledged_after_s", "resolved_after_s", "satisfaction")
    table = {
        "city": pa.array(["c"] * len(rows)),
        "entity_id": pa.array([row[0] for row in rows]),
        "time": times([row[2] for row in rows]),
        **{name: pa.array([row[3 + i] for row in rows], pa.float32()) for i, name in enumerate(names)},
        "request_a": pa.array([2.0**52 + row[1] for row in rows]),
        "request_b": pa.array([2.0**52] * len(rows)),
        "kafka_offset": pa.array(range(len(rows)), pa.int64()),
    }
    await clickhouse.insert("community.service_request", pa.table(table))
    shown = await clickhouse.query(
        "SELECT category || ':' || area, month, requests, acknowledged_share, acknowledged_after_median,"
        " resolved_share, resolved_after_median, ratings, satisfied_share, acknowledged_after_p90, resolved_after_p90,"
        " satisfaction_mean FROM community.request_rates FINAL"
    )
    assert {str(row[1]) for row in shown} == {"2026-06-01"}
    rated = set()
    assert len(shown) == len(groups) == 4
    for name, _, *told in shown:
        taken_all, done_all, marks = (np.array(column) for column in zip(*groups[name], strict=True))
        is_marked = ~np.isnan(marks)
        enough = is_marked.sum() >= 10
        rated.add(bool(enough))
        np.testing.assert_allclose(
            told,
            [
                len(marks),
                (~np.isnan(taken_all) | ~np.isnan(done_all)).mean(),
                60 * statistics.median(taken_all[~np.isnan(taken_all)]),
                (~np.isnan(done_all)).mean(),
                60 * statistics.median(done_all[~np.isnan(done_all)]),
                is_marked.sum() if enough else nan,
                (marks[is_marked] >= 4).mean() if enough else nan,
                60 * np.quantile(taken_all[~np.isnan(taken_all)], 0.9),
                60 * np.quantile(done_all[~np.isnan(done_all)], 0.9),
                marks[is_marked].mean() if enough else nan,
            ],
            rtol=1e-6,
        )
    assert rated == {True, False}
