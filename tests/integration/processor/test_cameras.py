"""Security video surveillance: ONVIF in XML and over MQTT, through the service alone, to windows, signals and views."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from services.cli.rows import ReadLine, read_line
from services.feeds.onvif import rows_of_lines, rows_of_recording
from services.feeds.onvif_rows import Device, Row
from services.runtime.contracts import FrameContract
from services.runtime.entities import entity_name
from services.security.camera_event import CAMERA_EVENT
from tests.contract.calls import PATIENCE_SECONDS, Client
from tests.feeds.onvif_samples import event, mqtt, poll, stream
from tests.integration.processor.city import NAME, START_MS, City

CONTRACT = FrameContract.of("security", CAMERA_EVENT)
START = datetime(2026, 6, 1, tzinfo=UTC)
MINUTES = 20
PLAZA, FENCE = {"VideoSource": "1", "Rule": "plaza"}, {"VideoSource": "1", "Rule": "fence"}
COUNTER = "RuleEngine/CountAggregation/OccupancyCounter"


def at(minute: float) -> str:
    return (START + timedelta(minutes=minute)).isoformat().replace("+00:00", "Z")


def cam_1() -> bytes:
    """Polled every minute for 20; covered for 30 s, hidden by a lorry for 4; somebody loiters and leaves a bag; its
    door is opened under duress, tampered with until minute 12, and entered twice."""
    told = [poll(at(minute + 0.1)) for minute in range(MINUTES)]
    dark = "tns1:VideoSource/ImageTooDark/ImagingService"
    told[5] += stream(event(at(5.2), dark, {"State": "true"}, {"Source": "1"}))
    told[5] += stream(event(at(5.7), dark, {"State": "false"}, {"Source": "1"}))
    moved = "tns1:VideoSource/GlobalSceneChange/AnalyticsService"
    told[14] += stream(event(at(14.5), moved, {"State": "true"}, {"Source": "1"}))
    told[14] += stream(event(at(14.5 + 4 / 60), moved, {"State": "false"}, {"Source": "1"}))
    loitering = "tns1:RuleEngine/LoiteringDetector/ObjectIsLoitering"
    told[8] += stream(event(at(8.5), loitering, {"ObjectId": "7", "Since": at(6.5)}, PLAZA))
    told[9] += stream(event(at(9.5), "tns1:RuleEngine/ObjectAbandoned", {"ObjectId": "8"}, PLAZA))
    told[9] += stream(event(at(9.6), "tns1:RuleEngine/LineDetector/Crossed", {"ObjectId": "7"}, FENCE))
    door, north = "tns1:Door/State/DoorTamper", {"DoorToken": "north"}
    told[11] += stream(event(at(11.1), "tns1:AccessControl/Duress", {"Reason": "code"}, {"AccessPointToken": "north"}))
    told[11] += stream(event(at(11.2), door, {"State": "TamperDetected"}, north))
    told[12] += stream(event(at(12.2), door, {"State": "NotInTamper"}, north))
    for minute, violated in ((15, "false"), (16, "true")):
        passback = event(at(minute + 0.2), "tns1:Credential/State/ApbViolation", {"ApbViolation": violated})
        told[minute] += stream(passback)
    return b"".join(told)


def cam_2() -> Iterator[bytes]:
    """Over MQTT: its motion is a sign of life until minute 6; its plaza fills and empties."""
    motion = {"Source": {"VideoSource": "1", "Rule": "m"}, "Data": {"IsMotion": True}}
    for minute in range(6):
        yield mqtt("cam-2/onvif-ej/RuleEngine/CellMotionDetector/Motion/&1/m", {"UtcTime": at(minute + 0.3), **motion})
    for minute, people in enumerate([500, 1_080, 1_060, 960, 900, 2_200]):
        payload = {"UtcTime": at(minute + 0.4), "Source": PLAZA, "Data": {"Count": people}}
        yield mqtt(f"cam-2/onvif-ej/{COUNTER}/&1/plaza", payload)


def rows() -> list[Row]:
    told = [*rows_of_recording(cam_1(), Device(NAME, "cam-1")), *rows_of_lines(cam_2(), NAME)]
    assert all(isinstance(row, dict) for row in told)
    return sorted((row for row in told if isinstance(row, dict)), key=lambda row: row["time"])


async def report(client: Client, rows: list[Row]) -> None:
    """A replay: the clock goes on by minutes, then what was told until then is sent."""
    report_rows, frames = client.request("Report"), client.request("ReportFrames")
    for minute in range(1, MINUTES + 1):
        clock = frames(replay_clock={"city": NAME, "time_ms": START_MS + minute * 60_000})
        await client.ReportFrames(iter([clock]), timeout=PATIENCE_SECONDS).read()
        mine = [row for row in rows if at(minute - 1) <= row["time"] < at(minute)]
        lines = [read_line(CONTRACT, NAME, number, json.dumps(row)) for number, row in enumerate(mine)]
        requests = [
            report_rows(parent=f"cities/{NAME}", camera_event=line.row) for line in lines if isinstance(line, ReadLine)
        ]
        answer = await client.Report(iter(requests), timeout=PATIENCE_SECONDS)
        assert (answer.accepted, answer.rejected) == (len(mine), 0)
    end = frames(replay_clock={"city": NAME, "time_ms": START_MS + MINUTES * 60_000 + CAMERA_EVENT.disorder_ms})
    await client.ReportFrames(iter([end]), timeout=PATIENCE_SECONDS).read()


async def register(client: Client, entity_id: str, **numbers: float) -> None:
    entity = {
        "name": entity_name(NAME, "security", entity_id),
        "type": "camera_zone",
        "position": {"latitude": 29.7, "longitude": 115.9},
        "numbers": numbers,
    }
    await client.UpsertEntity(client.request("UpsertEntity")(entity=entity), timeout=PATIENCE_SECONDS)


# Type, entity, first and last end of its windows in minutes, severity, how many.
EXPECTED = [
    ("anti_passback", "cam-1", 17, 17, "moderate", 1),
    # 1,080 people begin it, 1,060 hold it, 960 end it.
    ("camera_crowd", "cam-2:plaza", 2, 3, "moderate", 2),
    ("camera_crowd", "cam-2:plaza", 6, 10, "severe", 5),
    ("camera_offline", "cam-2", 9, 9, "moderate", 1),
    ("camera_tamper", "cam-1", 6, 6, "moderate", 1),
    ("duress", "cam-1:north", 12, 12, "extreme", 1),
    ("line_crossed", "cam-1:fence", 10, 10, "moderate", 1),
    ("loitering", "cam-1:plaza", 9, 9, "moderate", 1),
    ("object_abandoned", "cam-1:plaza", 10, 10, "moderate", 1),
    ("reader_tamper", "cam-1:north", 12, 12, "severe", 1),
]


@pytest.mark.timeout(300)
async def test_onvif_becomes_windows_signals_and_views_with_security_alone(city: City, tmp_path: Path):
    await city.migrate()
    ready = tmp_path / "ready.json"
    city.start("all", "security", URBAN_CLOCK="replay", URBAN_READY_FILE=str(ready))

    async def is_ready() -> bool:
        return ready.exists()

    await city.until(is_ready, "security to be ready")
    client = Client("security", json.loads(ready.read_text())["grpc"])
    try:
        await register(client, "cam-2:plaza", area_m2=1000)
        await register(client, "cam-1:fence", crossings_most_per_minute=0)
        told = rows()
        await report(client, told)
        ends = f"(toUnixTimestamp64Milli(end_time) - {START_MS}) / 60000"
        found = (
            f"SELECT type, entity_id, toInt64(min({ends})), toInt64(max({ends})), severity, count()"
            " FROM urban.v_signals WHERE state = 'raised' GROUP BY type, entity_id, severity ORDER BY ALL"
        )

        async def all_told() -> bool:
            windows = (
                "SELECT count() FROM security.camera_event_windows FINAL WHERE window = '1m' AND entity_id = 'cam-1'"
            )
            archived = "SELECT count() FROM security.camera_event FINAL"
            return await city.query(windows) == [(MINUTES,)] and await city.query(archived) == [(len(told),)]

        await city.until(all_told, "every minute of the first camera and every row in the archive")
        await city.until_handled("security", "camera_event")
        assert await city.query(found) == EXPECTED
        assert await city.query(
            "SELECT camera, silent_s, offline, tampered FROM urban.v_camera_health ORDER BY camera"
        ) == [("cam-1", 54.0, False, False), ("cam-2", 876.0, True, False)]
        crowded = "SELECT people, fruin_level FROM urban.v_camera_crowding WHERE zone = 'cam-2:plaza' ORDER BY end_time"
        assert (await city.query(crowded))[:6] == [
            *((500.0, "C"), (1080.0, "E"), (1060.0, "D")),
            *((960.0, "D"), (900.0, "D"), (2200.0, "F")),
        ]
        ((evidence, latitude),) = await city.query(
            "SELECT evidence[1].value, latitude FROM urban.v_signals WHERE type = 'line_crossed'"
        )
        assert (evidence, latitude) == (1.0, 29.7)
        assert await city.query("SELECT sum(read), sum(folded), sum(dead_lettered) FROM security.ledger FINAL") == [
            (len(told), len(told), 0)
        ]
    finally:
        await client.channel.close(None)
