"""Signals, actions and incidents as messages: what is refused, and that nothing is lost on the way."""

from __future__ import annotations

import json
from contextlib import suppress
from dataclasses import replace

import pytest
from google.protobuf.json_format import Parse
from hypothesis import given
from hypothesis import strategies as st

from services.core.correlation.action import Action, ActionKind
from services.core.correlation.correlator import Correlator
from services.core.correlation.incident import Incident as CoreIncident
from services.core.correlation.incident import Muted, changed
from services.core.correlation.planned import PlannedEvent
from services.core.correlation.rulebook import Rulebook, RulebookState
from services.core.correlation.state import IncidentRecord, LedgerState, PassedIncident
from services.correlation.checkpoint import Saved, checkpoint_of, saved_in
from services.correlation.intake import BadRecordError, read_action, read_signal, read_signal_record
from services.correlation.notices import seen_of
from services.correlation.rules import FOLDER, RuleFileError, read_rule_file, read_rules, read_texts
from services.correlation.wire import IncidentWriter
from services.runtime.records import signal_record, watermark_record
from tests.core.correlation.city import HOUR, NOON, RULE, SILENCE, SOURCES, Reader, both, congestion, crowding, report
from tests.core.correlation.holding import held_of
from urban.common.v1.signal_pb2 import SignalRecord
from urban.correlation.v1.incident_pb2 import Incident, IncidentAction, IncidentState

RULE_FILE = next(f for f in read_rules(read_texts(FOLDER)) if f.rule.name == RULE.name)
CROWD, JAM = crowding(h3_cell=1, model="people_count/1h as of 2024-06-03"), congestion(h3_cell=2)


def test_a_signal_comes_back_from_its_record_as_it_was():
    assert repr(read_signal_record(signal_record(CROWD)[1])) == repr(CROWD)
    retracted = replace(JAM, retracted=True, score=0.0)
    assert repr(read_signal_record(signal_record(retracted)[1])) == repr(retracted)


def test_a_signal_without_a_place_has_none():
    nowhere = replace(CROWD, latitude=float("nan"), longitude=float("nan"), h3_cell=0)
    assert repr(read_signal_record(signal_record(nowhere)[1])) == repr(nowhere)


def test_a_report_comes_back_from_its_record_as_it_was():
    assert read_signal_record(watermark_record("traffic", "road_flow", "x", {3: NOON})) == report("traffic", NOON, 3)


@pytest.mark.parametrize(
    ("field", "value", "told"),
    [
        ("id", "7", "id = 7: must be a UUID"),
        ("city", "Auckland", "city = Auckland: must be of the form"),
        ("domain", "", "domain"),
        ("kind", "a b", "kind = a b"),
        ("type", "x;", "type = x;"),
        ("entity_id", "a\nb", "entity_id"),
        ("window", "'", "window = '"),
        ("state", 0, "state = 0"),
        ("severity", 9, "severity = 9"),
        ("score", 1.5, "score = 1.5: must lie between 0 and 1"),
        ("score", float("nan"), "score = nan"),
    ],
)
def test_a_signal_that_cannot_be_used_is_refused_with_field_and_value(field, value, told):
    record = SignalRecord.FromString(signal_record(CROWD)[1])
    setattr(record.signal, field, value)
    with pytest.raises(BadRecordError, match=told):
        read_signal_record(record.SerializeToString())


@pytest.mark.parametrize("latitude", [91.0, float("inf"), float("nan")])
def test_a_place_off_the_globe_is_refused(latitude):
    record = SignalRecord.FromString(signal_record(CROWD)[1])
    record.signal.position.latitude = latitude
    with pytest.raises(BadRecordError, match="is no point on the globe"):
        read_signal_record(record.SerializeToString())


def test_a_window_that_ends_before_it_starts_is_refused():
    record = SignalRecord.FromString(signal_record(CROWD)[1])
    record.signal.end_time.CopyFrom(record.signal.start_time)
    with pytest.raises(BadRecordError, match="end_time"):
        read_signal_record(record.SerializeToString())


@given(st.one_of(st.none(), st.binary(max_size=200)))
def test_any_bytes_are_read_or_refused(value):
    for read in (read_signal_record, read_action):
        with suppress(BadRecordError):
            read(value)


def test_an_action_needs_an_incident_and_somebody():
    action = IncidentAction(incident_id=CROWD.id, actor="Ana", request_id="r")
    with pytest.raises(BadRecordError, match="action"):
        read_action(action.SerializeToString())
    action.acknowledgement.note = "on my way"
    action.time.FromMilliseconds(5)
    assert read_action(action.SerializeToString()) == Action(CROWD.id, "r", "Ana", 5, "on my way")
    action.actor = ""
    with pytest.raises(BadRecordError, match="actor"):
        read_action(action.SerializeToString())


def acknowledged_incident() -> CoreIncident:
    """An incident of two signals that Ana has taken over."""
    city = Reader()
    (incident,) = city.read(CROWD, JAM, *both(NOON + HOUR))
    (taken,) = city.correlator.act(Action(incident.id, "r", "Ana", 1_700_000_000_123))
    return taken


def test_an_incident_message_holds_all_that_the_incident_says():
    incident, message = acknowledged_incident(), Incident()
    message.ParseFromString(IncidentWriter().message(incident))
    assert message.name == f"cities/auckland/incidents/{incident.id}"
    assert (message.rule.name, message.rule.version) == (RULE.name, 1)
    assert (message.state, message.revision) == (IncidentState.INCIDENT_STATE_ACKNOWLEDGED, 2)
    assert (message.start_time.ToMilliseconds(), message.end_time.ToMilliseconds()) == (NOON, NOON + HOUR)
    assert [repr(read_signal(s)) for s in message.signals] == [repr(s) for s in incident.signals]
    assert [(x.first_signal_id, x.second_signal_id, x.distance_m, x.gap_s) for x in message.links] == [
        (CROWD.id, JAM.id, 100.0, 0.0)
    ]
    assert {t.name: t.value for t in message.thresholds} == {"radius_m": 500.0, "within_s": 3600.0}
    assert (message.acknowledged_by, message.acknowledge_time.ToMilliseconds()) == ("Ana", 1_700_000_000_123)
    assert (message.position.latitude, message.position.h3_cell) == (incident.latitude, incident.h3_cell)
    assert message.explanation == incident.explanation != ""
    assert (message.title, message.query, message.extent_m) == (incident.title, incident.query, incident.extent_m)
    assert (message.signal_count, message.link_count, int(message.severity)) == (2, 1, int(incident.severity))


def test_the_document_is_the_json_form_of_the_message():
    incident, writer = acknowledged_incident(), IncidentWriter()
    document = writer.document(incident)
    parsed = Parse(document, Incident()).SerializeToString(deterministic=True)
    assert parsed == Incident.FromString(writer.message(incident)).SerializeToString(deterministic=True)
    assert json.loads(document)["signals"][0]["evidence"][1]["threshold"] == "NaN"


def test_what_it_says_is_in_the_document_and_the_row():
    incident, writer = acknowledged_incident(), IncidentWriter()
    assert json.loads(writer.document(incident))["explanation"] == incident.explanation
    assert writer.table([incident])["explanation"].to_pylist() == [incident.explanation]


def test_a_revised_signal_is_written_anew():
    writer, incident = IncidentWriter(), acknowledged_incident()
    revised = changed(incident, signals=tuple(replace(signal, revision=2) for signal in incident.signals))
    for told, revision in ((incident, 1), (revised, 2), (revised, 2)):
        assert {signal.revision for signal in Incident.FromString(writer.message(told)).signals} == {revision}
        writer.forget()


def test_a_checkpoint_gives_back_the_state():
    city = Reader()
    (incident,) = city.read(CROWD, JAM, *both(NOON + HOUR))
    city.correlator.act(Action(incident.id, "r", "Ana", 5, "mine"))
    city.correlator.act(Action(CROWD.id, "s", "Bob", 6))
    city.correlator.act(Action(incident.id, "t", "Bob", 7, "over", ActionKind.RESOLVE, seen_ms=NOON + HOUR, place=9))
    city.correlator.plan(
        PlannedEvent(
            "match", "auckland", "A match", 1, 2, -36.8, 174.7, 500.0, frozenset(["traffic"]), actor="Ana", told_ms=3
        )
    )
    city.read(
        crowding(start_ms=NOON - HOUR, h3_cell=3), crowding("later", NOON + HOUR, h3_cell=3), replace(JAM, revision=2)
    )
    state = city.correlator.snapshot()
    # Two rules that hold the same signals, and share what is remembered of incidents.
    alone = replace(state, ledger=LedgerState())
    files, coming = (
        (RULE_FILE, RULE_FILE),
        read_rule_file("new.yaml", RULE_FILE.text.replace("version: 1", "version: 2")),
    )
    book = RulebookState((alone, replace(alone, closed=True)), state.counters, state.ledger)
    # Beside them one that is only tried, with a ledger of its own.
    tried = (read_rule_file("tried.yaml", f"mode: shadow\n{coming.text}"),)
    saved = Saved(book, 17, 5, 2, 3, files, (coming,), [(7, 4), (9, 5)], tried, (state,))
    message = checkpoint_of(0, saved, held_of(saved))
    assert repr(saved_in(message, {})[0]) == repr(saved)
    assert (message.next_offset, message.watermark_ms) == (17, NOON + HOUR)
    read = saved_in(message, {})[0].state
    again = Correlator.restore([RULE], SOURCES, replace(read.rules[0], ledger=read.ledger), silence_ms=SILENCE)
    assert repr(again.snapshot()) == repr(city.correlator.snapshot())


def test_a_checkpoint_of_nothing_gives_back_nothing():
    for coming in (None, ()):
        saved = Saved(Rulebook([RULE], SOURCES, silence_ms=SILENCE).snapshot(), 0, 0, 0, 0, (RULE_FILE,), coming, [])
        assert repr(saved_in(checkpoint_of(0, saved, held_of(saved)), {})[0]) == repr(saved)


def test_a_rule_of_a_checkpoint_that_is_read_no_longer_is_told():
    files = (RULE_FILE._replace(text=RULE_FILE.text.replace("radius_m", "reach_m")),)
    saved = Saved(Rulebook([RULE], SOURCES, silence_ms=SILENCE).snapshot(), 0, 0, 0, 0, files)
    with pytest.raises(RuleFileError, match="reach_m"):
        saved_in(checkpoint_of(0, saved, held_of(saved)), {})


def test_why_nobody_is_told_is_in_the_message_the_document_and_the_row():
    writer, muted = IncidentWriter(), Muted(True, 4, 3, NOON, "another")
    incident = changed(acknowledged_incident(), muted=muted)
    message = Incident.FromString(writer.message(incident))
    assert (message.rate_limited, message.surplus_count, message.flap_count) == (True, 4, 3)
    assert (message.flapping_since.ToMilliseconds(), message.inhibited_by) == (NOON, "another")
    assert Parse(writer.document(incident), Incident()) == message
    (row,) = writer.table([incident]).select(["rate_limited", "flap_count", "inhibited_by"]).to_pylist()
    assert row == {"rate_limited": True, "flap_count": 3, "inhibited_by": "another"}
    plain = Incident.FromString(writer.message(acknowledged_incident()))
    assert not plain.HasField("flapping_since")
    assert [seen_of(m, signals=False).muted for m in (message, plain)] == [True, False]


def test_a_checkpoint_gives_back_what_mutes_and_what_has_passed():
    passed = PassedIncident("limited", 2, "auckland", NOON, "p", (("traffic", "road_flow", "r"), ("a", "b", "c")))
    plain = PassedIncident("limited", 2, "auckland", NOON + 1, "q")
    records = (IncidentRecord("i", "r", 3, 0, inhibited_by="j"), IncidentRecord("j", "r", 1, 0))
    ledger = LedgerState(records, passed=(passed, plain))
    book = replace(Rulebook([RULE], SOURCES, silence_ms=SILENCE).snapshot(), ledger=ledger)
    saved = Saved(book, 0, 0, 0, 0, (RULE_FILE,))
    assert saved_in(checkpoint_of(0, saved, held_of(saved)), {})[0].state.ledger == ledger
