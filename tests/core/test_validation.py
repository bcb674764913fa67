"""Every way in which an observation or a frame can be wrong, one by one: field, value, reason."""

from __future__ import annotations

import dataclasses
import math
from typing import Any

import numpy as np
import pytest

from services.community.domain import PEOPLE_COUNT
from services.core.frame import Frame
from services.core.kind import Kind
from services.core.partition import Partition
from services.core.validation import InvalidFrame, validate
from services.security.camera_event import CAMERA_EVENT
from services.traffic.domain import ROAD_FLOW

TIME_MS = 1_700_000_000_000
GOOD = {"flow_veh_h": 600, "speed_kmh": 45, "occupancy": 0.1, "heavy_share": 0.05}


def road(rows: int = 3, **changed: Any) -> Frame:
    """A good frame of road flow; `speed_kmh=[…]` and the like change a column."""
    columns = {name: np.full(rows, value, np.float32) for name, value in GOOD.items()}
    columns |= {name: np.array(changed.pop(name), np.float32) for name in list(changed) if name in columns}
    frame = Frame(
        city="auckland",
        entity_ids=("segment:1", "segment-2", "s.e_g~3"),
        entity=np.arange(rows, dtype=np.uint32) % 3,
        time_ms=np.full(rows, TIME_MS, np.int64),
        period_s=60,
        columns=columns,
        clock_ms=TIME_MS + 60_000,
        offset=7,
    )
    return dataclasses.replace(frame, **changed)


def problem_of(kind: Kind, frame: Frame) -> tuple[int, str, str, str]:
    """The only problem of a frame; and that the engine refuses that observation in the same words."""
    ok, problems = validate(kind, frame)
    (problem,) = problems
    assert np.flatnonzero(~ok).tolist() == [problem.index]
    (closing,) = Partition("probe", kind, 0).fold([frame])
    assert [(r.offset, r.error_class, r.count, r.problems) for r in closing.refused] == [(7, "invalid", 1, (problem,))]
    return problem.index, problem.field, problem.value, problem.reason


def fault_of(kind: Kind, frame: Frame) -> tuple[str, str, str]:
    """Why a whole frame is refused; and that the engine refuses it in the same words."""
    with pytest.raises(InvalidFrame) as caught:
        validate(kind, frame)
    fault = caught.value
    partition = Partition("probe", kind, 0)
    (closing,) = partition.fold([frame])
    (refused,) = closing.refused
    assert (refused.offset, refused.error_class, refused.count) == (7, "invalid", len(frame))
    assert [(p.field, p.value, p.reason) for p in refused.problems] == [(fault.field, fault.value, fault.reason)]
    assert partition.counters.dead_lettered == partition.counters.read == len(frame)
    assert partition.watermark_ms is None
    return fault.field, fault.value, fault.reason


def test_a_good_frame_has_no_problem():
    ok, problems = validate(ROAD_FLOW, road())
    assert ok.tolist() == [True, True, True]
    assert problems == []


def test_bounds_belong_to_the_range():
    ok, _ = validate(ROAD_FLOW, road(speed_kmh=[0, 300, 45], occupancy=[1, 0, 0.5]))
    assert ok.all()


@pytest.mark.parametrize(
    ("column", "value", "shown", "rule"),
    [
        ("occupancy", 1.01, "1.01", "must be 0 to 1 1"),
        ("occupancy", -0.01, "-0.01", "must be 0 to 1 1"),
        ("speed_kmh", 300.1, "300.1", "must be 0 to 300 km/h"),
        ("speed_kmh", -1, "-1.0", "must be 0 to 300 km/h"),
        ("flow_veh_h", math.inf, "inf", "must be 0 to 20000 veh/h"),
        ("flow_veh_h", -math.inf, "-inf", "must be 0 to 20000 veh/h"),
        ("heavy_share", 2, "2.0", "must be 0 to 1 1"),
    ],
)
def test_a_number_out_of_its_range_is_refused(column, value, shown, rule):
    changed: dict[str, Any] = {column: [GOOD[column], value, GOOD[column]]}
    frame = road(**changed)
    assert problem_of(ROAD_FLOW, frame) == (1, column, shown, rule)


def test_an_optional_number_may_be_missing():
    ok, _ = validate(ROAD_FLOW, road(speed_kmh=[math.nan] * 3, occupancy=[math.nan] * 3, heavy_share=[math.nan] * 3))
    assert ok.all()


def test_at_least_one_of_the_numbers_that_matter_must_be_there():
    frame = road(speed_kmh=[45, math.nan, 45], occupancy=[0.1, math.nan, 0.1], flow_veh_h=[math.nan, math.nan, 600])
    fields = "flow_veh_h,speed_kmh,occupancy"
    assert problem_of(ROAD_FLOW, frame) == (1, fields, "nan", "at least one of them must be a number")


def people(**changed: Any) -> Frame:
    columns = {c.name: np.ones(2, np.float32) for c in PEOPLE_COUNT.columns}
    columns |= {name: np.array(changed.pop(name), np.float32) for name in list(changed) if name in columns}
    return dataclasses.replace(road(2), columns=columns, **changed)


def test_a_required_number_must_be_a_number():
    assert problem_of(PEOPLE_COUNT, people(count=[1, math.nan])) == (
        1,
        "count",
        "nan",
        "is required and must be a number",
    )


def test_a_negative_count_is_refused():
    assert problem_of(PEOPLE_COUNT, people(count=[-1, 1])) == (0, "count", "-1.0", "must be 0 to 1e+06 people")


def camera(*topics: int) -> Frame:
    columns: dict[str, Any] = {
        "topic": np.array(topics, np.uint32),
        "value": np.ones(len(topics), np.float32),
        "confidence": np.ones(0, np.float32),
    }
    return dataclasses.replace(road(len(topics)), columns=columns)


@pytest.mark.parametrize("code", [0, 999, 4_000_000_000])
def test_an_unknown_code_is_refused(code):
    index, field, value, reason = problem_of(CAMERA_EVENT, camera(5, code))
    assert (index, field, value) == (1, "topic", str(code))
    assert reason.startswith("must be one of 1 (LINE_CROSSED), 2 (OBJECTS_INSIDE)")


def test_an_index_outside_the_dictionary_is_refused():
    frame = road(entity=np.array([0, 3, 2], np.uint32))
    assert problem_of(ROAD_FLOW, frame) == (1, "entity", "3", "is outside the frame's dictionary")


def test_an_index_into_an_empty_dictionary_is_refused():
    ok, problems = validate(ROAD_FLOW, road(entity_ids=()))
    assert not ok.any()
    assert {p.field for p in problems} == {"entity"}
    partition = Partition("probe", ROAD_FLOW, 0)
    list(partition.fold([road(entity_ids=())]))
    assert partition.counters.dead_lettered == 3


@pytest.mark.parametrize(
    ("entity_id", "shown"),
    [
        ("", ""),
        ("with space", "with space"),
        ("a/b", "a/b"),
        ("Straße", "Straße"),
        ("nul\0", "nul\\x00"),
        ("x" * 129, "x" * 127 + "…"),
        ("line\n", "line\\n"),
    ],
)
def test_an_entity_id_of_other_signs_or_length_is_refused(entity_id, shown):
    frame = road(entity_ids=("good", entity_id, "x" * 128))
    index, field, value, reason = problem_of(ROAD_FLOW, frame)
    assert (index, field, value) == (1, "entity_id", shown)
    assert reason == "must be 1 to 128 of a-z, A-Z, 0-9, '.', '_', '~', ':' and '-'"


@pytest.mark.parametrize("time_ms", [-1, -(2**63), 253_402_300_800_000, 2**63 - 1])
def test_a_time_before_1970_or_after_9999_is_refused(time_ms):
    frame = road(time_ms=np.array([TIME_MS, TIME_MS, time_ms], np.int64))
    assert problem_of(ROAD_FLOW, frame) == (2, "time", str(time_ms), "must be a time from 1970 to 9999")


def test_the_first_broken_rule_is_told():
    frame = road(speed_kmh=[45, 999, 45], time_ms=np.array([TIME_MS, -5, TIME_MS], np.int64))
    assert problem_of(ROAD_FLOW, frame)[:3] == (1, "time", "-5")


def test_every_bad_observation_is_told():
    frame = road(4, speed_kmh=[999, 45, -1, 45], occupancy=[0, 2, 0, 0])
    ok, problems = validate(ROAD_FLOW, frame)
    assert ok.tolist() == [False, False, False, True]
    assert [(p.index, p.field) for p in problems] == [(0, "speed_kmh"), (1, "occupancy"), (2, "speed_kmh")]


def test_of_many_bad_observations_a_hundred_are_listed_and_all_are_counted():
    partition = Partition("probe", ROAD_FLOW, 0)
    (closing,) = partition.fold([road(250, speed_kmh=[-1] * 250)])
    (refused,) = closing.refused
    assert (refused.count, len(refused.problems)) == (250, 100)
    assert partition.counters.dead_lettered == 250


# ---- Whole frames
@pytest.mark.parametrize("city", ["", "Auckland", "a/b", "x" * 64, "auckland\n"])
def test_a_city_of_other_signs_or_length_is_refused(city):
    field, value, reason = fault_of(ROAD_FLOW, road(city=city))
    assert (field, reason) == ("city", "must be 1 to 63 of a-z, 0-9 and '-'")
    assert value == city.replace("\n", "\\n")


def test_a_heartbeat_need_not_name_a_city():
    frame = road(0, city="", heartbeat=True)
    ok, problems = validate(ROAD_FLOW, frame)
    assert len(ok) == 0
    assert problems == []
    partition = Partition("probe", ROAD_FLOW, 0)
    list(partition.fold([frame]))
    assert partition.watermark_ms == TIME_MS + 60_000 - ROAD_FLOW.disorder_ms


def test_a_heartbeat_without_a_city_does_not_let_frames_without_one_pass():
    partition = Partition("probe", ROAD_FLOW, 0)
    list(partition.fold([road(0, city="", heartbeat=True), road(city="")]))
    assert partition.counters.dead_lettered == 3


@pytest.mark.parametrize("period_s", [-1, 86_401])
def test_a_period_below_0_or_above_a_day_is_refused(period_s):
    assert fault_of(ROAD_FLOW, road(period_s=period_s)) == ("period_s", str(period_s), "must be 0 to 86400 s")


def test_a_period_longer_than_every_window_is_refused():
    assert fault_of(ROAD_FLOW, road(period_s=301)) == (
        "period_s",
        "301",
        "is longer than every window of road_flow, 300 s",
    )


def test_a_frame_with_a_column_of_another_length_is_refused():
    reason = "must be as many as observations, 3"
    assert fault_of(ROAD_FLOW, road(speed_kmh=[45, 45])) == ("speed_kmh", "2 values", reason)


def test_a_frame_with_times_of_another_length_is_refused():
    times = np.full(2, TIME_MS, np.int64)
    assert fault_of(ROAD_FLOW, road(time_ms=times)) == ("time", "2 values", "must be as many as observations, 3")


def test_a_frame_with_columns_and_no_observations_is_refused():
    frame = road(entity=np.empty(0, np.uint32))
    assert fault_of(ROAD_FLOW, frame) == ("time", "3 values", "must be as many as observations, 0")


def test_a_frame_without_a_column_is_refused():
    frame = road()
    columns = {name: values for name, values in frame.columns.items() if name != "speed_kmh"}
    assert fault_of(ROAD_FLOW, dataclasses.replace(frame, columns=columns)) == (
        "speed_kmh",
        "",
        "the column is missing",
    )


def test_a_frame_with_an_unknown_column_is_refused():
    columns = {**road().columns, "colour": np.ones(3, np.float32)}
    assert fault_of(ROAD_FLOW, road(columns=columns)) == ("colour", "", "road_flow has no such column")


def test_an_empty_column_of_optional_numbers_is_all_missing():
    frame = road(speed_kmh=[], heavy_share=[])
    ok, problems = validate(ROAD_FLOW, frame)
    assert ok.all()
    assert problems == []
    partition = Partition("probe", dataclasses.replace(ROAD_FLOW, detectors=()), 0)
    beat = road(0, heartbeat=True, clock_ms=TIME_MS + 3_600_000)
    (closing,) = partition.fold([frame, road(), beat])
    assert closing.batches[0].measures["speed_kmh_count"].tolist() == [1, 1, 1]
    assert closing.batches[0].revision.tolist() == [2, 2, 2]


def test_an_empty_column_of_required_numbers_is_refused():
    assert fault_of(PEOPLE_COUNT, people(count=[]))[0] == "count"


def test_an_empty_column_of_codes_is_refused():
    frame = camera(1, 2)
    frame = dataclasses.replace(frame, columns={**frame.columns, "topic": np.empty(0, np.uint32)})
    assert fault_of(CAMERA_EVENT, frame)[0] == "topic"


def test_all_columns_that_matter_empty_is_every_observation_refused():
    partition = Partition("probe", ROAD_FLOW, 0)
    list(partition.fold([road(speed_kmh=[], occupancy=[], flow_veh_h=[], heavy_share=[])]))
    assert partition.counters.dead_lettered == 3
