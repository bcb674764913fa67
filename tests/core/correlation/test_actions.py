"""What people do with incidents: what means what in which state, and that the order of reading never matters."""

from __future__ import annotations

import random
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.core.correlation import action as action_module
from services.core.correlation.action import Action, ActionKind, Hands, fold
from services.core.correlation.correlator import Correlator
from services.core.correlation.incident import Incident, IncidentState
from tests.core.correlation.city import HOUR, MINUTE, NOON, RULE, SILENCE, SOURCES, Reader, both, congestion, crowding
from tests.core.correlation.test_any_order import CROWDS, JAMS
from tests.examples import examples

K = ActionKind
OPEN, ACKNOWLEDGED, RESOLVED, SUPERSEDED, RETRACTED, REOPENED, MERGED = IncidentState
END = NOON + HOUR


def deed(kind: ActionKind, place: int, incident_id: str = "i", *, about: str = "", seen_ms: int = END) -> Action:
    """The action at a place in the log, by an actor of its own."""
    return Action(incident_id, f"r{place}", f"actor {place}", NOON + place, "because", kind, about, seen_ms, place)


def city_with_incident() -> tuple[Reader, Incident]:
    city = Reader()
    (incident,) = city.read(crowding(), congestion(), *both(END))
    return city, incident


def whats(versions: list[Incident]) -> list[str]:
    return [change.what for version in versions for change in version.changes]


def test_the_first_acknowledgement_counts_and_a_dispatch_and_a_report_keep_their_first_time():
    steps = [
        deed(K.ACKNOWLEDGE, 1),
        deed(K.ACKNOWLEDGE, 2),
        deed(K.DISPATCH, 3, about="engine 7"),
        deed(K.DISPATCH, 4, about="ambulance 2"),
        deed(K.FEEDBACK, 5),
        deed(K.FEEDBACK, 6),
    ]
    hands = fold(steps)
    assert (hands.acknowledged_by, hands.acknowledge_time_ms) == ("actor 1", NOON + 1)
    assert (hands.dispatched, hands.dispatch_time_ms, hands.feedback_time_ms) == ("ambulance 2", NOON + 3, NOON + 5)
    assert [a.place for a in hands.actions] == [1, 3, 4, 5, 6]


def test_who_closes_it_ends_the_round_and_a_reopening_asks_for_all_of_it_again():
    closed = fold([deed(K.ACKNOWLEDGE, 1), deed(K.ASSIGN, 2, about="Bob"), deed(K.RESOLVE, 3)])
    assert (closed.closed_by, closed.close_time_ms, closed.at_work) == ("actor 3", NOON + 3, False)
    again = fold([*closed.actions, deed(K.REOPEN, 4)])
    assert (again.acknowledged_by, again.closed_by, again.assignee) == ("", "", "Bob")
    assert (again.reopen_count, again.kept_open, again.at_work) == (1, True, True)


def test_what_is_done_on_a_closed_incident_means_nothing_unless_it_has_grown_since():
    closed = [deed(K.RESOLVE, 1)]
    assert fold([*closed, deed(K.ACKNOWLEDGE, 2)]) == fold(closed)
    grown = fold([*closed, deed(K.ACKNOWLEDGE, 2, seen_ms=END + 1)])
    assert (grown.acknowledged_by, grown.closed_by, grown.reopen_count) == ("actor 2", "", 1)


def test_a_closed_incident_that_grows_is_open_again_and_one_that_shrinks_is_not():
    closed = fold([deed(K.ACKNOWLEDGE, 1), deed(K.RESOLVE, 2)])
    assert closed.at_end(END) is closed
    assert closed.at_end(END - 1) is closed
    assert (closed.at_end(END + 1).closed_by, closed.at_end(END + 1).reopen_count) == ("", 1)


def test_an_incident_takes_no_more_than_a_bound_of_actions(monkeypatch):
    monkeypatch.setattr(action_module, "MAX_ACTIONS", 3)
    assert len(fold(deed(K.FEEDBACK, place) for place in range(9)).actions) == 3


@pytest.mark.parametrize("kind", [K.ACKNOWLEDGE, K.ASSIGN, K.DISPATCH, K.RESOLVE, K.REOPEN, K.MERGE])
def test_a_merged_incident_takes_reports_and_nothing_else(kind):
    merged = [deed(K.MERGE, 1, about="j")]
    assert fold([*merged, deed(kind, 2, about="k")]) == fold(merged)
    assert fold([*merged, deed(K.FEEDBACK, 2)]).feedback_time_ms == NOON + 2


@given(st.lists(st.sampled_from(list(K)), max_size=9), st.integers(0, 2**32))
def test_a_fold_does_not_depend_on_the_order_of_reading(kinds, seed):
    deeds = [deed(kind, place, about="other") for place, kind in enumerate(kinds)]
    shuffled = random.Random(seed).sample(deeds, len(deeds))
    assert fold(shuffled) == fold(deeds)
    assert fold([]) == Hands()


def test_each_step_is_told_as_a_version_that_says_what_changed():
    city, incident = city_with_incident()
    told = [incident]
    for place, (kind, about) in enumerate([(K.ACKNOWLEDGE, ""), (K.DISPATCH, "engine 7"), (K.RESOLVE, "")]):
        told += city.correlator.act(deed(kind, place, incident.id, about=about))
    told += city.read(*both(NOON + 3 * HOUR))
    assert [v.state for v in told] == [OPEN, ACKNOWLEDGED, ACKNOWLEDGED, RESOLVED, RESOLVED]
    assert whats(told) == ["opened", "acknowledged", "dispatched", "closed"]
    (dispatched,) = told[2].changes
    assert (dispatched.actor, dispatched.time_ms, dispatched.why) == ("actor 1", NOON + 1, "engine 7: because")


def test_a_closed_incident_that_new_signals_join_is_reopened():
    city, incident = city_with_incident()
    city.correlator.act(deed(K.RESOLVE, 1, incident.id))
    told = city.read(congestion("road-2", END), *both(END + 10 * MINUTE))
    assert [(v.state, v.hands.reopen_count) for v in told] == [(REOPENED, 1)]
    assert whats(told) == ["reopened"]


def test_one_that_somebody_reopens_is_not_resolved_by_the_end_of_its_signals_and_is_remembered_until_it_is_closed():
    city, incident = city_with_incident()
    city.read(*both(NOON + 3 * HOUR))
    (again,) = city.correlator.act(deed(K.REOPEN, 1, incident.id))
    city.versions.append(again)
    assert city.read(*both(NOON + 48 * HOUR)) == []
    assert (again.state, city.correlator.standing) == (REOPENED, 1)
    (closed,) = city.correlator.act(deed(K.RESOLVE, 2, incident.id))
    city.versions.append(closed)
    (settled,) = city.read(*both(NOON + 49 * HOUR))
    assert (closed.state, settled.settled, city.correlator.standing) == (RESOLVED, True, 0)


def test_what_was_done_passes_to_the_heir_which_says_whose_place_it_took():
    city, old = city_with_incident()
    city.correlator.act(deed(K.ASSIGN, 1, old.id, about="Bob"))
    heir, ended = city.read(crowding(start_ms=NOON - HOUR))
    assert (heir.hands.assignee, heir.supersedes, ended.superseded_by) == ("Bob", (old.id,), heir.id)
    (taken,) = city.correlator.act(deed(K.ACKNOWLEDGE, 2, old.id))
    assert (taken.id, taken.acknowledged_by) == (heir.id, "actor 2")


def two_incidents() -> tuple[Reader, Incident, Incident]:
    city = Reader()
    far = [crowding("park", north_m=5_000), congestion("parkroad", north_m=5_100)]
    first, second = city.read(crowding(), congestion(), *far, *both(END))
    return city, first, second


def test_a_merge_ends_one_incident_and_not_both():
    city, goes, stays = two_incidents()
    (merged,) = city.correlator.act(deed(K.MERGE, 1, goes.id, about=stays.id))
    assert (merged.id, merged.state, merged.hands.merged_into) == (goes.id, MERGED, stays.id)
    assert whats([merged]) == ["merged"]
    assert city.correlator.act(deed(K.MERGE, 2, stays.id, about=goes.id)) == []


def test_a_merge_with_an_incident_is_one_with_its_heir():
    city, goes, stays = two_incidents()
    city.correlator.act(deed(K.MERGE, 1, goes.id, about=stays.id))
    heir = next(v for v in city.read(crowding("park", NOON - HOUR, north_m=5_000)) if v.supersedes)
    assert heir.supersedes == (stays.id,)
    assert city.correlator.act(deed(K.MERGE, 2, heir.id, about=goes.id)) == [], "all of the ring would be gone"


STEPS = st.tuples(st.sampled_from(list(K)), st.integers(0, 30), st.integers(0, 30))


@examples(60)
@given(
    st.lists(st.one_of(CROWDS, JAMS), min_size=4, max_size=20, unique_by=lambda s: s.id),
    st.lists(STEPS, max_size=8),
    st.integers(0, 2**32),
    st.integers(0, 2**32),
)
def test_it_does_not_matter_at_which_version_an_action_is_read_nor_how_often_nor_where_a_restart_falls(
    signals, steps, seed, other_seed
):
    records = [r for s in sorted(signals, key=lambda s: (s.end_ms, s.id)) for r in (s, *both(s.end_ms))]
    first = Reader()
    first.read(*records, seconds=0.01)
    ids = sorted(first.incidents) or ["00000000-0000-0000-0000-000000000000"]
    deeds = [
        replace(deed(kind, place, ids[a % len(ids)], about=ids[b % len(ids)]), seen_ms=NOON + 3 * HOUR)
        for place, (kind, a, b) in enumerate(steps)
    ]
    ends = []
    for order in (seed, other_seed):
        chance = random.Random(order)
        # The actions stay in the order of their log; some are read twice.
        read = [d for d in deeds for _ in range(chance.choice([1, 1, 2]))]
        where = sorted(chance.randrange(len(records) + 1) for _ in read)
        restart = chance.randrange(len(records) + 1)
        city = Reader()
        for i in range(len(records) + 1):
            if i == restart:
                state = city.correlator.snapshot()
                city.correlator = Correlator.restore([RULE], SOURCES, state, silence_ms=SILENCE)
            for d in (d for d, at in zip(read, where, strict=True) if at == i):
                city.versions += city.correlator.act(d)
            city.read(*records[i : i + 1], seconds=0.01)
        standing = [v for v in city.incidents.values() if v.state not in (SUPERSEDED, RETRACTED)]
        ends.append({v.id: (v.state, v.hands) for v in standing})
    assert ends[0] == ends[1]
