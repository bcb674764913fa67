"""Recordings of HJ 212 through `urban replay`'s reading, and through the command to a running api."""

from __future__ import annotations

import pytest

from services.environment.domain import ENVIRONMENT
from tests.contract.calls import memory_log, observations_in, serving
from tests.feeds.hj212_samples import PASSWORD, STACK, packet, stack
from tests.feeds.recordings.reading import read
from tests.feeds.recordings.replaying import moment_ms, urban

EMISSION = "environment.emission"
HOUR = packet("DataTime=20260601080000;a21026-Avg=17,a21026-ZsAvg=18,a21026-Flag=N", command=2061)
AIR = packet("DataTime=20260601080000;a34004-Avg=35,a34004-Flag=N", command=2061, system=22, station="air-1")


def test_packets_become_observations_and_what_is_broken_or_of_another_kind_is_told(tmp_path):
    path = tmp_path / "gateway.txt"
    broken = stack("20260601083100")[:-6] + b"FFFF\r\n"
    path.write_bytes(stack("20260601083030") + broken + stack() + HOUR + b"garbage" + stack("20260601083130", so2=-1.0))
    found = read(EMISSION, path, form="hj212")
    assert [(row[0], row[1], row[2]) for row in found.rows] == [
        (STACK, moment_ms("2026-06-01T08:30:00+08:00"), 0),
        (STACK, moment_ms("2026-06-01T08:30:30+08:00"), 0),
    ]
    assert found.rows[0][3]["so2_mg_m3"] == 18.5
    assert sorted((r.line, r.field, r.value) for r in found.refused) == [(2, "CRC", "FFFF"), (5, "so2_mg_m3", "-1.0")]
    [note] = found.notes
    assert note == (
        "gateway.txt: not read as environment.emission: a01012 × 3, CN=2061 × 1 (--format hj212-hour), "
        "7 bytes between packets"
    )
    assert not any(PASSWORD in str(told) for told in [*found.refused, *found.notes])
    assert found.tally.bytes_read == found.tally.bytes_total == path.stat().st_size


def test_another_zone_may_be_told(tmp_path):
    path = tmp_path / "gateway.txt"
    path.write_bytes(stack())
    [row] = read(EMISSION, path, form="hj212", zone="Asia/Urumqi").rows
    assert row[1] == moment_ms("2026-06-01T08:30:00+06:00")


def test_each_kind_of_data_is_another_recording(tmp_path):
    path = tmp_path / "gateway.txt"
    path.write_bytes(stack() + HOUR + AIR)
    now, hour = read(EMISSION, path, form="hj212"), read(EMISSION, path, form="hj212-hour")
    assert (now.rows[0][2], hour.rows[0][2]) == (0, 3600)
    assert not now.numbers & hour.numbers
    both = read(f"{EMISSION},environment.air_quality", path, form="hj212-hour")
    assert [(row[0], row[3].get("so2_mg_m3"), row[3].get("pm2_5_ug_m3")) for row in both.rows] == [
        (STACK, 18.0, None),
        ("air-1", None, 35.0),
    ]


def test_kinds_that_the_standard_does_not_tell_of_are_refused(tmp_path):
    path = tmp_path / "gateway.txt"
    path.write_bytes(stack())
    with pytest.raises(ValueError, match=r"--format hj212 is of environment\.emission, environment\.air_quality"):
        read("environment.noise", path, form="hj212")


async def test_a_recording_of_packets_arrives_through_the_command(tmp_path):
    path, log = tmp_path / "gateway.txt", memory_log(ENVIRONMENT)
    path.write_bytes(b"".join(stack(f"202606010{8 + m // 60}{m % 60:02}00") for m in range(90)) + b"##0010broken")
    async with serving(ENVIRONMENT, log, clock="replay") as client:
        answer = await urban(client.port, EMISSION, path, "--format", "hj212", "--json")
    assert answer.status == 1, answer.errors
    assert (answer.document["accepted"], answer.document["refused"]) == (90, 1)
    frames = observations_in(log, "emission")
    assert sum(map(len, frames)) == 90
    assert {frame.entity_ids for frame in frames} == {(STACK,)}
    assert min(int(frame.time_ms.min()) for frame in frames) == moment_ms("2026-06-01T08:00:00+08:00")
    assert "only 6 bytes follow, in the packet that begins at byte" in answer.errors
