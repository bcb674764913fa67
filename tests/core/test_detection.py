"""Signals of windows: raised, raised again, withdrawn, and never by what is no number."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import pytest

from services.community.domain import PEOPLE_COUNT
from services.core.frame import Frame
from services.core.kind import Detector, Kind, Window
from services.core.partition import Partition
from services.core.signals import EvidenceColumn, Finding, Severity, Signal, signal_id
from services.core.windows import BaselineColumns, WindowBatch
from services.traffic.domain import ROAD_FLOW
from tests.core.logs import T0, Row, fold_all, frame, heartbeat, kind

JUDGED = kind([Window("10s", 10_000)], disorder_ms=0, lateness_ms=20_000, judged=["10s"])


def signals_of(of: Kind, *frames: Frame) -> list[Signal]:
    return fold_all(Partition("probe", of, 0), frames)[1]


def late(rows: list[Row], clock_second: float) -> Frame:
    return frame(rows, clock_ms=T0 + round(clock_second * 1000))


def test_a_breach_raises_a_signal_that_says_all():
    (signal,) = signals_of(JUDGED, frame([("a", 3, 50), ("b", 4, 10)]), heartbeat(10))
    assert signal.id == signal_id("auckland", "probe", "probe", "high_10s", "a", "10s", T0)
    assert dataclasses.asdict(dataclasses.replace(signal, evidence=())) == {
        "id": signal.id,
        "city": "auckland",
        "domain": "probe",
        "kind": "probe",
        "type": "high_10s",
        "entity_id": "a",
        "window": "10s",
        "start_ms": T0,
        "end_ms": T0 + 10_000,
        "retracted": False,
        "severity": Severity.SEVERE,
        "score": 0.5,
        "evidence": (),
        "revision": 1,
        "detector_version": "1",
        "model": "",
        "latitude": pytest.approx(math.nan, nan_ok=True),
        "longitude": pytest.approx(math.nan, nan_ok=True),
        "h3_cell": 0,
        "attributes": (),
    }
    (evidence,) = signal.evidence
    assert (evidence.measure, evidence.value, evidence.threshold) == ("speed_mean", 50, 20)
    assert math.isnan(evidence.expected)


def test_what_is_no_number_never_breaches():
    assert signals_of(JUDGED, frame([("a", 3)]), heartbeat(10)) == []


def test_a_score_that_is_no_number_is_no_finding():
    def find(batch: WindowBatch) -> Finding:
        rows = len(batch)
        return Finding(np.ones(rows, bool), np.ones(rows, np.int64), batch.measures["speed_mean"], ())

    of = dataclasses.replace(JUDGED, detectors=(Detector("any", "1", "10s", find),))
    assert [s.entity_id for s in signals_of(of, frame([("a", 3), ("b", 4, 0.5)]), heartbeat(10))] == ["b"]


def test_a_revision_that_still_breaches_is_told_under_the_same_id():
    first, second = signals_of(JUDGED, frame([("a", 3, 50)]), heartbeat(10), late([("a", 5, 30)], 10), heartbeat(20))
    assert (first.id, first.revision, first.score) == (second.id, 1, 0.5)
    assert (second.retracted, second.revision, second.score) == (False, 2, 0.4)


def test_a_revision_that_no_longer_breaches_withdraws_the_signal():
    raised, withdrawn = signals_of(
        JUDGED, frame([("a", 3, 50)]), heartbeat(10), late([("a", 5, -30)], 10), heartbeat(20)
    )
    assert not raised.retracted
    assert (withdrawn.id, withdrawn.retracted, withdrawn.revision) == (raised.id, True, 2)
    assert (withdrawn.severity, withdrawn.score) == (Severity.SEVERE, 0)
    assert withdrawn.evidence[0].value == 10


def test_a_withdrawn_signal_is_withdrawn_once():
    told = signals_of(
        JUDGED,
        frame([("a", 3, 50)]),
        heartbeat(10),
        late([("a", 5, -30)], 10),
        heartbeat(20),
        late([("a", 6, -30)], 20),
        heartbeat(30),
    )
    assert [(s.retracted, s.revision) for s in told] == [(False, 1), (True, 2)]


def test_a_withdrawn_signal_can_be_raised_again():
    told = signals_of(
        JUDGED,
        frame([("a", 3, 50)]),
        heartbeat(10),
        late([("a", 5, -30)], 10),
        heartbeat(20),
        late([("a", 6, 300)], 20),
        heartbeat(30),
    )
    assert [(s.retracted, s.revision) for s in told] == [(False, 1), (True, 2), (False, 3)]


def test_a_late_observation_in_the_window_before_makes_a_newer_signal():
    # At 10 the mean is above 20 and there was no window before; then one comes that was higher still.
    raised, withdrawn = [
        s
        for s in signals_of(JUDGED, frame([("a", 13, 50)]), heartbeat(20), late([("a", 5, 60)], 20), heartbeat(30))
        if s.start_ms == T0 + 10_000
    ]
    assert (raised.retracted, raised.revision) == (False, 1)
    assert (withdrawn.retracted, withdrawn.revision) == (True, 2)


def test_what_was_raised_is_remembered_over_a_restart():
    partition = Partition("probe", JUDGED, 0)
    fold_all(partition, [frame([("a", 3, 50)]), heartbeat(10)])
    partition = Partition.restore("probe", JUDGED, partition.snapshot())
    _, (signal,) = fold_all(partition, [late([("a", 5, -30)], 10), heartbeat(20)])
    assert (signal.retracted, signal.severity) == (True, Severity.SEVERE)


def test_what_was_raised_is_remembered_by_the_name_of_its_detector():
    def find_none(batch: WindowBatch) -> Finding:
        return Finding(np.zeros(len(batch), bool), np.ones(len(batch), np.int64), np.zeros(len(batch)), ())

    quiet = Detector("quiet", "1", "10s", find_none)
    of = {
        "only": JUDGED,
        "second": dataclasses.replace(JUDGED, detectors=(quiet, *JUDGED.detectors)),
        "gone": dataclasses.replace(JUDGED, detectors=(quiet,)),
    }
    for old, new in (("only", "second"), ("second", "only")):
        partition = Partition("probe", of[old], 0)
        fold_all(partition, [frame([("a", 3, 50)]), heartbeat(10)])
        partition = Partition.restore("probe", of[new], partition.snapshot())
        _, (signal,) = fold_all(partition, [late([("a", 5, -30)], 10), heartbeat(20)])
        assert (signal.type, signal.retracted, signal.severity) == ("high_10s", True, Severity.SEVERE)
    partition = Partition("probe", of["only"], 0)
    fold_all(partition, [frame([("a", 3, 50)]), heartbeat(10)])
    partition = Partition.restore("probe", of["gone"], partition.snapshot())
    assert fold_all(partition, [late([("a", 5, -30)], 10), heartbeat(20)])[1] == []


def test_what_was_raised_is_forgotten_when_its_window_is_final():
    partition = Partition("probe", JUDGED, 0)
    fold_all(partition, [frame([("a", 3, 50)]), heartbeat(10)])
    assert partition.snapshot().arrays["raised"].tolist() == [[0, T0, 0, Severity.SEVERE]]
    fold_all(partition, [heartbeat(29.999)])
    assert len(partition.snapshot().arrays["raised"]) == 1
    fold_all(partition, [heartbeat(30)])
    assert len(partition.snapshot().arrays["raised"]) == 0


def test_the_same_verdict_again_is_told_again():
    # The window before is revised, and this one leaves again with the same mean.
    told = signals_of(JUDGED, frame([("a", 13, 50)]), heartbeat(20), late([("a", 5, 2)], 20), heartbeat(30))
    assert [(s.start_ms - T0, s.retracted, s.score) for s in told] == [(10_000, False, 0.5), (10_000, False, 0.5)]


def test_several_detectors_of_a_window_are_told_one_after_the_other():
    def find_low(batch: WindowBatch) -> Finding:
        mean = batch.measures["speed_mean"]
        evidence = (EvidenceColumn("speed_mean", mean, 55.0),)
        return Finding(mean < 55, np.full(len(batch), Severity.MINOR), np.zeros(len(batch)), evidence)

    of = dataclasses.replace(JUDGED, detectors=(*JUDGED.detectors, Detector("low", "3", "10s", find_low)))
    told = signals_of(of, frame([("a", 3, 50), ("b", 4, 60), ("c", 5, 1)]), heartbeat(10))
    assert [(s.type, s.entity_id, s.detector_version) for s in told] == [
        ("high_10s", "a", "1"),
        ("high_10s", "b", "1"),
        ("low", "a", "3"),
        ("low", "c", "3"),
    ]


def test_who_can_find_nothing_is_not_asked_unless_there_is_something_to_withdraw():
    (judge,) = JUDGED.detectors
    asked = []

    def find(batch: WindowBatch) -> Finding:
        asked.append(int(batch.start_ms[0] - T0))
        assert judge.find is not None
        return judge.find(batch)

    def may_find(batch: WindowBatch) -> bool:
        return bool((batch.measures["speed_mean"] > 20).any())

    of = dataclasses.replace(JUDGED, detectors=(dataclasses.replace(judge, find=find, may_find=may_find),))
    log = [frame([("a", 3, 50), ("a", 13, 10)]), heartbeat(20), late([("a", 4, -40)], 20), heartbeat(30), heartbeat(40)]
    told, always = signals_of(of, *log), signals_of(JUDGED, *log)
    assert asked == [0, 0]  # the second time it is slow, and what was raised is withdrawn
    assert repr(told) == repr(always)
    assert [s.retracted for s in told] == [False, True]


def test_only_functions_of_windows_may_say_that_they_will_find_nothing():
    with pytest.raises(ValueError, match="detector silent: may_find is for functions of windows"):
        Detector("silent", "1", "10s", silence=True, may_find=lambda batch: True)


def _empty(window: Window, *names: str) -> WindowBatch:
    one = np.ones(1)
    return WindowBatch(
        window=window,
        cities=("auckland",),
        entity_ids=("a",),
        slot=np.zeros(1, np.int64),
        start_ms=np.array([T0]),
        revision=np.ones(1, np.uint32),
        measures=dict.fromkeys(names, one),
        previous=dict.fromkeys(names, one),
    )


def test_a_missing_attribute_is_named():
    partition = Partition("traffic", ROAD_FLOW, 0)
    with pytest.raises(ValueError, match="congestion needs the attribute free_flow_speed_kmh"):
        partition.detect(_empty(ROAD_FLOW.window("5m"), "speed_kmh_mean"))


def test_a_missing_baseline_is_named():
    partition = Partition("community", PEOPLE_COUNT, 0)
    with pytest.raises(ValueError, match="crowding needs the baseline of count_sum"):
        partition.detect(_empty(PEOPLE_COUNT.window("1h"), "count_sum"))


def test_the_model_that_normal_was_computed_from_is_named():
    batch = _empty(PEOPLE_COUNT.window("1h"), "count_sum")
    baseline = BaselineColumns("as of 2024-06-03", np.array([100.0]), np.array([10.0]), np.ones(1, np.uint32))
    crowd = dataclasses.replace(batch, measures={"count_sum": np.array([5_000.0])}, baseline=baseline)
    (signal,) = Partition("community", PEOPLE_COUNT, 0).detect(crowd)
    assert (signal.type, signal.model) == ("crowding", "as of 2024-06-03")


def test_windows_without_a_detector_raise_nothing():
    assert Partition("traffic", ROAD_FLOW, 0).detect(_empty(Window("9m", 540_000))) == []


def test_a_batch_may_be_judged_in_parts():
    partition = Partition("probe", JUDGED, 0)
    (closing,) = partition.fold([frame([("a", 3, 50), ("b", 4, 60)]), heartbeat(10)])
    (batch,) = closing.batches
    told = []
    for row in (0, 1):
        picked = np.array([row])
        part = dataclasses.replace(
            batch,
            slot=batch.slot[picked],
            start_ms=batch.start_ms[picked],
            revision=batch.revision[picked],
            measures={name: values[picked] for name, values in batch.measures.items()},
            previous={name: values[picked] for name, values in batch.previous.items()},
        )
        told += partition.detect(part)
    assert [s.entity_id for s in told] == ["a", "b"]
