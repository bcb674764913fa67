"""A line of a dispatch centre: up to three rows that the engine takes, each at its own time; or none, with a reason."""

from __future__ import annotations

import json
from zoneinfo import ZoneInfo

import pytest

from services.core.geometry import cell_of
from services.feeds.csv_rows import LineFault, Row, read_lines
from services.feeds.emergency_calls import COLUMNS, main, read_line
from services.runtime.contracts import FrameContract
from services.runtime.json_rows import read_json_record
from services.runtime.rows import Row as TakenRow
from services.security.domain import SECURITY

CONTRACT = FrameContract.of("security", SECURITY.kind("emergency_call"))
HEAD = ",".join(COLUMNS)
SHANGHAI = ZoneInfo("Asia/Shanghai")
GOOD = "2026-06-01 08:30:00,119,fire,29.7051,116.0019,2026-06-01 08:31:10,2026-06-01 08:36:40"


def read(*lines: str) -> list[Row | LineFault]:
    return list(read_lines([HEAD, *lines], COLUMNS, read_line, "jiujiang", SHANGHAI))


def test_a_line_becomes_a_call_a_dispatch_and_an_arrival():
    rows = read(GOOD)
    assert all(isinstance(row, TakenRow) for row in read_json_record(CONTRACT, json.dumps(rows).encode(), ""))
    assert [row["time"] for row in rows if isinstance(row, dict)] == [
        "2026-06-01T00:30:00Z",
        "2026-06-01T00:31:10Z",
        "2026-06-01T00:36:40Z",
    ]
    called, sent, arrived = rows
    assert isinstance(called, dict)
    assert isinstance(sent, dict)
    assert isinstance(arrived, dict)
    assert called["entity_id"] == sent["entity_id"] == f"fire:{cell_of(29.7051, 116.0019, 8):x}"
    assert (called["calls"], called["nature"], called["latitude"]) == (1, "EMERGENCY_NATURE_FIRE", 29.7051)
    assert sent["dispatch_s"] == 70.0
    assert (arrived["arrival_s"], arrived["response_s"]) == (330.0, 400.0)
    assert "latitude" not in sent


def test_what_is_not_known_is_left_out():
    (row,) = read("2026-06-01T08:30:00Z,police,,,,,")
    assert row == {
        "city": "jiujiang",
        "entity_id": "police:unknown",
        "nature": "EMERGENCY_NATURE_UNSPECIFIED",
        "time": "2026-06-01T08:30:00Z",
        "calls": 1,
    }
    _, arrived = read("2026-06-01 08:30,ambulance,medical,,,,2026-06-01 08:36")
    assert isinstance(arrived, dict)
    assert (arrived["response_s"], "arrival_s" in arrived) == (360.0, False)


@pytest.mark.parametrize(
    ("line", "why"),
    [
        (GOOD.replace("119", "911"), "service must be 110, 119, 120, ambulance, fire or police"),
        (GOOD.replace("fire", "burning"), "nature must be crime"),
        (GOOD.replace("29.7051", "north"), "must be numbers"),
        (GOOD.replace("29.7051", "91"), "latitude must be -90 to 90"),
        (GOOD.replace("116.0019", ""), "must be numbers, or both empty"),
        (GOOD.replace("08:31:10", "08:29:59"), "dispatched = 2026-06-01T00:29:59Z is before 2026-06-01T00:30:00Z"),
        (GOOD.replace("08:36:40", "08:31:09"), "arrived = "),
        (GOOD.replace("2026-06-01 08:36:40", "soon"), "arrived is none"),
        (GOOD + ",more", "7 columns"),
    ],
)
def test_a_line_that_cannot_be_taken_is_named_whole_and_the_next_is_taken(line, why):
    fault, *good = read(line, GOOD)
    assert isinstance(fault, LineFault)
    assert str(fault).startswith("line 2: ")
    assert why in str(fault)
    assert len(good) == 3


def test_the_command_prints_rows_in_the_order_of_time(tmp_path, capsys):
    file = tmp_path / "calls.csv"
    file.write_text(f"{HEAD}\n{GOOD}\n2026-06-01 08:35,110,crime,,,,\n2026-06-01 08:35,111,crime,,,,\n")
    assert main([str(file), "--city", "c", "--zone", "Asia/Shanghai"]) == 1
    told = capsys.readouterr()
    assert [json.loads(line)["time"][11:16] for line in told.out.splitlines()] == ["00:30", "00:31", "00:35", "00:36"]
    assert told.err.startswith("line 4: service")
