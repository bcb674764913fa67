"""The ways in which a city ends that was not to end: a service dies, somebody interrupts twice, another one runs."""

from __future__ import annotations

import json
import os
import signal

import pytest

from tests.e2e.conftest import PATIENCE_S, Urban, processes_below

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]


def test_a_service_that_dies_is_named_and_everything_stops(urban: Urban):
    running = urban.start("up", "--no-feed")
    try:
        running.wait_for("observations 0")
        second = urban.run("up", "--no-feed")
        assert second.returncode == 1
        assert "in use by process" in second.stderr
        pid = json.loads(urban.root.joinpath("endpoints.json").read_text())["services"]["security"]["pid"]
        os.kill(pid, signal.SIGKILL)
        assert running.end() == 1
    finally:
        running.kill()
    assert "security was ended by signal 9; its last lines" in running.output
    assert "service_ready" in running.output, "the last lines of its log"
    assert processes_below(urban.root) == []


def test_a_run_ends_after_its_time(urban: Urban, tmp_path):
    file = tmp_path / "summary.json"
    answer = urban.run("up", "--no-feed", "--for", "1s", "--summary", str(file), timeout_s=PATIENCE_S)
    assert answer.returncode == 0, answer.stderr
    summary = json.loads(file.read_text())
    assert summary["observations"]["all"] == summary["ledger_difference"] == 0
    assert summary["first_incident_seconds"] is None
    assert summary["drained"]
    assert processes_below(urban.root) == []


def test_data_of_the_wall_clock_are_not_replayed_into(urban: Urban):
    urban.root.mkdir()
    (urban.root / "clock").write_text("wall\n")
    refused = urban.run("up", "--for", "1s")
    assert refused.returncode == 1
    assert "--fresh" in refused.stderr
    assert processes_below(urban.root) == []


def test_a_second_interrupt_ends_everything_at_once(urban: Urban):
    running = urban.start("up", "--no-feed")
    try:
        running.wait_for("observations 0")
        running.interrupt()
        running.wait_for("stopping")
        running.interrupt()
        # Where the first interrupt has already done its work, there is nothing left to break off.
        assert running.end() in (0, 130)
    finally:
        running.kill()
    assert processes_below(urban.root) == []


def test_an_interrupt_while_it_starts_leaves_nothing(urban: Urban):
    running = urban.start("up", "--no-feed")
    try:
        running.wait_for("starting Apache Kafka")
        running.interrupt()
        assert running.end() == 130, running.output
    finally:
        running.kill()
    assert processes_below(urban.root) == []


def test_commands_say_what_to_do_where_nothing_runs(urban: Urban):
    for command in (["status"], ["sql", "SELECT 1"], ["incidents"], ["watch", "signals"], ["migrate"]):
        answer = urban.run(*command)
        assert answer.returncode == 1, command
        assert "start it with `urban up`" in answer.stderr


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["up", "--for", "soon"], "no duration"),
        (["up", "--until", "2024-11-24"], "time zone"),
        (["send", "traffic.roads", "-"], "traffic.road_flow"),
        (["watch", "rumours"], "rumours"),
    ],
)
def test_wrong_options_are_named(urban: Urban, arguments, told):
    answer = urban.run(*arguments, text="")
    assert answer.returncode != 0
    assert told in answer.stderr
    assert "Traceback" not in answer.stderr
