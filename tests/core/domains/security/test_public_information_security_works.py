"""Public information security, as the city asks for it: calls and credentials, through the engine, to their signals."""

from __future__ import annotations

import hashlib
import hmac
import math

import numpy as np
import pytest

from services.core.partition import Partition
from services.core.pseudonym import numbers_of
from services.core.signals import Severity, Signal
from services.security.credential_event import CREDENTIAL_EVENT
from services.security.emergency_call import EMERGENCY_CALL
from tests.core.domains.security.engine import HASH, Row, frame_of, run
from tests.core.domains.security.test_cases import call
from tests.core.domains.security.test_sequences import DURESS, PASSBACK, at, entry, failures, use

TAMPERED = 4.0


def signals_of(*rows: Row) -> list[Signal]:
    return run(CREDENTIAL_EVENT, [frame_of(CREDENTIAL_EVENT, sorted(rows, key=lambda row: row[0]))])[1]


def told(*rows: Row) -> list[tuple[str, int, Severity]]:
    return [(s.type, (s.start_ms // 60_000) % 1440, s.severity) for s in signals_of(*rows)]


def test_calls_are_deduplicated_by_place_and_time():
    rows = [call(0), call(90, 30), call(200, 60), call(30, 2_000), call(2_400)]
    windows, _ = run(EMERGENCY_CALL, [frame_of(EMERGENCY_CALL, rows)])
    assert (windows[0]["calls_sum"], windows[0]["case_count"]) == (5.0, 3.0)


def test_five_failures_in_five_minutes_then_success_are_told_across_the_borders_of_windows():
    assert told(*failures(50, 100, 150, 200, 250), use(310)) == [("brute_force", 5, Severity.SEVERE)]
    assert told(*failures(50, 100, 150, 200), use(310)) == []


def test_a_second_entry_without_an_exit_is_told_eight_hours_later_and_where_the_controller_tells_it_once():
    assert told(entry(0), entry(8 * 3600)) == [("anti_passback", 480, Severity.MODERATE)]
    assert told(entry(0), entry(4 * 3600, 2.0), entry(8 * 3600)) == []
    assert told(use(70, PASSBACK)) == [("anti_passback", 1, Severity.MODERATE)]


def test_one_credential_at_two_gates_far_apart_is_told():
    assert told(at(0, 0), at(120, 9)) == [("impossible_travel", 2, Severity.SEVERE)]
    assert told(at(0, 0), at(900, 9)) == []


def test_duress_and_tampering_are_told_each_time():
    assert told(use(0, DURESS), use(65, TAMPERED)) == [
        ("duress", 0, Severity.EXTREME),
        ("reader_tamper", 1, Severity.SEVERE),
    ]


def test_a_signal_tells_how_often_and_never_who():
    (signal,) = signals_of(*failures(0, 1, 2, 3, 4), *failures(0, 1, 2, 3, 4, person=2), use(5), use(6, person=2))
    assert [(e.measure, e.value, e.threshold) for e in signal.evidence] == [("brute_force_count", 2.0, 1.0)]
    assert signal.score == pytest.approx(0.2)
    assert signal.entity_id == "one"
    assert not any("person" in name for name in CREDENTIAL_EVENT.measure_names())


def test_a_late_exit_takes_back_what_was_told():
    frames = [frame_of(CREDENTIAL_EVENT, rows) for rows in ([entry(0)], [entry(600)], [use(1_200)], [entry(300, 2.0)])]
    assert [s.type for s in run(CREDENTIAL_EVENT, frames[:3])[1]] == ["anti_passback"]
    assert run(CREDENTIAL_EVENT, frames)[1] == []


@pytest.mark.parametrize("with_exit", [True, False])
def test_what_came_late_is_known_later_also_among_minutes_that_have_settled(with_exit):
    somebody = [use(60.0 * i + 10.0, person=9) for i in range(60)]
    late = [entry(300, 2.0)] if with_exit else []
    rows = [entry(0), *somebody[:40], *late, *somebody[40:50], entry(3_000), *somebody[50:]]
    _, signals = run(CREDENTIAL_EVENT, [frame_of(CREDENTIAL_EVENT, [row]) for row in rows])
    assert [s.type for s in signals] == ([] if with_exit else ["anti_passback"])


def test_ids_are_keyed_hashes_and_a_raw_id_is_refused_with_field_and_reason():
    digest = hmac.new(b"key of a city and its epoch", b"badge 4711", hashlib.sha256).hexdigest()
    high, low = numbers_of([digest])
    good: Row = (0.0, {"outcome": 1.0, "person_a": float(high[0]), "person_b": float(low[0])})
    raw: list[Row] = [
        (1.0, {"outcome": 1.0, "person_a": number, "person_b": HASH})
        for number in (4711.0, 13_912_345_678.0, 110_105_199_003_071_234.0)
    ]
    partition = Partition("security", CREDENTIAL_EVENT, 0)
    (closing,) = [c for c in partition.fold([frame_of(CREDENTIAL_EVENT, [good, *raw])]) if c.refused]
    problems = closing.refused[0].problems
    assert (closing.refused[0].rows.tolist(), partition.counters.folded) == ([1, 2, 3], 1)
    assert {p.field for p in problems} == {"person_a"}
    assert all("keyed hash" in p.reason for p in problems)
    assert not any("4711" in str(p) or "13912345678" in str(p) for p in problems)


def test_where_there_are_too_many_uses_to_know_nothing_is_claimed():
    assert CREDENTIAL_EVENT.trail
    many = [use(i * 0.001, 2.0, person=100 + i) for i in range(CREDENTIAL_EVENT.trail.most)]
    rows = [*failures(10, 11, 12, 13, 14), use(15), *many]
    windows, signals = run(CREDENTIAL_EVENT, [frame_of(CREDENTIAL_EVENT, rows)])
    assert math.isnan(windows[0]["brute_force_count"])
    assert windows[0]["outcome_top1_count"] == len(many) + 5
    assert signals == []
    assert np.isfinite(run(CREDENTIAL_EVENT, [frame_of(CREDENTIAL_EVENT, rows[:6])])[0][0]["brute_force_count"])
