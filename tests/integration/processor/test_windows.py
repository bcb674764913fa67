"""The processor on real servers: frames in; windows, signals, late observations and dead letters out."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import numpy as np

from services.core.frame import Frame
from services.runtime import catalogue
from services.runtime.codec import decode_frame, encode_frame
from services.runtime.roles import ProcessorRole
from services.traffic.domain import ROAD_FLOW, TRAFFIC
from tests.integration.processor.city import (
    CONTRACT,
    MINUTE_MS,
    PARTITIONS,
    START_MS,
    City,
    Flow,
    flows,
    frame_of,
    frames_by_minute,
    plain_windows,
    same,
)
from urban.common.v1.signal_pb2 import SignalRecord
from urban.common.v1.window_pb2 import WindowFrame


@asynccontextmanager
async def processing(city: City) -> AsyncIterator[ProcessorRole]:
    await city.prepare()
    role = ProcessorRole(TRAFFIC, city.settings())
    await role.start()
    watching = asyncio.create_task(role.wait())
    try:
        yield role
        assert not watching.done(), watching.exception()
    finally:
        watching.cancel()
        await role.stop()


async def test_windows_are_those_of_a_plain_count_in_clickhouse_and_on_the_topic(city: City):
    rows = flows(minutes=30, segments=40)
    end_ms = START_MS + 30 * MINUTE_MS
    async with processing(city):
        await city.send(frames_by_minute(rows))
        await city.close_windows(end_ms + ROAD_FLOW.disorder_ms)
        await city.until_handled()

    expected = plain_windows(rows, end_ms)
    same(await city.windows(), expected)
    assert await city.ledger() == (len(rows), len(rows), 0, 0, 0)
    on_topic = {}
    for record in await city.read(catalogue.windows("traffic")):
        frame = WindowFrame.FromString(record.value or b"")
        measures = {m.name: m.values for m in frame.measures}
        for i, (window, entity) in enumerate(zip(frame.window, frame.entity, strict=True)):
            bounds = frame.bounds[window]
            assert frame.watermark_ms >= bounds.end_ms
            key = bounds.window, frame.entity_ids[entity], bounds.start_ms
            speeds = (measures[f"speed_kmh_{name}"][i] for name in ("mean", "min", "max", "last"))
            on_topic[key] = (frame.revision[i], *speeds, measures["flow_veh_h_sum"][i])
    same(on_topic, expected)


async def test_a_repeated_frame_is_counted_and_changes_nothing(city: City):
    rows = flows(minutes=6, segments=8)
    frames = frames_by_minute(rows)
    async with processing(city):
        await city.send([*frames, *frames[-8:]])
        await city.close_windows(START_MS + 6 * MINUTE_MS + ROAD_FLOW.disorder_ms)
        repeated = sum(len(frame) for _, frame in frames[-8:])
        await city.until_handled()
    same(await city.windows(), plain_windows(rows, START_MS + 6 * MINUTE_MS))
    assert await city.ledger() == (len(rows) + repeated, len(rows), repeated, 0, 0)


async def test_a_late_observation_revises_its_window_and_a_later_one_goes_to_the_late_topic(city: City):
    first = [Flow("segment-1", START_MS, 100.0, 40.0), Flow("segment-1", START_MS + MINUTE_MS, 100.0, 40.0)]
    late = Flow("segment-1", START_MS, 200.0, 20.0)
    partition = frames_by_minute(first)[0][0]
    lateness_ms = ROAD_FLOW.lateness_ms + ROAD_FLOW.disorder_ms
    async with processing(city):
        await city.send(frames_by_minute(first))
        await city.close_windows(START_MS + 2 * MINUTE_MS + ROAD_FLOW.disorder_ms)
        await city.send([(partition, frame_of([late], clock_ms=START_MS + 3 * MINUTE_MS))])
        await city.close_windows(START_MS + 3 * MINUTE_MS + lateness_ms)
        await city.send([(partition, frame_of([late], clock_ms=START_MS + 20 * MINUTE_MS))])
        await city.until_handled()
    assert (await city.windows())["1m", "segment-1", START_MS][:2] == (2, 30.0)
    assert await city.ledger() == (4, 3, 0, 1, 0)
    (record,) = await city.read(catalogue.late("traffic"))
    frame = decode_frame(CONTRACT, record.value or b"")
    assert isinstance(frame, Frame)
    assert (frame.entity_ids, frame.time_ms.tolist(), len(frame)) == (("segment-1",), [START_MS], 1)


async def test_what_cannot_be_taken_goes_once_to_the_dead_letters_and_the_good_ones_go_on(city: City):
    good = Flow("segment-1", START_MS, 100.0, 40.0)
    partition = frames_by_minute([good])[0][0]
    mixed = frame_of([good, good._replace(speed_kmh=-1.0), good._replace(entity_id="segment 2")])
    ahead = frame_of([good._replace(time_ms=START_MS + 60 * MINUTE_MS)], clock_ms=START_MS + MINUTE_MS)
    bad_json = json.dumps({"entityId": "segment-1", "time": "2026-06-01T00:00:00Z", "sped_kmh": 3}).encode()
    values = [b"\xff\xffno frame", encode_frame(CONTRACT, mixed), encode_frame(CONTRACT, ahead)]
    async with processing(city):
        await city.send_raw([(partition, value) for value in values])
        headers = [("content-type", b"application/json"), ("urban_city", b"testville")]
        await city.send_raw([(partition, bad_json)], headers=headers)
        await city.close_windows(START_MS + 5 * MINUTE_MS + ROAD_FLOW.disorder_ms)
        await city.until_handled()
    assert (await city.windows())["1m", "segment-1", START_MS][0] == 1
    assert await city.ledger() == (6, 1, 0, 0, 5)

    letters = await city.read(catalogue.dead_letters("traffic"))
    assert [letter.value for letter in letters] == [*values, bad_json]
    told = [{name: text.decode() for name, text in letter.headers} for letter in letters]
    assert [t["urban_error_class"] for t in told] == ["malformed", "invalid", "future", "malformed"]
    assert [t["urban_observations"] for t in told] == ["1", "2", "1", "1"]
    assert told[1]["urban_indices"] == "[1, 2]"
    assert "speed_kmh" in told[1]["urban_error"]
    assert "-1" in told[1]["urban_error"]
    assert "sped_kmh" in told[3]["urban_error"]
    topic = catalogue.observations("traffic", "road_flow")
    assert [t["ce_id"] for t in told] == [f"{topic}/{partition}/{offset}" for offset in range(4)]
    stored = await city.query("SELECT error_class, observations FROM traffic.dead_letters FINAL ORDER BY kafka_offset")
    assert stored == [("malformed", 1), ("invalid", 2), ("future", 1), ("malformed", 1)]


async def test_a_signal_is_stored_and_told_before_the_watermark_that_passes_it(city: City):
    rows = [Flow("segment-1", START_MS + m * MINUTE_MS, 500.0, 60.0 if m < 4 else 5.0) for m in range(10)]
    async with processing(city):
        await city.send(frames_by_minute(rows))
        await city.close_windows(START_MS + 10 * MINUTE_MS + ROAD_FLOW.disorder_ms)
        await city.until_handled()

        async def reported() -> bool:
            records = [SignalRecord.FromString(r.value or b"") for r in await city.read(catalogue.SIGNALS)]
            reports = [r.watermark for r in records if r.HasField("watermark")]
            return {p.partition for r in reports for p in r.partitions} == set(range(PARTITIONS))

        await city.until(reported, "watermarks of all partitions reported")
    records = [SignalRecord.FromString(r.value or b"") for r in await city.read(catalogue.SIGNALS)]
    signals = [(i, r.signal) for i, r in enumerate(records) if r.HasField("signal")]
    assert Counter(s.type for _, s in signals) == {"sudden_stop": 1, "congestion": 1}
    partition = frames_by_minute(rows)[0][0]
    for i, signal in signals:
        before = [p for r in records[:i] for p in r.watermark.partitions if p.partition == partition]
        assert all(p.watermark_ms < signal.end_time.ToMilliseconds() for p in before)
    stored = await city.query("SELECT toString(id), type, state, severity FROM traffic.signals FINAL ORDER BY type")
    assert [row[1:] for row in stored] == [("congestion", "raised", "severe"), ("sudden_stop", "raised", "severe")]
    assert {row[0] for row in stored} == {s.id for _, s in signals}
    assert np.isnan((await city.query("SELECT any(latitude) FROM traffic.signals"))[0][0])
