"""Emergency calls and credentials on real servers: through the log into windows, signals, the archive and the views."""

from __future__ import annotations

import math
import random
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from services.core.frame import Frame
from services.core.kind import MINUTE_MS
from services.runtime.catalogue import observations
from services.runtime.codec import encode_frame, encode_heartbeat
from services.runtime.contracts import FrameContract
from services.runtime.roles import ArchiverRole, ProcessorRole
from services.security.domain import SECURITY
from tests.integration.processor.city import NAME, PARTITIONS, START_MS, City

KINDS = ("emergency_call", "credential_event")
CONTRACTS = {name: FrameContract.of("security", SECURITY.kind(name)) for name in KINDS}
PART = replace(SECURITY, kinds=tuple(contract.kind for contract in CONTRACTS.values()))
HASH = float(2**52)
GRANTED, FAILED, DURESS, TAMPERED, PASSBACK = 1.0, 2.0, 3.0, 4.0, 5.0
IN, OUT = 1.0, 2.0
FIRE = 1.0
# Some 1.1 km of latitude.
HUNDREDTH = 0.01
SYSTEM, AREA = "city-hall", "fire:88754e6499fffff"

Row = tuple[float, Mapping[str, float]]  # seconds after the start, columns


def frame_of(kind: str, entity_id: str, rows: Sequence[Row], clock_s: float, sequence: int = 0) -> Frame:
    columns = CONTRACTS[kind].kind.columns
    missing = {c.name: 0.0 if c.codes else math.nan for c in columns}
    return Frame(
        city=NAME,
        entity_ids=[entity_id],
        entity=np.zeros(len(rows), np.uint32),
        time_ms=START_MS + np.array([s * 1000 for s, _ in rows]).astype(np.int64),
        period_s=0,
        columns={c.name: np.array([v.get(c.name, missing[c.name]) for _, v in rows], c.type.value) for c in columns},
        source_id="test" if sequence else "",
        sequence=sequence,
        clock_ms=START_MS + int(clock_s * 1000),
    )


def use(second: float, outcome: float = GRANTED, person: float = 0, gate: float = 1.0, **more: float) -> Row:
    return second, {"outcome": outcome, "person_a": HASH + person, "person_b": HASH, "gate": gate, **more}


def at(second: float, place: float, **more: float) -> Row:
    return use(second, latitude=29.7 + place * HUNDREDTH, longitude=116.0, **more)


def call(second: float, place: float) -> Row:
    return second, {"calls": 1.0, "nature": FIRE, "latitude": 29.7 + place * HUNDREDTH, "longitude": 116.0}


async def send(city: City, kind: str, frames: Sequence[Frame], until_s: float) -> None:
    """Frames to one partition, then the clock to all of them."""
    topic, contract = observations("security", kind), CONTRACTS[kind]
    await city.send_raw([(0, encode_frame(contract, frame)) for frame in frames], topic=topic)
    beat = encode_heartbeat(contract, NAME, START_MS + int(until_s * 1000))
    await city.send_raw([(partition, beat) for partition in range(PARTITIONS)], topic=topic)


def twice_and_shuffled(kind: str, entity_id: str, rows: Sequence[Row], clock_s: float, seed: int = 1) -> list[Frame]:
    frames = [frame_of(kind, entity_id, [row], clock_s, number) for number, row in enumerate(rows, 10)] * 2
    random.Random(seed).shuffle(frames)
    return frames


async def until_rows(city: City, sql: str, expected: list[tuple[Any, ...]]) -> None:
    async def same() -> bool:
        return await city.query(sql) == expected

    try:
        await city.until(same, sql)
    except AssertionError as error:
        raise AssertionError(f"{error}\nfound {await city.query(sql)}\nexpected {expected}") from None


SIGNALS = (
    "SELECT type, severity, toUnixTimestamp64Milli(start_time) FROM security.signals FINAL ORDER BY start_time, type"
)

# Five failures, and a success that comes after the processor has been replaced.
TRIED = [use(50.0 * i, FAILED, gate=7.0) for i in range(1, 6)]
THEN_IT_WORKED = use(310, gate=7.0)
REST = [
    use(600, person=1, direction=IN),
    use(4_000, person=1, direction=OUT),
    use(4_100, person=1, direction=IN),
    use(7_000, person=1, direction=IN, gate=2.0),
    at(1_000, 0.0, person=2),
    at(1_060, 9.0, person=2, gate=3.0),
    at(1_660, 0.0, person=2),
    use(1_200, DURESS, person=3, gate=4.0),
    (1_300.0, {"outcome": TAMPERED, "gate": 5.0}),
    use(1_400, PASSBACK, person=4, gate=6.0),
]


async def test_abuse_of_credentials_is_told_across_a_restart_in_any_order_and_equals_sql_over_the_archive(city: City):
    await city.prepare(PART)
    archiver = ArchiverRole(PART, city.settings())
    first = ProcessorRole(PART, city.settings())
    await archiver.start()
    await first.start()
    tried = [frame_of("credential_event", SYSTEM, [row], 260, i) for i, row in enumerate(TRIED, 1)]
    await send(city, "credential_event", tried, 300)
    await city.until_handled("security", "credential_event")
    await first.stop()
    second = ProcessorRole(PART, city.settings())
    await second.start()
    try:
        raw = frame_of("credential_event", SYSTEM, [use(400, person_a=13_912_345_678.0)], 7_050)
        rows = [THEN_IT_WORKED, *REST]
        await send(
            city, "credential_event", [raw, *twice_and_shuffled("credential_event", SYSTEM, rows, 7_050)], 12 * 3_600
        )
        expected = [
            ("brute_force", "severe", 310),
            ("impossible_travel", "severe", 1_060),
            ("duress", "extreme", 1_200),
            ("reader_tamper", "severe", 1_300),
            ("anti_passback", "moderate", 1_400),
            ("anti_passback", "moderate", 7_000),
        ]
        signals = [(t, severity, START_MS + s * 1000 // MINUTE_MS * MINUTE_MS) for t, severity, s in expected]
        await until_rows(city, SIGNALS, signals)
        # The same by SQL over single observations, with the gate of each.
        found = (
            "SELECT type, toUnixTimestamp64Milli(time), gate, by_device FROM security.credential_findings ORDER BY time"
        )
        gates = [(7.0, 0), (3.0, 0), (4.0, 1), (5.0, 1), (6.0, 1), (2.0, 0)]
        told = [(t, START_MS + s * 1000, *gate) for (t, _, s), gate in zip(expected, gates, strict=True)]
        await until_rows(city, found, told)
        counts = "sum(brute_force_count), sum(passback_count), sum(impossible_travel_count)"
        assert await city.query(f"SELECT {counts} FROM security.credential_event_windows FINAL") == [(1.0, 1.0, 1.0)]
        refused = await city.query("SELECT error_class, observations, error FROM security.dead_letters FINAL")
        assert [row[:2] for row in refused] == [("invalid", 1)]
        assert "person_a" in refused[0][2]
        assert "13912345678" not in refused[0][2]
    finally:
        await second.stop()
        await archiver.stop()


# A fire that forty people see, and thirteen other ones a kilometre apart.
ONE_FIRE = [call(10.0 * i, 0.0005 * i % 0.05) for i in range(40)]
OTHERS = [call(5.0 + 60.0 * i, 1.0 + i) for i in range(13)]
HELP: list[Row] = [
    *((100.0 + i, {"dispatch_s": 40.0 + 10.0 * i, "nature": FIRE}) for i in range(10)),
    *((500.0 + i, {"arrival_s": 300.0 + 10.0 * i, "response_s": 400.0 + 10.0 * i}) for i in range(10)),
]


async def test_calls_become_cases_a_surge_and_response_times(city: City):
    await city.prepare(PART)
    archiver, role = ArchiverRole(PART, city.settings()), ProcessorRole(PART, city.settings())
    await archiver.start()
    await role.start()
    try:
        frames = twice_and_shuffled("emergency_call", AREA, [*ONE_FIRE, *HELP], 900)
        await send(city, "emergency_call", frames, 2 * 3_600)
        window = (
            "SELECT revision, calls_sum, case_count, dispatch_s_count, response_s_count"
            " FROM security.emergency_call_windows FINAL WHERE start_time = toDateTime('2026-06-01 00:00:00', 'UTC')"
        )
        await until_rows(city, window, [(60, 40.0, 1.0, 10.0, 10.0)])
        assert await city.query(SIGNALS) == []
        # Late, but not too late: the same hour is told again, and now it is a surge.
        await send(city, "emergency_call", [frame_of("emergency_call", AREA, OTHERS, 2 * 3_600)], 8 * 3_600)
        await until_rows(city, window, [(73, 53.0, 14.0, 10.0, 10.0)])
        first = "SELECT type, severity, evidence[2].value FROM security.signals FINAL WHERE start_time = "
        await until_rows(
            city, f"{first} toDateTime('2026-06-01 00:00:00', 'UTC')", [("emergency_surge", "moderate", 14.0)]
        )
        times = (
            "SELECT area, calls, dispatches, dispatch_p50_s, dispatch_p90_s, arrivals, response_p90_s"
            " FROM security.response_times WHERE service = 'fire' ORDER BY area"
        )
        of_area = (53.0, 10, 85.0, 121.0, 10, 481.0)
        await until_rows(city, times, [("", *of_area), ("88754e6499fffff", *of_area)])
    finally:
        await role.stop()
        await archiver.stop()
