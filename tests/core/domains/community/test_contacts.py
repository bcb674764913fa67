"""The contact list equals brute force: every moment of every two people is looked at, one by one."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from services.community.indices.contacts import BEFORE_ONSET_MS, Stays, contacts_of, stays_of
from services.core.kind import DAY_MS, HOUR_MS, MINUTE_MS

CASE = np.array([0])


def stays(*rows: tuple[int, int, int, int]) -> Stays:
    """Of person, area, start and end in minutes."""
    person, area, start, end = np.array(rows, np.int64).reshape(-1, 4).T
    return Stays(person, area, start * MINUTE_MS, end * MINUTE_MS)


def found(given_stays: Stays, since: int = 0, until: int = 10 * 1440) -> list[tuple[int, int]]:
    contacts = contacts_of(given_stays, CASE, since * MINUTE_MS, until * MINUTE_MS)
    return [(p, ms // MINUTE_MS) for p, ms in zip(contacts.person.tolist(), contacts.most_ms.tolist(), strict=True)]


def test_a_quarter_of_an_hour_is_a_contact_and_less_is_none():
    assert found(stays((0, 1, 0, 100), (1, 1, 90, 105), (2, 1, 85, 120))) == [(2, 15)]
    assert found(stays((0, 1, 0, 100), (1, 2, 0, 100))) == []


def test_time_adds_up_over_places_within_a_day_but_not_longer():
    day = 1440
    rows = ((0, 1, 0, 10), (1, 1, 0, 10), (0, 2, day - 6, day + 5), (1, 2, day - 6, day + 5))
    # In the day from the first moment on: 10 + 6. A minute more at its end is one less at its start.
    assert found(stays(*rows)) == [(1, 16)]
    apart = ((0, 1, 0, 10), (1, 1, 0, 10), (0, 2, day + 10, day + 20), (1, 2, day + 10, day + 20))
    assert found(stays(*apart)) == []


def test_two_areas_at_once_count_once():
    assert found(stays((0, 1, 0, 10), (1, 1, 0, 10), (0, 2, 0, 10), (1, 2, 0, 10))) == []


def test_it_begins_two_days_before_onset():
    since = 5 * 1440 - BEFORE_ONSET_MS // MINUTE_MS
    rows = stays((0, 1, since - 100, since + 15), (1, 1, since - 100, since + 14), (2, 1, since - 100, since + 15))
    assert BEFORE_ONSET_MS == 2 * DAY_MS
    assert found(rows, since) == [(2, 15)]


def test_a_case_of_two_epochs_is_one_person():
    rows = stays((0, 1, 0, 8), (9, 1, 8, 16), (1, 1, 0, 16))
    contacts = contacts_of(rows, np.array([0, 9]), 0, DAY_MS)
    assert contacts.person.tolist() == [1]
    assert (contacts.first_ms.tolist(), contacts.last_ms.tolist()) == ([0], [16 * MINUTE_MS])


def test_a_stay_lasts_to_the_next_passage_and_no_longer_than_half_a_day():
    person = np.zeros(4, np.int64)
    time_ms = np.array([3 * HOUR_MS, 1 * HOUR_MS, 2 * HOUR_MS, 0])
    told = stays_of(person, person, time_ms, np.array([True, False, True, True]), until_ms=DAY_MS)
    spans = list(zip((told.start_ms // HOUR_MS).tolist(), (told.end_ms // HOUR_MS).tolist(), strict=True))
    assert spans == [(0, 1), (2, 3), (3, 15)]
    assert len(stays_of(person[:1], person[:1], time_ms[:1], np.array([False]), DAY_MS)) == 0


ROWS = st.lists(
    st.tuples(st.integers(0, 3), st.integers(0, 2), st.integers(0, 40), st.integers(1, 9)), min_size=1, max_size=14
)


@given(ROWS, st.integers(1, 6), st.integers(6, 20), st.integers(0, 10), st.integers(20, 50))
def test_equal_to_brute_force(rows, least, within, since, until):
    where: dict[int, list[set[int]]] = {p: [set() for _ in range(60)] for p in range(4)}
    for person, area, start, length in rows:
        for moment in range(start, start + length):
            where[person][moment].add(area)
    expected = {}
    for person in (1, 2, 3):
        together = [bool(where[0][t] & where[person][t]) and since <= t < until for t in range(60)]
        most = max(sum(together[t : t + within]) for t in range(60))
        if most >= least:
            moments = [t for t in range(60) if together[t]]
            expected[person] = (most, moments[0], moments[-1] + 1)
    person, area, start, length = np.array(rows, np.int64).T
    given_stays = Stays(person, area, start, start + length)
    contacts = contacts_of(given_stays, CASE, since, until, least_ms=least, within_ms=within)
    told = zip(
        contacts.person.tolist(),
        contacts.most_ms.tolist(),
        contacts.first_ms.tolist(),
        contacts.last_ms.tolist(),
        strict=True,
    )
    assert {p: tuple(rest) for p, *rest in told} == expected
