"""A version of a rule is tried beside the one in force, through a kill, reported on, and put in force: real servers."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import clickhouse_connect
import grpc
import pytest
from clickhouse_connect.driver.client import Client
from typer.testing import CliRunner

from deploy.local.servers import Endpoints
from services.cli.main import app
from services.runtime.catalogue import NOTIFICATIONS
from services.runtime.migrations import migrate
from tests.core.correlation.city import HOUR, NOON
from tests.integration.correlation.city import BEFORE, produce, read_topic, reports
from tests.integration.correlation.conftest import Service, wait_until
from tests.integration.correlation.reflection import ReflectionClient
from tests.integration.correlation.test_reload import FAR, NAME, RULES, SERVICE, states, told
from urban.correlation.v1.notification_pb2 import Notification

TEXT = (RULES / NAME).read_text()
TRIED = TEXT.replace("version: 1", "version: 2\nmode: shadow").replace("radius_m: 500", "radius_m: 900")
COUNT = "SELECT toUInt32(count()) FROM correlation.shadow_incidents FINAL"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("rules")
    (made / NAME).write_text(TEXT)
    (made / "tried.yaml").write_text(TRIED)
    return made


@pytest.fixture(scope="module")
def trying(own_servers: Endpoints, folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    made = Service(own_servers, tmp_path_factory.mktemp("service"), settings={"URBAN_RULES": str(folder)})
    made.start()
    yield made
    assert made.stop() == 0, made.child.tail(40) if made.child else ""


@pytest.fixture(scope="module")
def clickhouse(own_servers: Endpoints, trying: Service) -> Iterator[Client]:
    """One incident for both versions, a kill, and one that only the wider version would have opened."""
    with clickhouse_connect.get_client(dsn=own_servers.clickhouse) as client:
        produce(own_servers.kafka, BEFORE)
        wait_until(lambda: client.query(COUNT).result_rows[0][0] == 1, "the first incident that would be opened")
        wait_until(lambda: states(own_servers.kafka) == [(1, "open")], "the one that was opened")
        trying.kill()
        trying.start()
        produce(own_servers.kafka, FAR)
        wait_until(lambda: client.query(COUNT).result_rows[0][0] == 2, "the second one")
        migrate(own_servers.clickhouse)
        yield client


@pytest.fixture
def report(own_servers: Endpoints, clickhouse: Client, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setenv("URBAN_KAFKA", own_servers.kafka)
    monkeypatch.setenv("URBAN_CLICKHOUSE", own_servers.clickhouse)
    monkeypatch.setenv("COLUMNS", "200")
    result = CliRunner().invoke(app, ["rules", "shadow", "crowd_road_pressure", "--explain"])
    assert result.exit_code == 0, result.output
    return result.output


def test_the_report_tells_what_both_and_what_only_the_new_version_would_have_opened(report: str):
    lines = report.splitlines()
    assert lines[0] == "crowd_road_pressure version 2: began at the start"
    (city,) = (line.split() for line in lines if line.startswith("auckland"))
    assert city == ["auckland", "2", "1", "1", "1", "0"]
    assert "both 1 (of the same signals 1), only version 2 1, only live 0" in report
    assert report.count("the windows behind it (urban sql)") == 2, "each is explained"
    assert "radius_m 900" in report


def test_a_rule_that_was_never_tried_is_told(report: str):
    result = CliRunner().invoke(app, ["rules", "shadow", "noise_then_crowd"])
    assert (result.exit_code, "was never tried" in result.output) == (1, True)


def test_nothing_of_it_stands_anywhere_else(report: str, clickhouse: Client, trying: Service, own_servers: Endpoints):
    rows = clickhouse.query("SELECT rule_version, state FROM urban.v_incidents").result_rows
    assert rows == [(1, "open")]
    tried = {row[0] for row in clickhouse.query("SELECT toString(id) FROM urban.v_shadow_incidents").result_rows}
    audited = clickhouse.query("SELECT DISTINCT toString(incident_id) FROM urban.v_incident_audit").result_rows
    notified = {
        Notification.FromString(value).incident_id for _, _, value, _ in read_topic(own_servers.kafka, NOTIFICATIONS)
    }
    assert tried & ({row[0] for row in audited} | notified | set(told(own_servers.kafka))) == set()
    with grpc.insecure_channel(f"127.0.0.1:{trying.port}") as channel:
        listed = ReflectionClient(channel, SERVICE).call("ListIncidents", parent="cities/auckland")["incidents"]
    assert [incident["rule"]["version"] for incident in listed] == [1]


def test_promoted_it_opens_what_stands_once_and_the_runs_say_when(
    report: str, clickhouse: Client, folder: Path, own_servers: Endpoints
):
    (folder / "tried.yaml").unlink()
    (folder / NAME).write_text(TRIED.replace("mode: shadow\n", ""))
    expected = [(1, "superseded"), (2, "open"), (2, "open")]

    def opens() -> bool:
        produce(own_servers.kafka, reports(NOON + HOUR + 2))
        return states(own_servers.kafka) == expected

    wait_until(opens, "that it is in force")
    runs = "SELECT rule_version, what, file FROM urban.v_shadow_runs ORDER BY log_offset"
    wait_until(lambda: len(clickhouse.query(runs).result_rows) == 2, "that the end of the trial is noted")
    assert clickhouse.query(runs).result_rows == [(2, "began", "tried.yaml"), (2, "promoted", NAME)]
