"""Passages and requests on real servers: through the log into windows and signals, paper that comes a day late too."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from services.community.domain import COMMUNITY
from services.core.frame import Frame
from services.core.kind import HOUR_MS, MINUTE_MS
from services.runtime.catalogue import observations
from services.runtime.codec import encode_frame, encode_heartbeat
from services.runtime.contracts import FrameContract
from services.runtime.roles import ProcessorRole
from tests.integration.processor.city import NAME, PARTITIONS, START_MS, City

KINDS = ("passage", "service_request")
CONTRACTS = {name: FrameContract.of("community", COMMUNITY.kind(name)) for name in KINDS}
PASSED, DENIED, TAILGATED = 1.0, 2.0, 3.0
BADGE, PAPER = 1.0, 4.0
HASH = float(2**52 + 1)


def frame_of(
    kind: str, entity_id: str, minutes: Sequence[int], columns: Mapping[str, Sequence[float]], hour: int
) -> Frame:
    """Observations of one entity, sent when the clock has come to that hour."""
    contract = CONTRACTS[kind]
    missing = {c.name: [0.0 if c.codes else np.nan] * len(minutes) for c in contract.kind.columns}
    return Frame(
        city=NAME,
        entity_ids=[entity_id],
        entity=np.zeros(len(minutes), np.uint32),
        time_ms=START_MS + np.array(minutes, np.int64) * MINUTE_MS,
        period_s=0,
        columns={c.name: np.array({**missing, **columns}[c.name], c.type.value) for c in contract.kind.columns},
        clock_ms=START_MS + hour * HOUR_MS,
    )


ELECTRONIC = frame_of(
    "passage",
    "gate-1",
    [1, 2, 3, 4, 5, 6, 7, 8],
    {
        "medium": [BADGE] * 8,
        "outcome": [PASSED, TAILGATED, DENIED, DENIED, DENIED, DENIED, DENIED, PASSED],
        "count_in": [1, 1, 0, 0, 0, 0, 0, np.nan],
        "count_out": [np.nan] * 7 + [1],
        "person_a": [HASH] * 8,
        "person_b": [HASH] * 8,
    },
    hour=1,
)
# Typed in the next day, one line with an id that is no hash.
ON_PAPER = frame_of(
    "passage",
    "gate-1",
    [10, 11, 12],
    {
        "medium": [PAPER] * 3,
        "outcome": [PASSED] * 3,
        "count_in": [1, 4, 1],
        "person_a": [HASH, np.nan, 13_912_345_678.0],
        "person_b": [HASH, np.nan, HASH],
    },
    hour=30,
)
BURST = frame_of(
    "service_request",
    "no-water:88754e6499fffff",
    list(range(12)),
    {
        "opened": [1.0] * 12,
        "acknowledged_after_s": [np.nan] * 11 + [0.0],
        "satisfaction": [np.nan] * 11 + [5.0],
        "request_a": [HASH + i for i in range(12)],
        "request_b": [HASH] * 12,
    },
    hour=1,
)


async def test_passages_and_requests_become_windows_and_signals_and_late_paper_a_revision(city: City):
    await city.prepare(COMMUNITY)
    role = ProcessorRole(replace(COMMUNITY, kinds=tuple(CONTRACTS[name].kind for name in KINDS)), city.settings())
    await role.start()

    async def send(frame: Frame, kind: str, until_hour: int) -> None:
        topic = observations("community", kind)
        beat = encode_heartbeat(CONTRACTS[kind], NAME, START_MS + until_hour * HOUR_MS)
        await city.send_raw([(0, encode_frame(CONTRACTS[kind], frame))], topic=topic)
        await city.send_raw([(partition, beat) for partition in range(PARTITIONS)], topic=topic)

    hour = "FROM community.passage_windows FINAL WHERE window = '1h'"
    try:
        await send(ELECTRONIC, "passage", 29)
        await city.until(_rows(city, f"SELECT count() {hour}", (1,)), "an hour of the gate")
        await send(ON_PAPER, "passage", 31)
        await send(BURST, "service_request", 50)
        # Two people came by badge, one of them behind another; one came on paper, and four on one line of it.
        told = f"SELECT revision, count_in_sum, count_out_sum, medium_top2, medium_top2_count, outcome_top1 {hour}"
        await city.until(_rows(city, told, (10, 7.0, 1.0, PAPER, 2.0, DENIED)), "the hour with its paper")
        await city.until(
            _rows(city, "SELECT uniqExact(type) FROM community.signals FINAL", (3,)), "three types of signal"
        )
        found = await city.query(
            "SELECT type, severity, window, evidence[1].value FROM community.signals FINAL"
            " WHERE start_time = toDateTime('2026-06-01 00:00:00', 'UTC') ORDER BY type"
        )
        assert [row[:3] for row in found] == [
            ("access_denied", "moderate", "15m"),
            ("request_surge", "moderate", "24h"),
            ("tailgating", "moderate", "15m"),
        ]
        assert (found[0][3], found[2][3]) == (5.0, 1.0)
        requests = await city.query(
            "SELECT opened_sum, acknowledged_after_s_count, acknowledged_after_s_p50, satisfaction_mean"
            " FROM community.service_request_windows FINAL WHERE start_time = toDateTime('2026-06-01 00:00:00', 'UTC')"
        )
        assert requests == [(12.0, 1.0, 0.0, 5.0)]
        refused = await city.query("SELECT error_class, observations FROM community.dead_letters FINAL")
        assert refused == [("invalid", 1)]
    finally:
        await role.stop()


def _rows(city: City, sql: str, expected: tuple[object, ...]):
    async def same() -> bool:
        return await city.query(sql) == [expected]

    return same
