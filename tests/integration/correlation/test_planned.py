"""What somebody announces explains incidents until it is cancelled: `urban planned` on the real service."""

from __future__ import annotations

import json
from collections.abc import Callable

import clickhouse_connect
import pytest
from typer.testing import CliRunner

from deploy.local.servers import Endpoints
from services.cli.main import app
from services.core.kind import DAY_MS, HOUR_MS
from services.feeds.scenario.announced import planned_events
from services.feeds.scenario.announcing import announce
from services.feeds.scenario.city import SMALL_BLOCKS, build_city
from services.feeds.scenario.script import write_script
from tests.integration.correlation.city import BEFORE, produce
from tests.integration.correlation.conftest import Service, wait_until
from tests.integration.correlation.test_reload import told

MATCH = ["announce", "match-1", "Match in the harbour", "--at=-36.848,174.765", "--radius", "1000", "--as", "office"]
AFTERNOON = ["--from", "2024-06-02T10:00:00Z", "--to", "2024-06-02T20:00:00+02:00"]

Urban = Callable[..., str]


@pytest.fixture
def urban(service: Service, monkeypatch: pytest.MonkeyPatch) -> Urban:
    """Runs the command against the service; what it says on standard output."""
    monkeypatch.setenv("COLUMNS", "200")
    service.let_commands_find(monkeypatch)

    def run(*arguments: str, status: int = 0) -> str:
        result = CliRunner().invoke(app, [*arguments])
        assert result.exit_code == status, result.output
        return result.output if status == 0 else result.stderr

    return run


def test_an_incident_is_planned_while_the_event_stands(service: Service, own_servers: Endpoints, urban: Urban):
    assert urban("planned") == "nothing is planned\n"
    produce(own_servers.kafka, BEFORE)
    (incident,) = wait_until(lambda: list(told(own_servers.kafka).values()), "the incident")
    assert incident.planned_event == ""

    line = urban("planned", *MATCH, *AFTERNOON).splitlines()[1].split()
    assert line[:7] == ["match-1", "2024-06-02", "10:00:00", "2024-06-02", "18:00:00", "1,000", "all"]
    wait_until(lambda: told(own_servers.kafka)[incident.id].planned_event == "match-1", "that it is planned")
    assert "planned" in urban("incidents", "list")

    # Said anew: it explains people, and no roads.
    urban("planned", *MATCH, *AFTERNOON, "--explains", "community")
    wait_until(lambda: told(own_servers.kafka)[incident.id].planned_event == "", "that it explains no road any more")
    urban("planned", *MATCH, *AFTERNOON)
    wait_until(lambda: told(own_servers.kafka)[incident.id].planned_event == "match-1", "that it is planned again")

    urban("planned", "cancel", "match-1", "--as", "office")
    wait_until(lambda: told(own_servers.kafka)[incident.id].planned_event == "", "that it is not any more")
    (event,) = json.loads(urban("planned", "list", "--json"))
    assert (event["cancelled"], event["actor"], event["radius_m"]) == (True, "office", 1000.0)

    with clickhouse_connect.get_client(dsn=own_servers.clickhouse) as client:
        rows = (
            "SELECT what, actor, startsWith(why, 'match-1: Match in the harbour, ') FROM correlation.incident_audit"
            " FINAL WHERE what LIKE '%planned' ORDER BY time"
        )
        told_of = [("planned", "office", True), ("unplanned", "office", True)] * 2
        wait_until(lambda: client.query(rows).result_rows == told_of, "a row of the audit for each of the four")


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ([*MATCH, "--from", "noon", "--to", "2024-06-02T20:00:00Z"], "--from 'noon' is no time as"),
        ([*MATCH[:3], "--at", "here", *AFTERNOON], "--at 'here' must be latitude and longitude"),
        ([*MATCH[:3], "--at=1.2.3,4", *AFTERNOON], "--at '1.2.3,4' must be two numbers"),
        ([*MATCH[:3], "--at=91,0", *AFTERNOON], "planned_event.position"),
        ([*MATCH, *AFTERNOON, "--radius", "0"], "planned_event.radius_m"),
        ([*MATCH, "--from", "2024-06-03T10:00:00Z", "--to", "2024-06-02T10:00:00Z"], "planned_event.end_time"),
        (["announce", "Match 1", *MATCH[2:], *AFTERNOON], "planned_event.name"),
        (["cancel", "nobody-knows"], "nothing is planned in auckland under the id nobody-knows"),
    ],
)
def test_what_cannot_be_is_told(arguments: list[str], text: str, urban: Urban):
    assert text in urban("planned", *arguments, status=1)


async def test_a_scenario_announces_what_is_planned_in_it(service: Service, urban: Urban):
    city = build_city(5, SMALL_BLOCKS, "planville")
    from_ms = 1_780_272_000_000
    script = write_script(city, from_ms, from_ms + 14 * DAY_MS, density=0.5)
    events = [*planned_events(city, script)]
    assert [event.id for event in events] == ["planned-concert-1"]
    (concert,) = (h for h in script.happenings if h.id == "planned-concert-1")
    assert (events[0].start_ms, events[0].end_ms) == (concert.from_ms - HOUR_MS, concert.to_ms + HOUR_MS)
    for _ in range(2):  # said twice it is the same
        assert await announce(f"127.0.0.1:{service.port}", events) == 1
    (event,) = json.loads(urban("planned", "--city", "planville", "--json"))
    assert event["name"] == "cities/planville/plannedEvents/planned-concert-1"
