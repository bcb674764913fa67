"""What earlier panes keep of a few subjects is found among all of them, whatever came, changed or left meanwhile."""

from __future__ import annotations

import numpy as np
import pytest

from services.core.kept import Kept, sort
from services.core.subjects import Pane, Subjects

PANE_MS = 60_000
LOOK_BACK_MS = 40 * PANE_MS
COLUMNS = 2  # the subject is the second


def pane_of(chance: np.random.Generator, start_ms: int, rows: int, people: int) -> Kept:
    who = chance.integers(0, people, rows).astype(np.float64)
    who[chance.random(rows) < 0.1] = np.nan
    times = start_ms + chance.integers(0, PANE_MS, rows)
    return sort([Kept(chance.integers(0, 5, rows), times, (chance.random(rows).astype(np.float32), who))])


def rows_of(parts: list[Kept]) -> list[tuple[float, ...]]:
    """What is kept, each once, in order."""
    columns = ((part.slot, part.time_ms, *part.values) for part in parts)
    return sorted({row for part in columns for row in zip(*(c.tolist() for c in part), strict=True)})


def brute(kept: dict[Pane, Kept], subjects: set[float], since_ms: int, until_ms: int, ring: int) -> list[Kept]:
    found = []
    for (of_ring, _), part in kept.items():
        mine = np.isin(part.values[1], [*subjects]) & (part.time_ms >= since_ms) & (part.time_ms < until_ms)
        found += [part.take(mine)] if of_ring == ring else []
    return found


@pytest.mark.parametrize("people", [3, 40, 5_000])
@pytest.mark.parametrize("seed", range(3))
def test_what_is_found_is_what_a_look_at_every_pane_finds(people: int, seed: int):
    chance = np.random.default_rng(seed)
    kept: dict[Pane, Kept] = {}
    subjects = Subjects(COLUMNS - 1, kept)
    for number in range(150):
        now_ms = number * PANE_MS
        since_ms = now_ms - LOOK_BACK_MS
        for ring in (0, 1):
            kept[ring, now_ms] = pane_of(chance, now_ms, int(chance.integers(1, 60)), people)
        if chance.random() < 0.3:  # somebody comes late: an older pane keeps more than before
            late = (0, int(chance.choice([start for _, start in kept])))
            kept[late] = sort([kept[late], pane_of(chance, late[1], 3, people)])
            subjects.forget(late)
        for gone in [pane for pane in kept if pane[1] < since_ms - 5 * PANE_MS]:
            del kept[gone]
            subjects.forget(gone)
        asked = kept[0, now_ms].values[1]
        asked = asked[asked == asked]
        panes = sorted(pane for pane in kept if since_ms <= pane[1] < now_ms and pane[0] == 0)
        found = [*subjects.find(asked, panes, since_ms, now_ms, [0])]
        assert rows_of(found) == rows_of(brute(kept, set(asked.tolist()), since_ms, now_ms, 0)), number


def test_times_that_a_mark_cannot_hold_hide_nobody():
    for start_ms in (-(10**15), 2**32 * 1000 + 5 * PANE_MS):
        who = np.array([1.0, 2.0])
        kept = {(0, start_ms): Kept(np.zeros(2, np.int64), np.full(2, start_ms), (np.zeros(2, np.float32), who))}
        found = [*Subjects(COLUMNS - 1, kept).find(who[:1], [*kept], start_ms - PANE_MS, start_ms + PANE_MS, [0])]
        assert [part.values[1].tolist() for part in found] == [[1.0]]


def test_an_index_lets_go_of_what_is_gone():
    kept: dict[Pane, Kept] = {}
    subjects = Subjects(COLUMNS - 1, kept)
    chance = np.random.default_rng(1)
    for number in range(400):
        now_ms = number * PANE_MS
        kept[0, now_ms] = pane_of(chance, now_ms, 50, 10)
        for gone in [pane for pane in kept if pane[1] < now_ms - LOOK_BACK_MS]:
            del kept[gone]
            subjects.forget(gone)
        asked = np.arange(10.0)
        assert [
            *subjects.find(asked, [p for p in kept if p[1] < now_ms], now_ms - LOOK_BACK_MS, now_ms, [0])
        ] or not number
    held = sum(len(index.subject) for index in subjects._indices)
    assert held < 3 * sum(len(part.slot) for part in kept.values())
