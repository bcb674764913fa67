"""Lines of an access log: rows that the engine takes, and raw ids that are neither taken nor repeated."""

from __future__ import annotations

import json
from zoneinfo import ZoneInfo

import pytest

from services.feeds.access_log import COLUMNS, main, read_line
from services.feeds.csv_rows import LineFault, Row, read_lines
from services.runtime.contracts import FrameContract
from services.runtime.json_rows import read_json_record
from services.runtime.rows import Row as TakenRow
from services.security.domain import SECURITY

CONTRACT = FrameContract.of("security", SECURITY.kind("credential_event"))
HEAD = ",".join(COLUMNS)
DIGEST = "c0ffee" * 10 + "abcd"
GOOD = f"2026-06-01T08:30:00+08:00,city-hall,3,1,in,granted,badge,29.7,116.0,{DIGEST}"


def read(*lines: str) -> list[Row | LineFault]:
    return list(read_lines([HEAD, *lines], COLUMNS, read_line, "jiujiang", ZoneInfo("Asia/Shanghai")))


def test_a_line_becomes_a_row_that_the_engine_takes():
    rows = read(GOOD, "2026-06-01 08:31,city-hall,,,,tampered,,,,")
    assert all(isinstance(row, TakenRow) for row in read_json_record(CONTRACT, json.dumps(rows).encode(), ""))
    assert rows[0] == {
        "city": "jiujiang",
        "entity_id": "city-hall",
        "time": "2026-06-01T00:30:00Z",
        "direction": "CREDENTIAL_DIRECTION_IN",
        "outcome": "CREDENTIAL_OUTCOME_GRANTED",
        "medium": "CREDENTIAL_MEDIUM_BADGE",
        "gate": 3,
        "area": 1,
        "latitude": 29.7,
        "longitude": 116.0,
        "person_a": 2**52 + int(DIGEST[:13], 16),
        "person_b": 2**52 + int(DIGEST[13:26], 16),
    }


@pytest.mark.parametrize(
    ("line", "why"),
    [
        (GOOD.replace(DIGEST, "110105199003071234"), "a raw id is not taken"),
        (GOOD.replace(DIGEST, "Li Wei"), "a raw id is not taken"),
        (GOOD.replace("granted", "opened"), "outcome must be duress, failed, granted, passback or tampered"),
        (GOOD.replace("granted", ""), "outcome must be"),
        (GOOD.replace(",in,", ",through,"), "direction must be empty, in or out"),
        (GOOD.replace(",3,", ",0,"), "gate must be 1 to 16,777,215"),
        (GOOD.replace(",3,1,", ",3,65536,"), "area must be 1 to 65,535"),
        (GOOD.replace("city-hall", "city hall"), "system must be"),
    ],
)
def test_a_line_that_cannot_be_taken_is_named_and_the_next_is_taken(line, why):
    fault, good = read(line, GOOD)
    assert isinstance(fault, LineFault)
    assert why in str(fault)
    assert "110105199003071234" not in str(fault)
    assert "Li Wei" not in str(fault)
    assert isinstance(good, dict)


def test_the_command_says_what_it_could_not_take(tmp_path, capsys):
    file = tmp_path / "log.csv"
    file.write_text(f"{HEAD}\n{GOOD}\n{GOOD.replace(DIGEST, '4711')}\n")
    assert main([str(file), "--city", "c"]) == 1
    told = capsys.readouterr()
    assert [json.loads(line)["gate"] for line in told.out.splitlines()] == [3]
    assert told.err.startswith("line 3: person")
    assert "4711" not in told.err
