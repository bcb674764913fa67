"""A recording of one's own in a city on one machine: `urban up --replay`, then `urban replay`, then SQL."""

from __future__ import annotations

import csv
import io
import json
import time

import pytest

from tests.e2e.conftest import PATIENCE_S, Urban, processes_below

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

MAPPING = """
about = "garages of a test"
[time]
columns = ["at"]
zone = "Europe/Copenhagen"
[kinds."traffic.parking"]
entity = "garage-{name}"
[kinds."traffic.parking".columns]
vehicles = "cars"
spaces = "places"
"""
COUNTS = "SELECT entity_id, max(vehicles_max) FROM urban.v_parking_windows WHERE window = '15m' GROUP BY 1 ORDER BY 1"
SIGNALS = "SELECT entity_id, count() FROM urban.v_signals WHERE type = 'parking_impossible' GROUP BY 1 ORDER BY 1"
LEDGER = "SELECT sum(folded), sum(duplicate) FROM urban.v_ledger WHERE kind = 'parking'"


def until(urban: Urban, sql: str, expected: list[list[str]]) -> None:
    """Wait until a statement gives these rows."""
    deadline = time.monotonic() + PATIENCE_S
    while True:
        answer = urban.run("sql", sql, "--format", "csv")
        found = list(csv.reader(io.StringIO(answer.stdout)))[1:]
        if found == expected:
            return
        assert time.monotonic() < deadline, f"{found} instead of {expected} {answer.stderr}"
        time.sleep(0.2)


def test_a_table_of_one_s_own_becomes_windows_and_signals_once(urban: Urban, tmp_path):
    (tmp_path / "garages.toml").write_text(MAPPING)
    rows = [
        f"2014-08-01 {hour:02}:00,{name},{10 * hour + 5 * place},200"
        for hour in range(24)
        for place, name in enumerate("ab")
    ]
    (tmp_path / "garages.csv").write_text(
        "\n".join(["at,name,cars,places", *rows, "2014-08-02 00:00,b,many,200"]) + "\n"
    )
    command = ("replay", "traffic.parking", str(tmp_path / "garages.csv"), "--format", str(tmp_path / "garages.toml"))
    running = urban.start("up", "--replay")
    try:
        running.wait_for("observations 0")
        first = urban.run(*command, timeout_s=PATIENCE_S)
        assert first.returncode == 1
        assert "48 parking of 2 entities in 24 frames from 2014-07-31T22:00:00.000Z" in first.stdout
        assert "48 accepted, 1 refused" in first.stdout
        assert "garages.csv:50: vehicles = many: must be a number, in vehicles" in first.stderr
        again = urban.run(*command, "--json", timeout_s=PATIENCE_S)
        assert json.loads(again.stdout)["accepted"] == 48
        until(urban, COUNTS, [["garage-a", "230"], ["garage-b", "235"]])
        until(urban, LEDGER, [["48", "48"]])
        until(urban, SIGNALS, [["garage-a", "3"], ["garage-b", "4"]])
        running.interrupt()
        assert running.end() == 0
    finally:
        running.kill()
    assert processes_below(urban.root) == []
