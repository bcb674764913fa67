"""Of incidents that are limited, or flap, nobody is told: from the signals through rules and plans to notifications."""

from __future__ import annotations

from collections.abc import Iterator

import clickhouse_connect
import pytest
from typer.testing import CliRunner

from deploy.local.servers import Endpoints
from services.cli.main import app
from services.runtime.catalogue import NOTIFICATIONS
from tests.core.correlation.city import HOUR, NOON, congestion, crowding
from tests.integration.correlation.city import BEFORE, produce, read_topic, reports, written
from tests.integration.correlation.conftest import Service, wait_until
from tests.integration.correlation.test_reload import NAME, RULES, told
from tests.integration.correlation.test_response import Responder, responding
from urban.correlation.v1.notification_pb2 import Notification

# A day's stretch for the limit, so that the afternoon lies in one.
TEXT = (RULES / NAME).read_text() + "limit: {incidents: 1, within_s: 86400}\nflapping: {times: 1, within_s: 86400}\n"
# Beside the one at the harbour: a second one of that day, and hours later the harbour once more.
SECOND = [
    *written(crowding("park", NOON + HOUR, north_m=5000), congestion("parkroad", NOON + HOUR, north_m=5100)),
    *reports(NOON + 2 * HOUR),
]
AGAIN = [
    *written(crowding("harbour", NOON + 6 * HOUR), congestion("quay", NOON + 6 * HOUR, north_m=200)),
    *reports(NOON + 7 * HOUR),
]


@pytest.fixture(scope="module")
def muting(own_servers: Endpoints, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    folder = tmp_path_factory.mktemp("rules")
    (folder / NAME).write_text(TEXT)
    made = Service(own_servers, tmp_path_factory.mktemp("service"), settings={"URBAN_RULES": str(folder)})
    made.start()
    yield made
    assert made.stop() == 0, made.child.tail(40) if made.child else ""


@pytest.fixture(scope="module")
def responder(own_servers: Endpoints, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Responder]:
    with responding(own_servers, tmp_path_factory.mktemp("responder")) as make:
        made = make("the-responder", static=True)
        made.start()
        yield made


def notified(kafka: str) -> set[str]:
    """Ids of the incidents that somebody was told of."""
    return {Notification.FromString(value).incident_id for _, _, value, _ in read_topic(kafka, NOTIFICATIONS)}


def test_nobody_is_told_of_what_is_muted(
    muting: Service, responder: Responder, own_servers: Endpoints, monkeypatch: pytest.MonkeyPatch
):
    kafka = own_servers.kafka
    produce(kafka, BEFORE)
    (first,) = wait_until(lambda: notified(kafka), "that somebody is told of the first")
    produce(kafka, SECOND)
    wait_until(lambda: len(told(kafka)) == 2, "the second")
    muting.kill()
    muting.start()
    produce(kafka, AGAIN)
    wait_until(lambda: len(told(kafka)) == 3, "the first place once more")
    # The first one is told again, as it stands for two more: the responder has read what was told before that.
    wait_until(lambda: told(kafka)[first].surplus_count == 2, "that it stands for the others")
    muted = {incident.id: incident for incident in told(kafka).values() if incident.id != first}
    assert all(incident.rate_limited for incident in muted.values())
    assert sorted(incident.flap_count for incident in muted.values()) == [0, 1]
    with clickhouse_connect.get_client(dsn=own_servers.clickhouse) as client:
        rows = "SELECT uniqExact(incident_id) FROM correlation.incident_audit WHERE what = 'limited'"
        wait_until(lambda: client.query(rows).result_rows == [(2,)], "the audit")
    listed = list_incidents(muting, monkeypatch)
    assert notified(kafka) == {first}
    assert listed[first] == ""
    assert sorted(untold for id_, untold in listed.items() if id_ != first) == ["limited", "limited, flapping"]


def list_incidents(service: Service, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """By id what `urban incidents` says in its column of those that nobody is told of."""
    monkeypatch.setenv("COLUMNS", "200")
    service.let_commands_find(monkeypatch)
    result = CliRunner().invoke(app, ["incidents", "list"])
    assert result.exit_code == 0, result.output
    heads, *lines = result.output.splitlines()
    begin, end = heads.index("nobody told"), heads.index("what")
    return {line.split()[0]: line[begin:end].strip() for line in lines if line.strip() and line[0].isalnum()}
