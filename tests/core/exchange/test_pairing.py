"""Shared incidents against a plain search over all pairs of reports, and whatever order they come in."""

from __future__ import annotations

import random
from collections.abc import Sequence
from itertools import product

import h3.api.basic_int as h3
import pytest

from services.core.correlation.incident import IncidentState
from services.core.exchange import SLACK_MS, Board, Pairing, Report, SharedIncident, SharedState
from services.core.signals import Severity, id_of
from tests.core.correlation.city import MINUTE, NOON
from tests.core.exchange.border import EAST, FAR, MIDDLE, SOUTH, WEST, report, some_reports

SEEDS = range(40)
BESIDE = next(iter(h3.grid_ring(MIDDLE, 1)))
TWO_AWAY = next(iter(h3.grid_ring(MIDDLE, 2)))


def newest(reports: Sequence[Report]) -> dict[tuple[str, str], Report]:
    found: dict[tuple[str, str], Report] = {}
    for one in reports:
        if one.key not in found or found[one.key].revision < one.revision:
            found[one.key] = one
    return found


def plain_family(rule: str) -> str:
    return "crowd" if rule in ("crowd_road_pressure", "noise_then_crowd") else rule


def plain_links(one: Report, other: Report) -> bool:
    """By the words of the README, not by its code."""
    near = any(h3.grid_distance(a, b) <= 1 for a, b in product(one.cells, other.cells))
    apart_ms = max(one.start_ms - other.end_ms, other.start_ms - one.end_ms)
    return (
        one.city != other.city and plain_family(one.rule) == plain_family(other.rule) and near and apart_ms <= SLACK_MS
    )


def plain_groups(reports: Sequence[Report]) -> list[tuple[str, list[tuple[str, str]]]]:
    """Id and members of every group, by joining every pair that is linked."""
    left = [one for one in newest(reports).values() if one.cells and one.state not in (5, 7)]
    groups = [{one.key} for one in left]
    for one, other in product(left, left):
        if plain_links(one, other):
            joined = [group for group in groups if one.key in group or other.key in group]
            groups = [group for group in groups if group not in joined] + [set().union(*joined)]
    by_key = {one.key: one for one in left}
    found = []
    for group in groups:
        if len(group) > 1:
            members = sorted((by_key[key] for key in group), key=lambda r: (r.city, r.start_ms, r.incident_id))
            first = {member.city: member.incident_id for member in reversed(members)}
            found.append((id_of("shared incident", *sorted(first.values())), [m.key for m in members]))
    return sorted(found)


def shape(shared: Sequence[SharedIncident]) -> list[tuple[str, list[tuple[str, str]]]]:
    return sorted((one.id, [member.key for member in one.reports]) for one in shared)


@pytest.mark.parametrize("seed", SEEDS)
def test_it_finds_what_a_search_over_all_pairs_finds(seed):
    reports = some_reports(seed)
    pairing = Pairing(WEST, EAST)
    for count, one in enumerate(reports, 1):
        pairing.take(one)
        assert shape(pairing.standing) == plain_groups(reports[:count])


def test_the_search_over_all_pairs_has_something_to_find():
    sizes = [len(members) for seed in SEEDS for _, members in plain_groups(some_reports(seed))]
    assert len(sizes) > 40
    assert max(sizes) >= 4


@pytest.mark.parametrize("seed", SEEDS)
def test_both_cities_find_the_same_in_any_order_and_with_any_repetition(seed):
    reports = some_reports(seed)
    chance = random.Random(seed)
    west, east = Board(WEST), Board(EAST)
    for board in (west, east):
        shuffled = [*reports, *chance.choices(reports, k=20)]
        chance.shuffle(shuffled)
        told: dict[str, SharedIncident] = {}
        for one in shuffled:
            for version in board.take(one):
                assert version.revision == (told[version.id].revision if version.id in told else 0) + 1
                told[version.id] = version
        assert sorted((v for v in told.values() if v.stands), key=lambda v: v.id) == board.standing
    assert west.standing == east.standing


@pytest.mark.parametrize("seed", SEEDS)
def test_another_city_has_no_say_in_what_two_have_in_common(seed):
    reports = some_reports(seed, 24, (WEST, EAST, SOUTH))
    west, east, alone = Board(WEST), Board(EAST), Pairing(WEST, EAST)
    for one in reports:
        west.take(one)
        if one.city != SOUTH:
            east.take(one)
            alone.take(one)
    assert [one for one in west.standing if EAST in one.cities] == east.standing == alone.standing


@pytest.mark.parametrize("seed", SEEDS)
def test_a_run_that_ended_anywhere_is_taken_up_again(seed):
    """Reports reach the log before what is told of them does, or the reverse; some of what was told is lost."""
    reports, chance = some_reports(seed), random.Random(seed)
    first, cut = Board(WEST), chance.randrange(len(reports))
    told = [version for one in reports[:cut] for version in first.take(one)]
    kept = told[: chance.randrange(len(told) + 1)]
    chance.shuffle(kept)
    second = Board(WEST)
    versions = {version.id: version for version in sorted(kept, key=lambda v: v.revision)}
    again = second.recover(reports[:cut], kept) + [v for one in reports[cut:] for v in second.take(one)]
    for version in again:
        assert version.revision == (versions[version.id].revision if version.id in versions else 0) + 1
        versions[version.id] = version
    whole = Board(WEST)
    for one in reports:
        whole.take(one)
    assert sorted((v for v in versions.values() if v.stands), key=lambda v: v.id) == whole.standing
    assert second.recover((), versions.values()) == []


@pytest.mark.parametrize(
    ("changes", "one"),
    [
        ({}, True),
        ({"cells": (BESIDE,)}, True),
        ({"cells": (TWO_AWAY,)}, False),
        ({"cells": (FAR, BESIDE)}, True),
        ({"rule": "noise_then_crowd"}, True),
        ({"rule": "street_flooding"}, False),
        ({"start_ms": NOON + 30 * MINUTE + SLACK_MS, "end_ms": NOON + 90 * MINUTE}, True),
        ({"start_ms": NOON + 30 * MINUTE + SLACK_MS + 1, "end_ms": NOON + 90 * MINUTE}, False),
        ({"start_ms": NOON - 90 * MINUTE, "end_ms": NOON - SLACK_MS}, True),
        ({"start_ms": NOON - 90 * MINUTE, "end_ms": NOON - SLACK_MS - 1}, False),
        ({"state": IncidentState.SUPERSEDED}, False),
        ({"cells": ()}, False),
    ],
)
def test_what_makes_two_reports_one_event(changes, one):
    pairing = Pairing(WEST, EAST)
    pairing.take(report(WEST))
    assert len(pairing.take(report(EAST, **changes))) == one


def test_two_reports_of_one_city_are_nothing_shared():
    pairing = Pairing(WEST, EAST)
    assert pairing.take(report(WEST, "a")) + pairing.take(report(WEST, "b")) == []


def test_it_is_open_until_it_is_over_in_both_cities():
    pairing = Pairing(WEST, EAST)
    pairing.take(report(WEST))
    (opened,) = pairing.take(report(EAST, severity=Severity.EXTREME, end_ms=NOON + 40 * MINUTE, cells=(BESIDE,)))
    assert (opened.state, opened.severity, opened.revision) == (SharedState.OPEN, Severity.EXTREME, 1)
    assert (opened.start_ms, opened.end_ms, opened.cells) == (NOON, NOON + 40 * MINUTE, tuple(sorted((MIDDLE, BESIDE))))
    (still,) = pairing.take(report(WEST, revision=2, state=IncidentState.RESOLVED))
    (over,) = pairing.take(report(EAST, revision=2, state=IncidentState.RESOLVED))
    assert (still.state, over.state, over.revision) == (SharedState.OPEN, SharedState.RESOLVED, 3)
    (again,) = pairing.take(report(EAST, revision=3, state=IncidentState.REOPENED))
    assert (again.state, again.id) == (SharedState.OPEN, opened.id)


def test_a_city_that_takes_its_part_back_withdraws_it_and_may_come_again():
    pairing = Pairing(WEST, EAST)
    pairing.take(report(WEST))
    (opened,) = pairing.take(report(EAST))
    (gone,) = pairing.take(report(EAST, revision=2, state=IncidentState.RETRACTED, cells=()))
    assert (gone.id, gone.state, gone.superseded_by, gone.revision) == (opened.id, SharedState.WITHDRAWN, "", 2)
    assert pairing.standing == []
    (back,) = pairing.take(report(EAST, revision=3))
    assert (back.id, back.state, back.revision) == (opened.id, SharedState.OPEN, 3)


def test_an_earlier_incident_that_joins_gives_it_another_id_and_says_so():
    pairing = Pairing(WEST, EAST)
    pairing.take(report(WEST))
    (opened,) = pairing.take(report(EAST, "later"))
    versions = {v.state: v for v in pairing.take(report(EAST, "earlier", start_ms=NOON - MINUTE))}
    assert versions[SharedState.SUPERSEDED].id == opened.id
    assert versions[SharedState.SUPERSEDED].superseded_by == versions[SharedState.OPEN].id != opened.id
    assert len(versions[SharedState.OPEN].reports) == 3


def test_a_report_of_a_third_city_is_refused_by_a_pairing_and_a_city_is_no_neighbour_of_its_own():
    with pytest.raises(ValueError, match=SOUTH):
        Pairing(WEST, EAST).take(report(SOUTH))
    with pytest.raises(ValueError, match="itself"):
        Pairing(WEST, WEST)
