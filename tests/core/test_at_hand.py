"""Histories that are kept side by side tell the same as windows that are put together anew."""

from __future__ import annotations

import numpy as np
import pytest

from services.core.at_hand import AtHand, Columns

WINDOWS, SLIDE_MS = 4, 10


class Told:
    """Windows by start: a version of each, and what they tell; counts how often they are asked."""

    def __init__(self) -> None:
        self.windows: dict[int, tuple[int, np.ndarray]] = {}
        self.asked = 0

    def put(self, start_ms: int, values: list[float]) -> None:
        self.windows[start_ms] = (self.windows.get(start_ms, (0,))[0] + 1, np.array(values))

    def version(self, start_ms: int) -> tuple[int, ...] | None:
        return (self.windows[start_ms][0],) if start_ms in self.windows else None

    def tell(self, start_ms: int, slots: int) -> Columns:
        self.asked += 1
        values = np.full(slots, np.nan)
        own = self.windows[start_ms][1][:slots]
        values[: len(own)] = own
        return {"revision": (~np.isnan(values)).astype(np.float64), "level": values}

    def history(self, start_ms: int, slot: int) -> list[float]:
        starts = range(start_ms - (WINDOWS - 1) * SLIDE_MS, start_ms + 1, SLIDE_MS)
        rows = [self.windows.get(start, (0, np.empty(0)))[1] for start in starts]
        return [float(row[slot]) if slot < len(row) else np.nan for row in rows]


def at_hand(told: Told) -> AtHand:
    return AtHand(WINDOWS, SLIDE_MS, ("revision", "level"), told.version, told.tell)


def look(found: AtHand, starts: list[int], slots: list[int], entities: int) -> dict[str, np.ndarray]:
    history = found.look_back(np.array(starts), np.array(slots), entities)
    assert history is not None
    return history


def test_an_hour_later_one_window_is_put_together_and_no_more():
    told = Told()
    found = at_hand(told)
    for start in range(0, 50, 10):
        told.put(start, [1.0, float(start)])
        assert look(found, [start, start], [0, 1], 2)["level"][1].tolist() == pytest.approx(
            told.history(start, 1), nan_ok=True
        )
    assert told.asked == 5


def test_a_window_that_was_revised_is_told_anew_and_what_was_told_before_stays_as_it_was():
    told = Told()
    found = at_hand(told)
    for start in (0, 10, 20):
        told.put(start, [float(start), 5.0])
    before = look(found, [20, 20], [0, 1], 2)
    kept = before["level"].copy()
    told.put(10, [77.0, 5.0])
    after = look(found, [20, 20], [0, 1], 2)
    assert np.array_equal(before["level"], kept, equal_nan=True)
    assert after["level"][0].tolist() == pytest.approx([np.nan, 0.0, 77.0, 20.0], nan_ok=True)
    assert told.asked == 4


def test_windows_that_are_no_more_are_not_known():
    told = Told()
    found = at_hand(told)
    told.put(0, [1.0])
    told.put(10, [2.0])
    look(found, [10], [0], 1)
    del told.windows[0]
    history = look(found, [10], [0], 1)
    assert history["level"][0].tolist() == pytest.approx([np.nan, np.nan, np.nan, 2.0], nan_ok=True)
    assert history["revision"][0].tolist() == [0.0, 0.0, 0.0, 1.0]


def test_windows_further_apart_than_there_is_room_are_left_to_others():
    told = Told()
    told.put(0, [1.0])
    assert at_hand(told).look_back(np.array([0, 1000]), np.array([0, 0]), 1) is None


@pytest.mark.parametrize("seed", range(4))
def test_any_course_of_windows_tells_what_they_are(seed: int):
    chance = np.random.default_rng(seed)
    told = Told()
    found = at_hand(told)
    entities = 2
    for step in range(0, 600, 10):
        entities += int(chance.random() < 0.2)
        if chance.random() < 0.9:
            told.put(step, chance.choice([np.nan, 1.0, 2.5], entities).tolist())
        starts = [step] * entities
        slots = [*range(entities)]
        if chance.random() < 0.4 and step:
            late = int(chance.integers(max(0, step - 40), step)) // 10 * 10
            told.put(late, chance.choice([np.nan, 3.0, 4.5], entities).tolist())
            starts, slots = [late, *starts], [int(chance.integers(entities)), *slots]
        if chance.random() < 0.2:
            for gone in [start for start in told.windows if start < step - 60]:
                del told.windows[gone]
        history = look(found, starts, slots, entities)
        for row, (start, slot) in enumerate(zip(starts, slots, strict=True)):
            expected = np.array(told.history(start, slot))
            assert np.array_equal(history["level"][row], expected, equal_nan=True)
            assert history["revision"][row].tolist() == (~np.isnan(expected)).astype(float).tolist()


def test_what_was_told_stays_when_a_history_far_away_is_begun():
    told = Told()
    found = at_hand(told)
    told.put(0, [1.0, 2.0])
    told.put(1_000, [7.0, 8.0])
    before = look(found, [0, 0], [0, 1], 2)
    kept = before["level"].copy()
    look(found, [1_000, 1_000], [0, 1], 2)
    assert np.array_equal(before["level"], kept, equal_nan=True)
