"""`urban up` as a newcomer runs it: observations in, an explained incident out, and every way to look at it."""

from __future__ import annotations

import json
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from subprocess import CompletedProcess
from typing import Any

import pytest

from services.cli.addresses import find_addresses
from services.cli.domains import service_names
from tests.e2e.clients import list_by_reflection, read_record
from tests.e2e.conftest import PATIENCE_S, Running, Urban, processes_below
from tests.e2e.readme import run_examples
from urban.correlation.v1.incident_pb2 import Incident

pytestmark = [pytest.mark.slow, pytest.mark.timeout(400)]

Answer = CompletedProcess[str]


@dataclass
class Observed:
    """What was seen of one run, from its start to its end."""

    incident: dict[str, Any]  # as `urban incidents list` gives it
    answers: dict[str, Answer]  # of commands, while it ran
    watched: dict[str, tuple[int, str]]  # exit status and output of `urban watch`
    record: tuple[bytes, dict[str, bytes]]  # value and headers on the topic of incidents
    reflected: list[str]  # ids that a client with only reflection lists
    examples: dict[str, Answer]  # of the README
    status: int
    output: str
    summary: dict[str, Any]
    feed: dict[str, Any]  # what the feed says of itself, at the end
    left: list[str]  # processes that are still there


@pytest.fixture(scope="module")
def urban(tmp_path_factory: pytest.TempPathFactory, download_cache: Any) -> Urban:
    """The command, in a root folder of this module's own."""
    return Urban(tmp_path_factory.mktemp("city"), download_cache)


@pytest.fixture(scope="module")
def observed(urban: Urban, tmp_path_factory: pytest.TempPathFactory) -> Observed:
    """One run, looked at in every way while it lasts."""
    file = urban.root / "summary.json"
    running = urban.start("up", "--summary", str(file))
    watches: dict[str, Running] = {}
    try:
        running.wait_for("gRPC correlation")
        options = ["--domain", "traffic", "--count", "1", "--json"]
        watches = {what: urban.start("watch", what, *options) for what in ("windows", "signals")}
        running.wait_for("incident: ")
        incident = json.loads(urban.run("incidents", "list", "--json").stdout)[-1]
        addresses = find_addresses(urban.root, {})
        with ThreadPoolExecutor(2) as pool:
            asked = {
                name: pool.submit(urban.run, *arguments, text=text)
                for name, arguments, text in questions(urban, incident)
            }
            answers = {name: future.result() for name, future in asked.items()}
        watched = {what: (watch.end(), watch.output) for what, watch in watches.items()}
        record = read_record(addresses, incident["id"])
        reflected = list_by_reflection(addresses)
        examples = run_examples(urban, tmp_path_factory.mktemp("reader"))
        running.interrupt()
        status = running.end()
    finally:
        for started in (running, *watches.values()):
            started.kill()
    assert status == 0, running.output
    return Observed(
        incident,
        answers,
        watched,
        record,
        reflected,
        examples,
        status,
        running.output,
        json.loads(file.read_text()),
        feed_of(urban),
        processes_below(urban.root),
    )


def questions(urban: Urban, incident: dict[str, Any]) -> list[tuple[str, list[str], str | None]]:
    """Name, arguments and standard input of the commands that are tried on a running city."""
    return [
        # First: a replay at 1,200 times comes to the incident's end while the others are asked.
        ("ack", ["incidents", "ack", incident["id"], "--as", "officer-7", "--json"], None),
        ("show", ["incidents", "show", incident["id"][:13]], None),
        ("query", ["sql", "--format", "json", "-"], incident["query"]),
        ("wrong query", ["sql", "SELECT nothing FROM nowhere"], None),
        ("unknown", ["incidents", "show", "00000000-0000-0000-0000-000000000000"], None),
        ("status", ["status", "--json"], None),
        ("send", ["send", "security.camera_event", "-"], camera_lines(urban)),
    ]


def camera_lines(urban: Urban) -> str:
    """Two good lines and three bad ones, at the present moment of the replay."""
    now = feed_of(urban)["clock_ms"] // 1000
    time_text = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(now))
    good = {"entity_id": "cam-1", "time": time_text, "topic": "CAMERA_TOPIC_LOITERING"}
    rows = [{**good, "value": 1}, {**good, "valeu": 1}, {}, {**good, "confidence": 1.5}, {**good, "value": 2}]
    return "\n".join(json.dumps(row) if row else "" for row in rows) + "\nno JSON"


def feed_of(urban: Urban) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((urban.root / "feed.json").read_text())
    return found


def test_an_incident_explains_itself(observed):
    shown = observed.answers["show"]
    assert shown.returncode == 0, shown.stderr
    for part in ("crowd_road_pressure", "community crowding", "traffic congestion", "threshold", "m and", "s apart"):
        assert part in shown.stdout
    assert "SELECT" in shown.stdout
    assert {signal["domain"] for signal in observed.incident["signals"]} == {"community", "traffic"}
    assert all(link["distance_m"] <= 500 for link in observed.incident["links"])


def test_an_incidents_own_query_gives_the_windows_that_it_names(observed):
    answer = observed.answers["query"]
    assert answer.returncode == 0, answer.stderr
    rows = json.loads(answer.stdout)
    named = {
        (s["domain"], s["kind"], s["window"], s["entity_id"], s["start_time"][:19])
        for s in observed.incident["signals"]
    }
    given = {
        (r["domain"], r["kind"], r["window"], r["entity_id"], r["start_time"][:19].replace(" ", "T")) for r in rows
    }
    assert given == named
    assert len(rows) == len(given), "no window is given twice"


def test_a_consumer_of_another_make_reads_the_incidents(observed):
    value, headers = observed.record
    found = Incident.FromString(value)
    assert found.id == observed.incident["id"]
    assert found.title == observed.incident["title"]
    assert headers["ce_specversion"] == b"1.0"
    assert headers["content-type"] == b"application/protobuf"


def test_a_client_with_only_reflection_lists_the_incidents(observed):
    assert observed.incident["id"] in observed.reflected


def test_somebody_takes_the_incident_over(observed):
    taken = observed.answers["ack"]
    assert taken.returncode == 0, taken.stderr
    assert json.loads(taken.stdout)["acknowledged_by"] == "officer-7"


def test_the_readmes_examples_do_what_it_says(observed):
    send, subscribe, query = (observed.examples[name] for name in ("send", "subscribe", "query"))
    assert send.returncode == 1
    assert send.stdout == "1 accepted, 1 rejected\n"
    assert send.stderr.startswith("line 2: pm2_5_ug_m3 = -4")
    assert subscribe.returncode == 0, subscribe.stderr
    assert "Unusual crowd and road congestion" in subscribe.stdout
    assert query.returncode == 0, query.stderr
    assert "congestion" in query.stdout
    assert "crowding" in query.stdout


def test_an_unknown_incident_is_not_found(observed):
    unknown = observed.answers["unknown"]
    assert unknown.returncode == 1
    assert "NOT_FOUND" in unknown.stderr


def test_status_finds_every_service_well(observed):
    answer = observed.answers["status"]
    found = json.loads(answer.stdout)
    assert answer.returncode == 0, found["troubles"]
    assert {s["name"]: s["health"] for s in found["services"]} == dict.fromkeys(service_names(), "serving")


def test_send_names_every_bad_line_and_takes_the_good_ones(observed):
    answer = observed.answers["send"]
    assert answer.returncode == 1
    assert answer.stdout == "2 accepted, 3 rejected\n"
    first, second, third = answer.stderr.splitlines()
    assert first.startswith("line 2: valeu = 1: unknown field")
    assert second.startswith("line 4: confidence = 1.5: ")
    assert third.startswith("line 6: line = no JSON: ")
    assert observed.summary["observations"]["security"] == 2


@pytest.mark.parametrize(("what", "field"), [("windows", "measures"), ("signals", "evidence")])
def test_what_is_watched_comes_as_it_happens(observed, what, field):
    status, output = observed.watched[what]
    assert status == 0, output
    assert field in json.loads(output)


def test_clickhouse_errors_are_told_plainly(observed):
    answer = observed.answers["wrong query"]
    assert answer.returncode == 1
    assert "UNKNOWN_TABLE" in answer.stderr
    assert "Traceback" not in answer.stderr


def test_a_run_sums_itself_up(observed):
    summary = observed.summary
    counts = summary["observations"]
    assert counts["all"] > 40_000, "how many there are depends on the machine"
    assert counts["community"] + counts["traffic"] == observed.feed["sent"] == observed.feed["accepted"]
    for counted in ("windows", "signals"):
        assert summary[counted]["traffic"] > 0
        assert summary[counted]["community"] > 0
    assert summary["incidents"]["all"] >= 1
    assert summary["incidents"]["traffic"] == summary["incidents"]["community"] == summary["incidents"]["all"]
    assert summary["ledger_difference"] == 0
    assert summary["late"] == summary["dead_lettered"] == 0
    assert summary["archived"] == summary["observations"]
    assert summary["drained"]
    assert 0 < summary["first_incident_seconds"] < summary["seconds"]
    assert {"community", "traffic", "correlation", "kafka-1", "clickhouse"} <= summary["rss_mb"].keys()
    assert {"kafka", "clickhouse", "python", "urban"} <= summary["versions"].keys()
    assert summary["endpoints"]["services"]["traffic"]["grpc"]


def test_a_run_leaves_nothing_behind(urban, observed):
    assert observed.left == []
    assert not (urban.root / "endpoints.json").exists()


def test_the_next_run_goes_on_where_this_one_ended(urban: Urban, observed: Observed):
    running: Running = urban.start("up")
    deadline = time.monotonic() + PATIENCE_S
    try:
        while feed_of(urban)["position_ms"] == observed.feed["position_ms"] and time.monotonic() < deadline:
            assert running.process.poll() is None, running.output
            time.sleep(0.1)
        running.interrupt()
        assert running.end() == 0, running.output
    finally:
        running.kill()
    assert "ledger        difference 0" in running.output
    assert feed_of(urban)["position_ms"] > observed.feed["position_ms"]
    assert processes_below(urban.root) == []
