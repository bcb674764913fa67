"""`urban replay` as a process against a real api: all of a file arrives, once however often it is sent."""

from __future__ import annotations

import asyncio
import json
import signal
import time
from collections.abc import Sequence
from pathlib import Path

import pytest

from services.cli.domains import find_domains
from services.core.frame import Frame
from services.core.kind import HOUR_MS
from services.core.sources import Sources
from services.feeds.recordings.player import STOP_TIMEOUT_S, settled_ms
from services.runtime.fakes import MemoryLog
from services.traffic.domain import TRAFFIC
from tests.contract.calls import memory_log, observations_in, serving
from tests.feeds.recordings import datex2_samples
from tests.feeds.recordings.reading import write
from tests.feeds.recordings.replaying import Urban, urban
from tests.feeds.trains import BRITOMART, EIGHT_MS, WYNYARD, message, update, write_timetable

SEGMENTS, MINUTES = 3, 200


def minutes(path: Path, first: int = 0, last: int = MINUTES) -> Path:
    """Road flow of some segments, every minute."""
    row = '{{"entity_id": "s{}", "time": "2026-06-01T{:02}:{:02}:00Z", "period_s": 60, "flow_veh_h": {}}}'
    told = [row.format(s, m // 60, m % 60, m) for m in range(first, last) for s in range(SEGMENTS)]
    return write(path, told)


def folded(frames: Sequence[Frame]) -> int:
    """Observations that partitions take of these frames: each has its own sources, but an entity has one partition."""
    by_entity: dict[str, Sources] = {}
    found = 0
    for frame in frames:
        sources = by_entity.setdefault(frame.entity_ids[0], Sources())
        assert frame.numbered
        found += 0 if sources.repeats(frame.source_id, frame.sequence) else len(frame)
    return found


def count(log: MemoryLog) -> int:
    return sum(map(len, observations_in(log)))


async def test_a_file_arrives_whole_and_counts_once_however_often_it_is_sent(tmp_path):
    path, log = minutes(tmp_path / "a.jsonl"), memory_log(TRAFFIC)
    async with serving(TRAFFIC, log, clock="replay") as client:
        first = await urban(client.port, "traffic.road_flow", path, "--json")
        assert first.status == 0, first.errors
        assert count(log) == SEGMENTS * MINUTES
        part = ("--from", "2026-06-01T01:00Z", "--to", "2026-06-01T02:00Z")
        second = await urban(client.port, "traffic.road_flow", path, *part, "--json")
    assert first.document["observations"] == {"road_flow": SEGMENTS * MINUTES}
    assert (first.document["accepted"], first.document["refused"], first.document["stopped"]) == (600, 0, False)
    assert second.document["accepted"] == SEGMENTS * 60
    assert count(log) == SEGMENTS * (MINUTES + 60)
    assert folded(observations_in(log)) == SEGMENTS * MINUTES
    times = [int(frame.time_ms.min()) for frame in observations_in(log)]
    assert all(
        frame.clock_ms + TRAFFIC.kind("road_flow").skew_ms >= time
        for frame, time in zip(observations_in(log), times, strict=True)
    )


async def test_a_dry_run_needs_no_city_and_tells_all_that_is_refused(tmp_path):
    path = minutes(tmp_path / "a.jsonl", 0, 20)
    with path.open("a") as file:
        file.write("{\n" + '{"entity_id": "s1", "time": "2026-06-01T01:00:00Z", "flow_veh_h": -5}\n' * 15)
    errors = tmp_path / "errors.jsonl"
    answer = await urban(1, "traffic.road_flow", path, "--dry-run", "--errors", errors)
    assert answer.status == 1
    assert (
        "60 road_flow of 3 entities in 20 frames from 2026-06-01T00:00:00.000Z to 2026-06-01T00:19:00.000Z"
        in answer.output
    )
    assert "would be sent, 16 refused" in answer.output
    assert "15 × flow_veh_h: must be 0 to 20000 veh/h" in answer.output
    assert "a.jsonl:61: row = {: is no JSON" in answer.errors
    assert "a.jsonl: more are refused" in answer.errors
    told = [json.loads(line) for line in errors.read_text().splitlines()]
    assert sorted(one["line"] for one in told) == list(range(61, 77))
    assert told[-1] | {"line": 0} == {
        "file": "a.jsonl",
        "line": 0,
        "field": "flow_veh_h",
        "value": "-5.0",
        "reason": "must be 0 to 20000 veh/h",
    }


async def test_at_a_speed_observations_come_in_their_time_and_the_city_s_clock_goes_with_them(tmp_path):
    path, log = minutes(tmp_path / "a.jsonl", 0, 21), memory_log(TRAFFIC)
    async with serving(TRAFFIC, log, clock="replay") as client:
        began = time.monotonic()
        # Twenty minutes in two seconds.
        answer = await urban(client.port, "traffic.road_flow", path, "--speed", "600")
        assert answer.status == 0, answer.errors
        assert time.monotonic() - began > 2.0
    clocks = [frame.clock_ms for frame in observations_in(log)]
    assert len(set(clocks)) > 15


async def test_who_interrupts_is_told_where_to_go_on_and_nothing_is_lost_or_counted_twice(tmp_path):
    path, log = minutes(tmp_path / "a.jsonl"), memory_log(TRAFFIC)
    async with serving(TRAFFIC, log, clock="replay") as client:
        running = await Urban.start(client.port, "traffic.road_flow", path, "--speed", "1200", "--json")
        async with asyncio.timeout(60):
            while count(log) < 30:  # noqa: ASYNC110 (what is waited for comes from another process)
                await asyncio.sleep(0.05)
        running.process.send_signal(signal.SIGINT)
        stopped = await running.end()
        assert stopped.status == 130, stopped.errors
        sent = count(log)
        assert 30 <= sent < SEGMENTS * MINUTES
        told = stopped.document
        assert told["stopped"]
        rest = await urban(client.port, "traffic.road_flow", path, "--from", told["resume"], "--json")
    assert rest.status == 0, rest.errors
    assert rest.document["accepted"] <= SEGMENTS * MINUTES - sent + SEGMENTS
    assert folded(observations_in(log)) == SEGMENTS * MINUTES


async def test_who_interrupts_while_nobody_answers_need_not_wait_for_ever(tmp_path):
    command = await Urban.start(1, "traffic.road_flow", minutes(tmp_path / "a.jsonl", 0, 10), "--no-entities")
    assert command.process.stderr is not None
    while b"100 % read" not in (line := await command.process.stderr.readline()):
        assert line, "it ended by itself"
    command.process.send_signal(signal.SIGINT)
    answer = await asyncio.wait_for(command.end(), 3 * STOP_TIMEOUT_S)
    assert answer.status == 130


async def test_a_service_by_the_wall_clock_refuses_a_replay_and_says_why(tmp_path):
    async with serving(TRAFFIC, memory_log(TRAFFIC), clock="wall") as client:
        answer = await urban(client.port, "traffic.road_flow", minutes(tmp_path / "a.jsonl", 0, 2))
    assert answer.status == 1
    assert "FAILED_PRECONDITION" in answer.errors
    assert "URBAN_CLOCK=replay" in answer.errors


async def test_trains_come_with_their_platforms_and_alerts(tmp_path):
    timetable = write_timetable(tmp_path / "gtfs.zip")
    readings = [
        message(6, update("t1", ("WYN", 1, 1), ("BRI", 2, 6)), update("t2", ("WYN", 1, 12), ("BRI", 2, 17))),
        message(20, update("t2", ("WYN", 1, 13), ("BRI", 2, 18))),
    ]
    alert = readings[0].entity.add(id="a1").alert
    alert.header_text.translation.add(text="Slow trains.")
    alert.effect = alert.SIGNIFICANT_DELAYS
    alert.informed_entity.add(stop_id="BRI")
    alert.informed_entity.add(route_id="east")
    files = []
    for number, reading in enumerate(readings):
        files.append(tmp_path / f"{number}.pb")
        files[-1].write_bytes(reading.SerializeToString())
    log = memory_log(TRAFFIC)
    async with serving(TRAFFIC, log, clock="replay") as client:
        answer = await urban(client.port, "traffic.rail_call,traffic.service_alert", timetable, *reversed(files))
    assert answer.status == 0, answer.errors
    # Two platforms, a stop and a line.
    assert "4 entities registered" in answer.output
    assert "Slow trains." in answer.errors
    rows = sorted(
        (int(frame.time_ms[i]), frame.entity_ids[frame.entity[i]], float(frame.columns["delay_s"][i]))
        for frame in observations_in(log, "rail_call")
        for i in range(len(frame))
    )
    assert [(where, delay_s) for _, where, delay_s in rows] == [
        (WYNYARD, 60.0),
        (BRITOMART, 60.0),
        (WYNYARD, 180.0),
        (BRITOMART, 180.0),
    ]
    alerts = sorted(
        (frame.entity_ids[entity], int(time_ms) - EIGHT_MS)
        for frame in observations_in(log, "service_alert")
        for entity, time_ms in zip(frame.entity, frame.time_ms, strict=True)
    )
    assert alerts == [("line:east", 6 * 60_000), ("stop:BRI", 6 * 60_000)]


async def test_lanes_of_datex2_come_with_their_sites(tmp_path):
    files = datex2_samples.write(tmp_path, table=datex2_samples.table_v2(), data=datex2_samples.data_v2())
    log = memory_log(TRAFFIC)
    async with serving(TRAFFIC, log, clock="replay") as client:
        answer = await urban(client.port, "traffic.road_flow", *files, "--format", "datex2")
    assert answer.status == 0, answer.errors
    assert "2 entities registered" in answer.output
    told = {
        frame.entity_ids[entity]: (int(frame.time_ms[i]), frame.period_s, float(frame.columns["flow_veh_h"][i]))
        for frame in observations_in(log, "road_flow")
        for i, entity in enumerate(frame.entity)
    }
    assert told == {"EX_1:lane1": (datex2_samples.NINE_MS, 60, 600), "EX_1:lane2": (datex2_samples.NINE_MS, 60, 600)}


@pytest.mark.parametrize(
    "kind", [kind for domain in find_domains() for kind in domain.kinds], ids=lambda kind: kind.name
)
@pytest.mark.parametrize("at_ms", [0, 1, HOUR_MS - 1, HOUR_MS, 5 * HOUR_MS + 7])
def test_in_the_end_the_windows_of_the_last_observation_are_over_and_what_comes_behind_them_is_in_time(kind, at_ms):
    last_ms = 1_780_272_000_000 + at_ms
    watermark_ms = settled_ms(kind, last_ms, final=False) - kind.disorder_ms
    for window in kind.windows:
        begin_ms = last_ms // window.step_ms * window.step_ms
        assert begin_ms + window.step_ms <= watermark_ms
        assert watermark_ms % window.step_ms == 0 or window.step_ms > HOUR_MS
    assert watermark_ms - last_ms <= max(window.step_ms for window in kind.windows)
    final_ms = settled_ms(kind, last_ms, final=True) - kind.disorder_ms
    assert all(
        last_ms // w.step_ms * w.step_ms + w.size_ms + w.gap_ms + kind.lateness_ms <= final_ms for w in kind.windows
    )


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("traffic.road_flow", "--speed", "0"), "--speed '0' must be a number above 0, or max"),
        (("traffic.roads",), "unknown kind of observation 'traffic.roads'"),
        (("traffic.road_flow,community.passage",), "not of traffic and community"),
        (("traffic.road_flow", "--from", "noon"), "--from 'noon' is no time"),
        (("traffic.road_flow", "--format", "jsonl", "--dry-run"), "at least one file is needed"),
        (("traffic.road_flow", "lost.jsonl", "--dry-run"), "lost.jsonl"),
    ],
)
async def test_what_cannot_be_done_is_said_in_one_line(arguments, told):
    answer = await urban(1, *arguments)
    assert answer.status == 1
    assert answer.errors.startswith("urban: ")
    assert told in answer.errors
