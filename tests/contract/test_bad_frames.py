"""Each kind of bad frame is refused at the edge by name, and the stream goes on with what is good."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from typing import Any

import grpc
import pytest

from services.runtime.api.clock import wall_clock_ms
from services.runtime.fakes import MemoryLog
from services.traffic.domain import TRAFFIC
from tests.contract.calls import (
    PATIENCE_SECONDS,
    Client,
    collect,
    memory_log,
    observations_in,
    serving,
    violations_of,
)
from tests.contract.domains import MONDAY_MS
from urban.traffic.v1.road_flow_pb2 import RoadFlowFrame
from urban.traffic.v1.service_pb2 import ReportFramesRequest

NAN = float("nan")


@pytest.fixture
async def log() -> MemoryLog:
    return memory_log(TRAFFIC)


@pytest.fixture
async def client(log: MemoryLog) -> AsyncIterator[Client]:
    async with serving(TRAFFIC, log) as client:
        yield client


def frame(**fields: Any) -> RoadFlowFrame:
    """A good frame of two rows; lists replace columns."""
    message = RoadFlowFrame(
        header={"city": "auckland", "source_id": "gateway", "sequence": 1},
        entity_ids=["a", "b"],
        entity=[0, 1],
        base_time_ms=MONDAY_MS,
        time_offset_ms=[0, 1000],
        period_s=60,
        speed_kmh=[50, 60],
    )
    for name, value in fields.items():
        if isinstance(value, list):
            message.ClearField(name)
            getattr(message, name).extend(value)
        elif name in ("city", "source_id", "sequence", "heartbeat"):
            setattr(message.header, name, value)
        else:
            setattr(message, name, value)
    return message


# what is wrong with the second row; its field, value (empty: it differs), reason
BAD_ROWS: list[tuple[str, Callable[[], RoadFlowFrame], str, str, str]] = [
    ("entity index", lambda: frame(entity=[0, 9]), "entity", "9", "outside the frame's dictionary"),
    ("empty id", lambda: frame(entity_ids=["a", ""]), "entity_id", "", "must be 1 to 128 of"),
    ("bad id", lambda: frame(entity_ids=["a", "b c"]), "entity_id", "b c", "must be 1 to 128 of"),
    ("long id", lambda: frame(entity_ids=["a", "x" * 129]), "entity_id", "x" * 127 + "…", "must be 1 to 128 of"),
    ("negative", lambda: frame(speed_kmh=[50, -1]), "speed_kmh", "-1.0", "must be 0 to 300 km/h"),
    ("too fast", lambda: frame(speed_kmh=[50, 301]), "speed_kmh", "301.0", "must be 0 to 300 km/h"),
    ("infinite", lambda: frame(speed_kmh=[50, float("inf")]), "speed_kmh", "inf", "must be 0 to 300 km/h"),
    ("occupancy", lambda: frame(occupancy=[0.5, 1.5]), "occupancy", "1.5", "must be 0 to 1"),
    ("no number", lambda: frame(speed_kmh=[50, NAN]), "flow_veh_h,speed_kmh,occupancy", "nan", "must be a number"),
    (
        "future",
        # An hour beyond the skew: no machine is so slow that it catches up.
        lambda: frame(base_time_ms=wall_clock_ms() - 60_000, time_offset_ms=[0, 3_960_000]),
        "time",
        "",
        "at most 300 s after the city's clock",
    ),
    ("before 1970", lambda: frame(base_time_ms=-1000, time_offset_ms=[1000, 0]), "time", "-1000", "from 1970"),
]


@pytest.mark.parametrize(("make", "field", "value", "reason"), [b[1:] for b in BAD_ROWS], ids=[b[0] for b in BAD_ROWS])
async def test_a_bad_row_is_named_and_the_good_one_written(
    client: Client, log: MemoryLog, make: Callable[[], RoadFlowFrame], field: str, value: str, reason: str
):
    call = client.ReportFrames(iter([ReportFramesRequest(road_flow=make())]), timeout=PATIENCE_SECONDS)
    (answer,) = [response async for response in call]
    assert (answer.accepted, answer.rejected, answer.sequence, answer.unnumbered) == (1, 1, 1, False)
    (rejection,) = answer.rejections
    assert (rejection.index, rejection.field) == (1, field)
    assert rejection.value == value or not value
    assert reason in rejection.reason
    (part,) = observations_in(log)
    assert (part.entity_ids[part.entity[0]], len(part)) == ("a", 1)


BAD_FRAMES: list[tuple[str, RoadFlowFrame | bytes, str, str]] = [
    ("columns of different length", frame(speed_kmh=[1, 2, 3]), "speed_kmh", "must be as many as observations, 2"),
    ("times of different length", frame(time_offset_ms=[0]), "time", "must be as many as observations, 2"),
    ("no city", frame(city=""), "city", "must be 1 to 63 of"),
    ("bad city", frame(city="Auckland/x"), "city", "must be 1 to 63 of"),
    ("period", frame(period_s=90_000), "period_s", "must be 0 to 86400"),
    ("period beyond all windows", frame(period_s=3600), "period_s", "longer than every window"),
    ("no observations", frame(entity=[], time_offset_ms=[], speed_kmh=[]), "entity", "a frame has observations"),
    ("heartbeat", frame(heartbeat=True), "entity", "a heartbeat has no observations"),
    ("base time", frame(base_time_ms=2**60), "base_time_ms", "before the year 10000"),
    ("source", frame(source_id="x" * 129), "header.source_id", "at most 128 characters"),
    ("no header", RoadFlowFrame(entity_ids=["a"], entity=[0], time_offset_ms=[0], speed_kmh=[1]), "header", "missing"),
    ("no frame", b"\x82\x01\x02\xff\xff", "value", "no RoadFlowFrame"),
]


@pytest.mark.parametrize(("bad", "field", "reason"), [b[1:] for b in BAD_FRAMES], ids=[b[0] for b in BAD_FRAMES])
async def test_a_frame_that_is_wrong_as_a_whole_is_named_and_the_stream_goes_on(
    client: Client, log: MemoryLog, bad: RoadFlowFrame | bytes, field: str, reason: str
):
    first = bad if isinstance(bad, bytes) else ReportFramesRequest(road_flow=bad)
    call = client.ReportFrames(
        iter([first, ReportFramesRequest(road_flow=frame(sequence=2))]), timeout=PATIENCE_SECONDS
    )
    answers = [response async for response in call]
    assert [(a.index, a.accepted, a.sequence) for a in answers][1:] == [(1, 2, 2)]
    assert answers[0].accepted == 0
    assert answers[0].rejected >= 1
    assert answers[0].rejections[0].field == field
    assert reason in answers[0].rejections[0].reason
    assert sum(map(len, observations_in(log))) == 2
    assert {part.sequence for part in observations_in(log)} == {2}


@pytest.mark.parametrize(
    ("bad", "reason"),
    [(ReportFramesRequest(), "must be one of replay_clock, road_flow"), (b"\xff\xff", "no ReportFramesRequest")],
)
async def test_a_request_without_a_payload_ends_the_stream_behind_the_answers_due(
    client: Client, bad: Any, reason: str
):
    call = client.ReportFrames(
        iter([ReportFramesRequest(road_flow=frame()), bad, ReportFramesRequest(road_flow=frame(sequence=2))]),
        timeout=PATIENCE_SECONDS,
    )
    answers, error = await collect(call)
    assert [answer.index for answer in answers] == [0]
    assert error is not None
    assert error.code() is grpc.StatusCode.INVALID_ARGUMENT
    ((field, description),) = violations_of(error)
    assert field.startswith("requests[1]")
    assert reason in description


async def test_a_frame_with_too_many_rows_is_refused_with_its_number(client: Client):
    rows = 65_537
    many = frame(entity=[0] * rows, time_offset_ms=[0] * rows, speed_kmh=[1.0] * rows)
    call = client.ReportFrames(iter([ReportFramesRequest(road_flow=many)]), timeout=PATIENCE_SECONDS)
    answers, error = await collect(call)
    assert answers == []
    assert error is not None
    assert error.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
    assert error.details() == "road_flow.entity: 65537 observations: must be at most 65536"


async def test_an_oversize_message_is_refused(client: Client, log: MemoryLog):
    _, error = await collect(client.ReportFrames(iter([bytes(5 << 20)]), timeout=PATIENCE_SECONDS))
    assert error is not None
    assert error.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
    assert "larger than max" in (error.details() or "")
    assert observations_in(log) == []


async def test_a_thousand_rejections_are_listed_and_all_are_counted(client: Client):
    rows = 1500
    bad = frame(entity=[0] * rows, time_offset_ms=[0] * rows, speed_kmh=[-1.0] * rows)
    call = client.ReportFrames(iter([ReportFramesRequest(road_flow=bad)]), timeout=PATIENCE_SECONDS)
    (answer,) = [response async for response in call]
    assert (answer.accepted, answer.rejected, len(answer.rejections)) == (0, 1500, 1000)


async def test_a_frame_without_a_number_is_told_so(client: Client):
    call = client.ReportFrames(
        iter([ReportFramesRequest(road_flow=frame(source_id="")), ReportFramesRequest(road_flow=frame(sequence=0))]),
        timeout=PATIENCE_SECONDS,
    )
    assert [response.unnumbered async for response in call] == [True, True]
