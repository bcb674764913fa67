"""What doors and access points tell through ONVIF: duress, tampering and violations of anti-passback, each a signal."""

from __future__ import annotations

import pytest

from services.core.signals import Severity
from services.security.credential_event import CREDENTIAL_EVENT
from services.security.indices.camera_topics import CameraTopic
from tests.core.domains.security.cameras import Event, beats, evidence_of, signals_of, standing
from tests.core.domains.security.engine import frame_of, run
from tests.core.domains.security.test_public_information_security_works import TAMPERED
from tests.core.domains.security.test_sequences import DURESS, PASSBACK, use

DOOR = "ctl-1:north"
SIGNALS = [
    (CameraTopic.DURESS, "duress", Severity.EXTREME, "duress_count"),
    (CameraTopic.DOOR_TAMPER, "reader_tamper", Severity.SEVERE, "tampered_count"),
    (CameraTopic.APB_VIOLATION, "anti_passback", Severity.MODERATE, "passback_count"),
]


@pytest.mark.parametrize(("topic", "signal", "severity", "measure"), SIGNALS)
def test_each_is_told_at_once_with_how_often(topic, signal, severity, measure):
    (found,) = standing(signals_of([Event.of(5, topic, DOOR, value=1), Event.of(9, topic, DOOR)])).values()
    assert (found.type, found.entity_id, found.severity, found.score) == (signal, DOOR, severity, 0.2)
    assert evidence_of(found) == {measure: 2.0}


def test_they_are_called_and_weighed_as_the_same_of_a_credential():
    rows = [use(0, DURESS), use(60, TAMPERED), use(120, PASSBACK)]
    _, of_credentials = run(CREDENTIAL_EVENT, [frame_of(CREDENTIAL_EVENT, rows)])
    events = [Event.of(60 * i, topic, DOOR, value=1) for i, (topic, *_) in enumerate(SIGNALS)]
    of_doors = standing(signals_of(events)).values()
    told = [
        sorted((s.start_ms, s.type, s.severity, s.score, s.evidence[0].measure) for s in signals)
        for signals in (of_doors, of_credentials)
    ]
    assert told[0] == told[1]
    assert len(told[0]) == 3


@pytest.mark.parametrize("topic", [topic for topic, *_ in SIGNALS])
def test_what_is_no_more_is_not_told(topic):
    assert signals_of([Event.of(5, topic, DOOR, value=0), *beats(0, 120, entity_id="ctl-1")], until_s=100) == []


def test_it_is_told_of_a_controller_among_its_signs_of_life_and_in_every_minute_in_which_it_is_said():
    events = [
        *beats(0, 300, 10, "ctl-1"),
        *(Event.of(t, CameraTopic.APB_VIOLATION, "ctl-1", value=1) for t in (70, 250)),
    ]
    found = standing(signals_of(sorted(events, key=lambda event: event.at_s), until_s=310)).values()
    assert [(s.type, (s.end_ms - s.start_ms) // 1000) for s in found] == [("anti_passback", 60)] * 2
