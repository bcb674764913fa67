"""Stored windows and signals are listed in their final revisions, page by page, from a real ClickHouse."""

from __future__ import annotations

import math
import uuid
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import grpc
import numpy as np
import pytest
from google.protobuf.timestamp_pb2 import Timestamp

from deploy.local.servers import Endpoints
from services.core.signals import Evidence, Severity, Signal
from services.core.windows import WindowBatch
from services.runtime.clickhouse import ClickHouse
from services.runtime.records import signals_table, windows_table
from services.traffic.domain import ROAD_FLOW
from tests.contract.calls import PATIENCE_SECONDS, Client, violations_of
from tests.contract.domains import MONDAY_MS
from tests.integration.api.replicas import replica
from urban.common.v1.service_pb2 import ListSignalsRequest, ListWindowsRequest
from urban.common.v1.signal_pb2 import SignalState

MINUTE_MS = 60_000
EVIL = "x'); DROP TABLE traffic.signals; --"


@pytest.fixture
def city() -> str:
    """A city of the test's own: tables are shared."""
    return f"city-{uuid.uuid4().hex[:12]}"


@pytest.fixture
async def clickhouse(servers: Endpoints) -> AsyncIterator[ClickHouse]:
    clickhouse = await ClickHouse.connect(servers.clickhouse)
    yield clickhouse
    await clickhouse.close()


@pytest.fixture
async def client(servers: Endpoints) -> AsyncIterator[Client]:
    async with replica(servers) as client:
        yield client


def batch(city: str, entity_ids: list[str], minutes: range, revision: int, speed: float) -> WindowBatch:
    """Windows of one minute for each entity."""
    starts = [MONDAY_MS + m * MINUTE_MS for m in minutes for _ in entity_ids]
    rows = len(starts)
    measures = {name: np.full(rows, math.nan) for name in ROAD_FLOW.measure_names()}
    measures["speed_kmh_mean"] = np.full(rows, speed)
    return WindowBatch(
        window=ROAD_FLOW.window("1m"),
        cities=[city] * len(entity_ids),
        entity_ids=entity_ids,
        slot=np.tile(np.arange(len(entity_ids)), len(minutes)),
        start_ms=np.array(starts, np.int64),
        revision=np.full(rows, revision, np.uint32),
        measures=measures,
    )


def stamp(time_ms: int) -> Timestamp:
    found = Timestamp()
    found.FromMilliseconds(time_ms)
    return found


async def windows(client: Client, city: str, **fields: Any) -> Any:
    request = ListWindowsRequest(**{"parent": f"cities/{city}", "kind": "road_flow"} | fields)
    return await client.ListWindows(request, timeout=PATIENCE_SECONDS)


async def signals(client: Client, city: str, **fields: Any) -> Any:
    request = ListSignalsRequest(**{"parent": f"cities/{city}"} | fields)
    return await client.ListSignals(request, timeout=PATIENCE_SECONDS)


async def test_windows_come_in_order_page_by_page_in_their_last_revision(
    client: Client, clickhouse: ClickHouse, city: str
):
    for revision, speed in ((1, 10.0), (3, 30.0), (2, 20.0)):  # a late repetition does not win
        table = windows_table(batch(city, ["b", "a", "c"], range(5), revision, speed), 0)
        await clickhouse.insert("traffic.road_flow_windows", table)
    found: list[Any] = []
    token = ""
    for _ in range(4):
        page = await windows(client, city, page_size=4, page_token=token)
        found += page.windows
        token = page.next_page_token
    assert token == ""
    keys = [(w.start_time.ToMilliseconds(), w.window, w.entity_id) for w in found]
    assert keys == [(MONDAY_MS + m * MINUTE_MS, "1m", e) for m in range(5) for e in "abc"]
    for window in found:
        assert (window.city, window.kind, window.revision) == (city, "road_flow", 3)
        assert dict(window.measures) == {"speed_kmh_mean": 30.0}
        assert window.end_time.ToMilliseconds() - window.start_time.ToMilliseconds() == MINUTE_MS


async def test_windows_are_filtered_by_entity_window_and_time(client: Client, clickhouse: ClickHouse, city: str):
    await clickhouse.insert("traffic.road_flow_windows", windows_table(batch(city, ["a", "b"], range(5), 1, 5.0), 0))
    assert {w.entity_id for w in (await windows(client, city, entity_id="b")).windows} == {"b"}
    assert not (await windows(client, city, window="5m")).windows
    assert not (await windows(client, city, entity_id=EVIL)).windows
    bounds = {"start_time": stamp(MONDAY_MS + MINUTE_MS), "end_time": stamp(MONDAY_MS + 3 * MINUTE_MS)}
    starts = {w.start_time.ToMilliseconds() for w in (await windows(client, city, **bounds)).windows}
    assert starts == {MONDAY_MS + MINUTE_MS, MONDAY_MS + 2 * MINUTE_MS}
    just_after = Timestamp(seconds=MONDAY_MS // 1000, nanos=1)
    starts = {w.start_time.ToMilliseconds() for w in (await windows(client, city, start_time=just_after)).windows}
    assert min(starts) == MONDAY_MS + MINUTE_MS


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"kind": ""}, "kind"),
        ({"kind": "people_count"}, "kind"),
        ({"kind": EVIL}, "kind"),
        ({"window": "2m"}, "window"),
        ({"parent": "auckland"}, "parent"),
        ({"page_size": -5}, "page_size"),
        ({"page_token": "WyJ4IiwxLCJhIiwiYiJd"}, "page_token"),
    ],
)
async def test_a_wrong_request_for_windows_is_refused(client: Client, city: str, fields: dict[str, Any], field: str):
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await windows(client, city, **fields)
    assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert violations_of(caught.value)[0][0] == field


def signal(city: str, n: int, **changes: Any) -> Signal:
    found = Signal(
        id=str(uuid.uuid5(uuid.NAMESPACE_URL, f"{city}/{n}")),
        city=city,
        domain="traffic",
        kind="road_flow",
        type="congestion",
        entity_id=f"seg-{n}",
        window="5m",
        start_ms=MONDAY_MS + n % 3 * MINUTE_MS,
        end_ms=MONDAY_MS + (n % 3 + 5) * MINUTE_MS,
        retracted=False,
        severity=Severity.SEVERE,
        score=0.25,
        evidence=(Evidence("speed_kmh_mean", 12.0, 25.0, 50.0), Evidence("travel_time_index", 4.0, 2.0)),
        revision=4,
        detector_version="1",
        latitude=-36.85,
        longitude=174.76,
        h3_cell=0x89BB50000A7FFFF,
    )
    return replace(found, **changes)


async def test_signals_come_in_order_page_by_page(client: Client, clickhouse: ClickHouse, city: str):
    await clickhouse.insert("traffic.signals", signals_table([signal(city, n) for n in range(25)]))
    found: list[Any] = []
    token = ""
    while True:
        page = await signals(client, city, page_size=10, page_token=token)
        found += page.signals
        token = page.next_page_token
        if not token:
            break
    keys = [(s.start_time.ToMilliseconds(), s.id) for s in found]
    assert len(set(keys)) == 25
    assert keys == sorted(keys)


async def test_a_signal_comes_back_whole(client: Client, clickhouse: ClickHouse, city: str):
    told = signal(city, 1, attributes=(("line", "western"), ("road", "SH1")))
    await clickhouse.insert("traffic.signals", signals_table([told]))
    (found,) = (await signals(client, city)).signals
    assert dict(found.attributes) == {"line": "western", "road": "SH1"}
    assert (found.id, found.city, found.domain, found.kind) == (signal(city, 1).id, city, "traffic", "road_flow")
    assert (found.type, found.entity_id, found.window, found.revision) == ("congestion", "seg-1", "5m", 4)
    assert (found.state, found.severity, found.score) == (SignalState.SIGNAL_STATE_RAISED, Severity.SEVERE, 0.25)
    assert (found.position.latitude, found.position.longitude) == (-36.85, 174.76)
    assert found.position.h3_cell == 0x89BB50000A7FFFF
    first, second = found.evidence
    assert (first.measure, first.value, first.threshold, first.expected) == ("speed_kmh_mean", 12.0, 25.0, 50.0)
    assert (second.measure, second.value) == ("travel_time_index", 4.0)
    assert math.isnan(second.expected)


async def test_a_signal_that_was_withdrawn_is_listed_as_such(client: Client, clickhouse: ClickHouse, city: str):
    gone = signal(city, 1, retracted=True, revision=5, latitude=math.nan, longitude=math.nan, h3_cell=0)
    await clickhouse.insert("traffic.signals", signals_table([gone]))
    await clickhouse.insert("traffic.signals", signals_table([signal(city, 1)]))
    (found,) = (await signals(client, city)).signals
    assert (found.state, found.revision) == (SignalState.SIGNAL_STATE_RETRACTED, 5)
    assert not found.HasField("position")


async def test_signals_are_filtered(client: Client, clickhouse: ClickHouse, city: str):
    rows = [signal(city, n, type="sudden_stop" if n == 2 else "congestion") for n in range(6)]
    await clickhouse.insert("traffic.signals", signals_table(rows))
    assert [s.entity_id for s in (await signals(client, city, type="sudden_stop")).signals] == ["seg-2"]
    assert [s.entity_id for s in (await signals(client, city, entity_id="seg-4")).signals] == ["seg-4"]
    assert not (await signals(client, city, type=EVIL)).signals
    late = await signals(client, city, start_time=stamp(MONDAY_MS + 2 * MINUTE_MS))
    assert {s.entity_id for s in late.signals} == {"seg-2", "seg-5"}
    assert len((await signals(client, city)).signals) == 6


async def test_a_token_of_another_method_is_refused(client: Client, clickhouse: ClickHouse, city: str):
    await clickhouse.insert("traffic.signals", signals_table([signal(city, n) for n in range(3)]))
    token = (await signals(client, city, page_size=1)).next_page_token
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await windows(client, city, page_token=token)
    assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT
