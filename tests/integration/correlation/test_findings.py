"""Signals on a real topic become findings that any Kafka client, gRPC client and SQL reads, kill -9 or not."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, replace

import clickhouse_connect
import grpc
import pytest
from clickhouse_connect.driver.client import Client
from typer.testing import CliRunner

from deploy.local.servers import Endpoints
from services.cli.main import app
from services.core.correlation.event_time import Watermarks
from services.core.kind import HOUR_MS
from services.core.scan import Lookout
from services.core.signals import Signal
from services.correlation.finding_wire import finding_message
from services.correlation.intake import read_signal_record
from services.correlation.rules import load_rules
from services.correlation.scan_handler import chance_of
from services.runtime.catalogue import FINDINGS, NOTIFICATIONS, OBSERVATION_PARTITIONS, SIGNALS
from services.runtime.migrations import migrate
from services.runtime.records import watermark_record
from tests.core.correlation.city import congestion
from tests.core.scan.town import T0, background, in_order, planted, play
from tests.integration.correlation.city import produce, read_topic, written
from tests.integration.correlation.conftest import Service, wait_until
from tests.integration.correlation.reflection import ReflectionClient
from urban.correlation.v1.finding_pb2 import Finding, FindingState

SERVICE = "urban.correlation.v1.CorrelationService"
KINDS = sorted({(s.domain, s.kind) for rule in load_rules() for s in rule.selectors})
FIRST, UNTIL = T0 + 20 * HOUR_MS, T0 + 28 * HOUR_MS
PLANTED = [replace(s, type="crowding", window="1h") for s in planted(1, hour=18)]


def road_beside(crowd: Signal) -> Signal:
    """A jam beside one of the planted crowds: the rule of crowds and roads makes an incident of the two."""
    made = congestion("jam", crowd.end_ms - 300_000, city="town")
    return replace(made, latitude=crowd.latitude, longitude=crowd.longitude)


DAY = [*background(1, places=25, cases=80, hours=22), *PLANTED, road_beside(PLANTED[0])]


def log_of(after_ms: int, until_ms: int) -> list[bytes]:
    """Part of the day as it lies on the topic; processors of all kinds tell of each hour."""
    found: list[bytes] = []
    for record in in_order([s for s in DAY if after_ms < s.end_ms <= until_ms], until_ms):
        if isinstance(record, Signal):
            found += written(record)
    for hour_ms in range(after_ms + HOUR_MS, until_ms + 1, HOUR_MS):
        passed = dict.fromkeys(range(OBSERVATION_PARTITIONS), hour_ms)
        found += [watermark_record(domain, kind, "test", passed) for domain, kind in KINDS]
    return found


def told(kafka: str) -> dict[str, Finding]:
    """The newest version of every finding, as a consumer of another make finds it."""
    found: dict[str, Finding] = {}
    for _, key, value, headers in read_topic(kafka, FINDINGS):
        finding = Finding.FromString(value)
        assert key.decode() == finding.id
        assert headers["ce_type"] == b"urban.finding.v1"
        assert headers["ce_id"] == f"{finding.id}/{finding.revision}".encode()
        if finding.id not in found or found[finding.id].revision <= finding.revision:
            found[finding.id] = finding
    return found


@dataclass
class Story:
    """What happened, for the tests to look at."""

    final: dict[str, Finding]
    expected: dict[str, Finding]  # of an undisturbed run over the same topic


@pytest.fixture(scope="module")
def story(service: Service, own_servers: Endpoints) -> Story:
    """A cluster begins; the service is killed before and after it is found, and the city goes on."""
    kafka = own_servers.kafka
    migrate(own_servers.clickhouse)
    produce(kafka, log_of(T0, FIRST - HOUR_MS))
    service.kill()
    produce(kafka, log_of(FIRST - HOUR_MS, FIRST))
    service.start()
    wait_until(lambda: told(kafka), "the first finding")
    service.kill()
    produce(kafka, [b"\xff no signal", *log_of(FIRST, UNTIL)])
    service.start()
    over = FindingState.FINDING_STATE_OVER
    wait_until(lambda: all(f.state == over for f in told(kafka).values()), "the end of the findings")
    lookout = Lookout(dict.fromkeys(KINDS, OBSERVATION_PARTITIONS), chance_of, silence_ms=60_000)
    log: list[Signal | Watermarks] = [
        read_signal_record(value) for _, _, value, _ in read_topic(kafka, SIGNALS) if value != b"\xff no signal"
    ]
    return Story(told(kafka), {v.id: finding_message(v) for v in play(lookout, log)})


@pytest.fixture
def client(service: Service, story: Story) -> Iterator[ReflectionClient]:
    with grpc.insecure_channel(f"127.0.0.1:{service.port}") as channel:
        yield ReflectionClient(channel, SERVICE)


@pytest.fixture(scope="module")
def clickhouse(own_servers: Endpoints, story: Story) -> Iterator[Client]:
    with clickhouse_connect.get_client(dsn=own_servers.clickhouse) as made:
        yield made


def planted_one(story: Story) -> Finding:
    (found,) = [f for f in story.final.values() if any(s.entity_id.startswith("new-") for s in f.signals)]
    return found


def test_killed_twice_it_ends_with_the_findings_of_an_undisturbed_run(story: Story):
    assert story.final == story.expected
    assert len([s for s in planted_one(story).signals if s.entity_id.startswith("new-")]) >= 9


def test_it_is_told_by_grpc_with_the_incident_that_explains_it(client: ReflectionClient, story: Story):
    listed = client.call("ListFindings", parent="cities/town")["findings"]
    assert {f["id"] for f in listed} == set(story.final)
    mine = planted_one(story)

    def explained() -> list[str]:
        return list(client.call("GetFinding", name=mine.name).get("explainedBy", []))

    incidents = client.call("ListIncidents", parent="cities/town")["incidents"]
    assert explained() == [i["id"] for i in incidents if {s["id"] for s in i["signals"]} & {s.id for s in mine.signals}]
    assert len(explained()) == 1
    for name, code in (("cities/town/findings/7", "INVALID_ARGUMENT"), (f"{mine.name[:-1]}x", "INVALID_ARGUMENT")):
        with pytest.raises(grpc.RpcError) as refused:
            client.call("GetFinding", name=name)
        assert refused.value.code().name == code
    with pytest.raises(grpc.RpcError) as refused:
        client.call("GetFinding", name="cities/other/findings/" + mine.id)
    assert refused.value.code() is grpc.StatusCode.NOT_FOUND


def test_the_command_lists_and_explains_it(
    own_servers: Endpoints, service: Service, story: Story, monkeypatch: pytest.MonkeyPatch
):
    service.let_commands_find(monkeypatch)
    mine = planted_one(story)

    def urban(*arguments: str) -> str:
        result = CliRunner().invoke(app, ["findings", *arguments, "--city", "town"])
        assert result.exit_code == 0, result.output
        return result.output

    assert all(f.id in urban("list") for f in story.final.values())
    shown = urban("show", mine.id[:8])
    assert mine.title in shown
    assert "no rule asked for it, and it is no incident" in shown
    assert "explained by" in shown
    assert json.loads(urban("show", mine.id, "--json"))["p_value"] == mine.p_value


def test_sql_gives_findings_in_their_final_version_and_what_rules_know_of_them(clickhouse: Client, story: Story):
    rows = clickhouse.query(
        "SELECT toString(id), state, revision, p_value, arrayMap(toString, signal_ids), title FROM urban.v_findings"
    ).result_rows
    assert sorted(tuple(row) for row in rows) == sorted(
        (f.id, "over", f.revision, f.p_value, [s.id for s in f.signals], f.title) for f in story.final.values()
    )
    (known,) = clickhouse.query(
        "SELECT toString(finding_id), rule, shared_signals FROM urban.v_finding_incidents"
    ).result_rows
    assert known[:2] == (planted_one(story).id, "crowd_road_pressure")
    assert known[2] >= 1


def test_its_own_query_returns_exactly_the_windows_behind_it(clickhouse: Client, story: Story):
    mine = planted_one(story)
    for signal in [*mine.signals, *(s for f in story.final.values() for s in f.signals if f.id != mine.id)]:
        for shift_ms in (0, HOUR_MS):
            start_ms, end_ms = signal.start_time.ToMilliseconds() + shift_ms, signal.end_time.ToMilliseconds()
            clickhouse.command(
                f"INSERT INTO {signal.domain}.{signal.kind}_windows (city, window, entity_id, start_time, end_time,"
                f" kafka_partition, revision) VALUES ('town', '{signal.window}', '{signal.entity_id}',"
                f" fromUnixTimestamp64Milli({start_ms}), fromUnixTimestamp64Milli({end_ms + shift_ms}), 0, 1)"
            )
    found = [(r[0], r[1], r[2], r[3], round(r[4].timestamp() * 1000)) for r in clickhouse.query(mine.query).result_rows]
    assert sorted(found) == sorted(
        (s.domain, s.kind, s.window, s.entity_id, s.start_time.ToMilliseconds()) for s in mine.signals
    )


def test_nobody_is_told_of_a_finding(own_servers: Endpoints, story: Story):
    ids = {Finding.FromString(value).id for _, _, value, _ in read_topic(own_servers.kafka, FINDINGS)}
    assert ids == set(story.final)
    notified = b"".join(value for _, _, value, _ in read_topic(own_servers.kafka, NOTIFICATIONS))
    assert not any(id_.encode() in notified for id_ in ids)
