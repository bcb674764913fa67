"""One emergency at the border of two areas is one case: held against each call beside each other, over all cells."""

from __future__ import annotations

import math
import random
from collections import defaultdict
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import numpy as np
import pytest

from services.core.geometry import EARTH_RADIUS_M, cell_of, cells_near, great_circle_m
from services.feeds.csv_rows import Row
from services.feeds.emergency_calls import read_line
from services.feeds.open311 import AREA_RESOLUTION
from services.security.emergency_call import EMERGENCY_CALL
from services.security.indices.cases import CASE_RADIUS_M, CASE_WITHIN_MS, EmergencyNature, mark_cases
from tests.core.domains.security.engine import steps_of

START = datetime(2026, 6, 1, tzinfo=UTC)
METRE = math.degrees(1 / EARTH_RADIUS_M)
Call = tuple[float, str, float, float]  # second, nature, degrees north and east


def near(chance: random.Random, at: tuple[float, float], metres: float) -> tuple[float, float]:
    """A point at most so far from another one."""
    far, way = metres * math.sqrt(chance.random()), chance.uniform(0, 2 * math.pi)
    east = far * math.sin(way) * METRE / math.cos(math.radians(at[0]))
    return at[0] + far * math.cos(way) * METRE, at[1] + east


def some_calls(seed: int, emergencies: int = 250, latitude: float = 29.7) -> list[Call]:
    """Up to four calls about each emergency, in a city some seven kilometres wide, in two hours."""
    chance = random.Random(seed)
    calls: list[Call] = []
    for _ in range(emergencies):
        at, nature = near(chance, (latitude, 116.0), 3_500), chance.choice(["fire", "medical"])
        second = chance.uniform(0, 7_200)
        for _ in range(chance.randint(1, 4)):
            calls.append((round(second + chance.uniform(0, 300)), nature, *near(chance, at, 60)))
    return calls


def rows_of(calls: Sequence[Call]) -> list[Row]:
    """What the feed makes of them."""
    rows: list[Row] = []
    for second, nature, latitude, longitude in calls:
        time = (START + timedelta(seconds=second)).isoformat()
        line = {"time": time, "service": "119", "nature": nature, "dispatched": "", "arrived": ""}
        rows += read_line(line | {"latitude": repr(latitude), "longitude": repr(longitude)}, ZoneInfo("UTC"))
    return rows


def count_cases(rows: Sequence[Row]) -> int:
    """Cases of all areas together."""
    areas: dict[str, list[tuple[float, dict[str, float]]]] = defaultdict(list)
    for row in rows:
        nature = float(EmergencyNature[row["nature"].removeprefix("EMERGENCY_NATURE_")])
        told = {"calls": float(row["calls"]), "nature": nature}
        second = (datetime.fromisoformat(row["time"]) - START).total_seconds()
        areas[row["entity_id"]].append((second, told | {name: row[name] for name in ("latitude", "longitude")}))
    return sum(int(mark_cases(steps_of(EMERGENCY_CALL, told)).sum()) for told in areas.values())


def by_brute_force(calls: Sequence[Call]) -> tuple[int, int, int]:
    """Cases, by each call against each one before it; pairs of calls about one, and those of two areas among them."""
    calls = sorted(set(calls), key=lambda call: (call[0], call[2], call[3]))
    second, _, north, east = (np.array(values) for values in zip(*calls, strict=True))
    cells = np.array([cell_of(call[2], call[3], AREA_RESOLUTION) for call in calls])
    cases = pairs = across = 0
    for i, call in enumerate(calls):
        alike = np.array([other[1] == call[1] for other in calls[:i]], np.bool_)
        alike &= (second[i] - second[:i]) * 1000 <= CASE_WITHIN_MS
        alike &= great_circle_m(north[i], east[i], north[:i], east[:i]) <= CASE_RADIUS_M
        cases += not alike.any()
        pairs += int(alike.sum())
        across += int((alike & (cells[:i] != cells[i])).sum())
    return cases, pairs, across


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("latitude", [0.01, 29.7, -36.8, 64.1])
def test_every_pair_at_a_border_is_one_case_in_any_order_and_told_twice(seed: int, latitude: float):
    calls = some_calls(seed, latitude=latitude)
    cases, pairs, across = by_brute_force(calls)
    assert pairs > 400
    assert across > 0.02 * pairs
    rows = rows_of(calls)
    assert count_cases(rows) == cases
    random.Random(seed).shuffle(rows)
    assert count_cases([*rows, *rows[::-1]]) == cases
    # Without what the next areas are told of there are more.
    assert count_cases([row for row in rows if row["calls"]]) > cases


@pytest.mark.parametrize("at", [(0.0, 180.0), (29.7, 116.0), (85.0, -179.999), (-36.85, 174.76)])
def test_no_cell_within_the_radius_is_missed_and_few_others_are_named(at: tuple[float, float]):
    chance = random.Random(5)
    told = missed = others = 0
    for _ in range(150):
        here = near(chance, at, 2_000)
        here = here[0], (here[1] + 180.0) % 360.0 - 180.0
        own, found = cell_of(*here, AREA_RESOLUTION), {*cells_near(*here, CASE_RADIUS_M, AREA_RESOLUTION)}
        edge = [near(chance, here, CASE_RADIUS_M) for _ in range(60)]
        there = {cell_of(n, (e + 180.0) % 360.0 - 180.0, AREA_RESOLUTION) for n, e in edge} - {own}
        told, missed, others = told + len(found), missed + len(there - found), others + len(found - there)
    assert missed == 0
    assert told > 30
    assert others < told / 3  # of those that the few points did not hit


def test_a_radius_that_is_too_long_for_the_cells_is_refused():
    with pytest.raises(ValueError, match="too long for cells of resolution 12"):
        cells_near(29.7, 116.0, CASE_RADIUS_M, 12)
    with pytest.raises(ValueError, match="no point"):
        cells_near(99.7, 116.0, CASE_RADIUS_M, 8)
