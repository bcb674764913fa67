"""What is normal is looked up for who is there now, by each city's clock. ClickHouse answers in other tests."""

from __future__ import annotations

from typing import Any

import numpy as np

from services.core.kind import HOUR_MS
from services.core.windows import WindowBatch
from services.runtime.baselines import MARK_HOUR, BaselineBook
from services.security.emergency_call import EMERGENCY_CALL

MONDAY_MS = 4 * 24 * HOUR_MS
NAN = float("nan")
STORED = [
    ("auckland", "north", 10, 3.0, 1.0, 16),
    ("auckland", "south", 22, 5.0, 2.0, 17),
    ("lima", "north", 10, 7.0, 4.0, 18),
    ("", "", MARK_HOUR, NAN, NAN, 0),
]


class Stored:
    """Takes the place of ClickHouse: rows of a baseline that is finished."""

    async def query(self, *_: Any, **__: Any) -> list[tuple[Any, ...]]:
        return STORED


def book(**zones: str) -> BaselineBook:
    stored: Any = Stored()
    nothing: Any = None
    return BaselineBook(stored, nothing, "security", EMERGENCY_CALL, zones)


def batch(cities: list[str], ids: list[str], slots: list[int], hour: int) -> WindowBatch:
    slot = np.array(slots)
    return WindowBatch(
        window=EMERGENCY_CALL.window("1h"),
        cities=cities,
        entity_ids=ids,
        slot=slot,
        start_ms=np.full(len(slot), MONDAY_MS + hour * HOUR_MS),
        revision=np.ones(len(slot), np.uint32),
        measures={},
    )


async def normal(asked: BaselineBook, told: WindowBatch) -> list[float]:
    ((rows, columns),) = await asked.pages(0, told)
    assert rows.tolist() == list(range(len(told)))
    known = ~np.isnan(columns.median)
    assert np.array_equal(np.isnan(columns.mad), ~known)
    assert np.array_equal(columns.samples > 0, known)
    return [-1.0 if np.isnan(value) else value for value in columns.median.tolist()]


async def test_each_row_has_its_entitys_median_at_its_hour():
    told = batch(["auckland", "auckland", "lima"], ["north", "south", "north"], [2, 0, 1, 0], 10)
    assert await normal(book(), told) == [7.0, 3.0, -1.0, 3.0]


async def test_the_hour_is_that_of_the_city():
    # In June of 1970 Auckland was 12 hours ahead of UTC, and so it was on the first Monday of that year.
    told = batch(["auckland", "auckland", "lima"], ["north", "south", "north"], [0, 1, 2], 10)
    assert await normal(book(auckland="Pacific/Auckland"), told) == [-1.0, 5.0, 7.0]


async def test_who_takes_the_slot_of_another_has_a_median_of_its_own():
    asked = book()
    assert await normal(asked, batch(["auckland", "lima"], ["north", "north"], [0, 1], 10)) == [3.0, 7.0]
    assert await normal(asked, batch(["lima", "lima"], ["north", "west"], [0, 1], 10)) == [7.0, -1.0]
