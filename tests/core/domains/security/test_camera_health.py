"""Cameras that are offline or tampered with: borders from both sides, once for each cause, in any order."""

from __future__ import annotations

import random

import numpy as np
import pytest

from services.core.signals import Severity
from services.security.indices.camera_health import silence_s, tampered_s
from services.security.indices.camera_topics import TAMPER_TOPICS, CameraTopic
from tests.core.domains.security.cameras import Event, beats, ends_of, evidence_of, signals_of, standing

TOO_DARK, MOVED = CameraTopic.IMAGE_TOO_DARK, CameraTopic.GLOBAL_SCENE_CHANGE


@pytest.mark.parametrize("offset_s", [0, 5, 59])
@pytest.mark.parametrize(("missed", "offline"), [(2, False), (3, True), (4, True), (500, True)])
def test_a_camera_is_offline_after_three_missed_heartbeats_and_not_after_two(offset_s, missed, offline):
    last = offset_s + 600
    back = last + 60 * (missed + 1)
    events = [*beats(offset_s, last), *beats(back, back + 600)]
    told = ends_of(signals_of(events, until_s=back + 660), "camera_offline")
    # Not before the third is missing, and in the first full minute after that; once.
    assert told == ([(last + 180) // 60 * 60 + 60] if offline else [])


def test_a_camera_that_ends_for_good_is_told_once_with_how_long_it_was_silent():
    (signal,) = standing(signals_of(beats(5, 605))).values()
    assert (signal.type, signal.severity, signal.window) == ("camera_offline", Severity.MODERATE, "5m")
    assert evidence_of(signal) == {"silent_s": 235.0}
    (silent,) = signal.evidence
    assert (silent.threshold, silent.expected) == (180.0, 60.0)


@pytest.mark.parametrize(("heartbeat_s", "told"), [(75.0, [840]), (20.0, [720]), (10.0, [660])])
def test_how_often_a_camera_is_heard_of_is_a_number_of_it(heartbeat_s, told):
    events = beats(5, 605, heartbeat_s)
    last = events[-1].at_s
    found = ends_of(signals_of(events, {"cam-1": {"heartbeat_s": heartbeat_s}}), "camera_offline")
    assert found == [(int(last + 3 * heartbeat_s) // 60 + 1) * 60] == told


def test_whatever_a_camera_tells_is_a_sign_of_life():
    between = [Event.of(605 + 100 * i, TOO_DARK, tampered=0) for i in range(1, 4)]
    assert ends_of(signals_of([*beats(5, 605), *between, *beats(965, 1265)]), "camera_offline") == [1500]


def test_what_never_told_a_heartbeat_is_not_offline():
    zone = [Event.of(60 * i, CameraTopic.OCCUPANCY_COUNTER, "cam-1:plaza", people=3) for i in range(10)]
    assert signals_of(zone) == []


def test_a_heartbeat_that_comes_late_takes_the_signal_back():
    early, late = [*beats(5, 605), *beats(905, 1025)], beats(665, 845)
    assert ends_of(signals_of(early, until_s=1080), "camera_offline") == [840]
    signals = signals_of([*early, *late], until_s=1080)
    assert [signal.retracted for signal in signals] == [False, True]
    assert standing(signals) == {}


@pytest.mark.parametrize(("seconds", "told"), [(9.9, False), (10.0, True), (45.0, True)])
@pytest.mark.parametrize("topic", sorted(TAMPER_TOPICS))
def test_a_tamper_that_is_over_is_told_where_it_lasted_ten_seconds(topic, seconds, told):
    over = Event.of(300 + seconds, topic, tampered=0, tamper_s=seconds)
    signals = signals_of([Event.of(300, topic, tampered=1), over, *beats(305, 905)])
    assert (ends_of(signals, "camera_tamper") == [360]) == told


@pytest.mark.parametrize(("begun_s", "told"), [(350.0, 360), (350.1, 420), (300.0, 360)])
def test_a_tamper_that_goes_on_is_told_in_the_first_minute_that_it_lasts_ten_seconds(begun_s, told):
    signals = signals_of([Event.of(begun_s, MOVED, tampered=1), *beats(5, 305)])
    assert ends_of(signals, "camera_tamper") == [told]
    (signal,) = (s for s in standing(signals).values() if s.type == "camera_tamper")
    assert evidence_of(signal)["tamper_s"] == pytest.approx(told - begun_s)


def test_a_tamper_that_goes_on_is_told_once_and_grows_severe_only_where_it_is_told_late():
    still = [Event.of(300 + 60 * i, TOO_DARK, tampered=1, tamper_s=60.0 * i) for i in range(20)]
    assert ends_of(signals_of(still), "camera_tamper") == [360]
    (signal,) = standing(signals_of([Event.of(300, TOO_DARK, tampered=1, tamper_s=50)])).values()
    assert (signal.severity, signal.score) == (Severity.SEVERE, 1.0)


def test_how_long_an_earlier_one_lasted_says_nothing_about_the_one_that_begins():
    assert tampered_s(1.0, 355_000.0, 9.0, 300_000.0, 9.0, 360_000.0) == 9.0
    assert tampered_s(1.0, 355_000.0, 9.0, 355_000.0, 9.0, 360_000.0) == 14.0
    assert tampered_s(0.0, 355_000.0, 9.0, 355_000.0, 12.0, 360_000.0) == 12.0
    assert np.isnan(tampered_s(np.nan, np.nan, np.nan, np.nan, np.nan, 360_000.0))


def test_of_one_that_was_never_heard_of_nothing_is_known():
    assert np.isnan(silence_s(np.nan, 1_000.0))


def test_any_order_and_any_cut_give_the_same_signals():
    chance = random.Random(3)
    events = [*beats(5, 605), *beats(1205, 1805)]
    events += [Event.of(t, TOO_DARK, tampered=t % 2, tamper_s=t % 23) for t in range(310, 1500, 37)]
    events.sort(key=lambda event: event.at_s)
    expected = {id_: str(s.evidence) for id_, s in standing(signals_of(events)).items()}
    assert {"camera_offline", "camera_tamper"} == {s.type for s in standing(signals_of(events)).values()}
    for rows in (1, 3, 50):
        # Within what the kind allows: ten seconds of disorder and five minutes of lateness.
        shuffled = sorted(events, key=lambda event: event.at_s + chance.uniform(0, 240))
        found = standing(signals_of(shuffled, rows=rows))
        assert {id_: str(s.evidence) for id_, s in found.items()} == expected
