"""Lines that were written by hand: rows that the engine takes, and raw ids that are neither taken nor repeated."""

from __future__ import annotations

import json
from zoneinfo import ZoneInfo

import pytest

from services.community.domain import PASSAGE
from services.feeds.csv_rows import LineFault
from services.feeds.paper_passages import main, read_lines
from services.runtime.contracts import FrameContract
from services.runtime.json_rows import read_json_record
from services.runtime.rows import Row

CONTRACT = FrameContract.of("community", PASSAGE)
HEAD = "time,gate,direction,people,person"
DIGEST = "c0ffee" * 10 + "abcd"
AUCKLAND = ZoneInfo("Pacific/Auckland")


def read(*lines: str) -> list[dict[str, object] | LineFault]:
    return list(read_lines([HEAD, *lines], "testville", AUCKLAND))


def test_a_line_becomes_a_row_that_the_engine_takes():
    rows = read(f"2026-06-01 08:30,school-1,in,,{DIGEST}", "2026-06-01T08:30:00+08:00,school-1,out,12,")
    assert all(isinstance(row, Row) for row in read_json_record(CONTRACT, json.dumps(rows).encode(), ""))
    first, second = rows
    assert isinstance(first, dict)
    assert isinstance(second, dict)
    assert (first["time"], first["count_in"], first["medium"]) == ("2026-05-31T20:30:00Z", 1, "PASSAGE_MEDIUM_PAPER")
    assert first["person_a"] == 2**52 + int(DIGEST[:13], 16)
    assert (second["time"], second["count_out"], "person_a" in second) == ("2026-06-01T00:30:00Z", 12, False)


def test_the_hour_of_the_clock_that_is_put_back_is_the_first_and_the_one_left_out_is_none():
    first, fault = read("2024-04-07 02:30,g,in,,", "2024-09-29 02:30,g,in,,")
    assert isinstance(first, dict)
    assert first["time"] == "2024-04-06T13:30:00Z"
    assert "line 3: no clock of Pacific/Auckland" in str(fault)


@pytest.mark.parametrize(
    ("line", "why"),
    [
        ("2026-06-01 08:30,g,in,,110105199003071234", "a raw id is not taken"),
        ("2026-06-01 08:30,g,in,,Li Wei", "a raw id is not taken"),
        ("08:30,g,in,,", "time is none"),
        ("2026-06-01 08:30,g 1,in,,", "gate must be"),
        ("2026-06-01 08:30,g,through,,", "in or out"),
        ("2026-06-01 08:30,g,in,0,", "1 to 1,000"),
        ("2026-06-01 08:30,g,in,some,", "1 to 1,000"),
        ("2026-06-01 08:30,g,in", "5 columns"),
        ("2026-06-01 08:30,g,in,,,more", "5 columns"),
    ],
)
def test_a_line_that_cannot_be_taken_is_named_and_the_next_is_taken(line, why):
    fault, good = read(line, "2026-06-01 08:30,g,in,,")
    assert isinstance(fault, LineFault)
    assert str(fault).startswith("line 2: ")
    assert why in str(fault)
    assert "110105199003071234" not in str(fault)
    assert "Li Wei" not in str(fault)
    assert isinstance(good, dict)


def test_other_columns_are_refused():
    with pytest.raises(ValueError, match="the columns must be time, gate"):
        list(read_lines(["time,gate"], "c", AUCKLAND))


def test_the_command_prints_rows_and_says_what_it_could_not_take(tmp_path, capsys):
    file = tmp_path / "list.csv"
    file.write_text(f"\ufeff{HEAD}\n2026-06-01 08:30,g,in,,\n2026-06-01 08:31,g,in,,4711\n", encoding="utf-8")
    assert main([str(file), "--city", "c", "--zone", "Asia/Shanghai"]) == 1
    told = capsys.readouterr()
    assert [json.loads(line)["time"] for line in told.out.splitlines()] == ["2026-06-01T00:30:00Z"]
    assert told.err.startswith("line 3: person")
    assert main([str(tmp_path / "none.csv"), "--city", "c"]) == 1
