"""Each kind of bad single observation is refused at the edge by name, and the good ones of its stream are written."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import grpc
import pytest
from google.protobuf.timestamp_pb2 import Timestamp
from prometheus_client import REGISTRY

from services.community.domain import COMMUNITY
from services.runtime.fakes import MemoryLog
from services.security.domain import SECURITY
from services.traffic.domain import TRAFFIC
from tests.contract.calls import (
    PATIENCE_SECONDS,
    Client,
    details_of,
    memory_log,
    observations_in,
    serving,
    violations_of,
)
from tests.contract.domains import MONDAY_MS
from urban.community.v1.people_count_pb2 import PeopleCount
from urban.security.v1.camera_event_pb2 import CameraEvent
from urban.traffic.v1.road_flow_pb2 import RoadFlow
from urban.traffic.v1.service_pb2 import ReportRequest

NAN = float("nan")
FUTURE_MS = 4_102_444_800_000  # 2100


@pytest.fixture
async def log() -> MemoryLog:
    return memory_log(TRAFFIC)


@pytest.fixture
async def client(log: MemoryLog) -> AsyncIterator[Client]:
    async with serving(TRAFFIC, log) as client:
        yield client


def row(**fields: Any) -> RoadFlow:
    good: dict[str, Any] = {"entity_id": "a", "time": Timestamp(seconds=MONDAY_MS // 1000), "speed_kmh": 50.0}
    return RoadFlow(**good | fields)


def report(*rows: Any, parent: str = "cities/auckland") -> list[ReportRequest]:
    return [ReportRequest(parent=parent, road_flow=r) for r in rows]


ROWS: list[tuple[str, RoadFlow, str, str]] = [
    ("no id", row(entity_id=""), "entity_id", "must be 1 to 128 of"),
    ("no time", RoadFlow(entity_id="a", speed_kmh=3), "time", "is missing"),
    ("before 1970", row(time=Timestamp(seconds=-1)), "time", "-1000: must be a time from 1970"),
    ("future", row(time=Timestamp(seconds=FUTURE_MS // 1000)), "time", "at most 300 s after the city's clock"),
    ("odd nanos", row(time=Timestamp(seconds=1, nanos=-5)), "time", "-5 nanos: must be 0 to 999999999"),
    ("no number", row(speed_kmh=NAN), "flow_veh_h,speed_kmh,occupancy", "must be a number"),
    ("negative", row(speed_kmh=-3), "speed_kmh", "-3.0: must be 0 to 300 km/h"),
    ("period", row(period_s=86_401), "period_s", "86401: must be 0 to 86400"),
]


@pytest.mark.parametrize(("bad", "field", "reason"), [r[1:] for r in ROWS], ids=[r[0] for r in ROWS])
async def test_a_stream_without_a_good_row_is_invalid(client: Client, bad: RoadFlow, field: str, reason: str):
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await client.Report(iter(report(bad, bad)), timeout=PATIENCE_SECONDS)
    assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert [f for f, _ in violations_of(caught.value)] == [f"observations[{i}].{field}" for i in (0, 1)]
    assert reason in violations_of(caught.value)[0][1]


@pytest.mark.parametrize(("bad", "field", "reason"), [r[1:] for r in ROWS], ids=[r[0] for r in ROWS])
async def test_a_bad_row_among_good_ones_is_listed(
    client: Client, log: MemoryLog, bad: RoadFlow, field: str, reason: str
):
    answer = await client.Report(iter(report(row(), bad, row(entity_id="b"))), timeout=PATIENCE_SECONDS)
    assert (answer.accepted, answer.rejected) == (2, 1)
    (rejection,) = answer.rejections
    assert (rejection.index, rejection.field) == (1, field)
    assert reason in f"{rejection.value}: {rejection.reason}"
    assert sum(map(len, observations_in(log))) == 2


async def test_hundreds_of_violations_still_fit_into_an_answer(client: Client):
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await client.Report(iter(report(*[row(entity_id="é" * 500)] * 600)), timeout=PATIENCE_SECONDS)
    assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert "none of 600 observations was good" in details_of(caught.value).message
    assert 5 < len(violations_of(caught.value)) < 600


@pytest.mark.parametrize("parent", ["", "auckland", "cities/", "cities/Auckland", "cities/a/b"])
async def test_a_city_that_is_none_is_invalid(client: Client, parent: str):
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await client.Report(iter(report(row(), parent=parent)), timeout=PATIENCE_SECONDS)
    assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert violations_of(caught.value)[0][0] == "parent"


async def test_a_request_without_an_observation_is_listed(client: Client):
    requests = [*report(row()), ReportRequest()]
    answer = await client.Report(iter(requests), timeout=PATIENCE_SECONDS)
    reason = "must be one of road_flow, rail_call, parking, service_alert"
    assert [(r.index, r.field, r.reason) for r in answer.rejections] == [(1, "observation", reason)]


async def test_a_missing_count_is_no_number():
    log = memory_log(COMMUNITY)
    async with serving(COMMUNITY, log) as client:
        request = client.request("Report")(
            parent="cities/x", people_count=PeopleCount(entity_id="a", time=Timestamp(seconds=1_717_408_800))
        )
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await client.Report(iter([request]), timeout=PATIENCE_SECONDS)
    assert violations_of(caught.value) == [("observations[0].count", "nan: is required and must be a number")]


@pytest.mark.parametrize("code", [0, 999, -1])
async def test_an_unknown_code_is_refused(code: int):
    async with serving(SECURITY, memory_log(SECURITY)) as client:
        event = CameraEvent(entity_id="a", time=Timestamp(seconds=1_717_408_800), topic=code)  # type: ignore[arg-type]
        request = client.request("Report")(parent="cities/x", camera_event=event)
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await client.Report(iter([request]), timeout=PATIENCE_SECONDS)
    ((field, description),) = violations_of(caught.value)
    assert field == "observations[0].topic"
    assert description.startswith(f"{code}: ")


def reported(result: str) -> float:
    return (
        REGISTRY.get_sample_value(
            "urban_reported_observations_total", {"domain": "traffic", "kind": "road_flow", "result": result}
        )
        or 0.0
    )


async def test_metrics_count_what_was_accepted_and_what_was_rejected(client):
    before = reported("accepted"), reported("rejected")
    rows = report(row(), row(entity_id=""), row(speed_kmh=301.0), row())
    answer = await client.Report(iter(rows), timeout=PATIENCE_SECONDS)
    assert (answer.accepted, answer.rejected) == (2, 2)
    assert (reported("accepted"), reported("rejected")) == (before[0] + 2, before[1] + 2)
