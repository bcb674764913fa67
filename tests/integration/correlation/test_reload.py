"""A rule is edited while the service runs and is killed in the middle of it: no incident is lost, none stands twice."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import clickhouse_connect
import grpc
import pytest

from deploy.local.servers import Endpoints
from services.core.correlation.incident import IncidentState as State
from services.correlation.rules import load_rules
from services.runtime.catalogue import INCIDENTS, SIGNALS
from tests.core.correlation.city import HOUR, NOON, congestion, crowding, newest
from tests.integration.conftest import REPOSITORY
from tests.integration.correlation.city import BEFORE, correlate, produce, read_topic, reports, written
from tests.integration.correlation.conftest import Service, wait_until
from tests.integration.correlation.reflection import ReflectionClient
from urban.correlation.v1.incident_pb2 import Incident

SERVICE = "urban.correlation.v1.CorrelationService"
NAME = "crowd_road_pressure.yaml"
# Not those that are shipped: they change, and their versions with them.
RULES = REPOSITORY / "tests" / "core" / "correlation" / "rules"
# Beside what the first version finds: too far for it, near enough for the second.
FAR = [
    *written(crowding("park", north_m=5000), congestion("parkroad", north_m=5700)),
    *reports(NOON + HOUR + 1),
]
LATER = [
    *written(congestion("quay", NOON + HOUR, north_m=200)),
    *reports(NOON + 2 * HOUR - 1),
]


def told(kafka: str) -> dict[str, Incident]:
    """The newest version of every incident on the topic; its last record is one of them."""
    found: dict[str, Incident] = {}
    for _, _, value, _ in read_topic(kafka, INCIDENTS):
        incident = Incident.FromString(value)
        if incident.id not in found or found[incident.id].revision <= incident.revision:
            found[incident.id] = incident
    return found


def states(kafka: str) -> list[tuple[int, str]]:
    return sorted((i.rule.version, State(i.state).name.lower()) for i in told(kafka).values())


@dataclass
class Rules:
    """A folder of rules as Kubernetes mounts a ConfigMap: its files are links, and one link changes them all."""

    folder: Path
    edits: int = 0

    def edit(self, **changes: str) -> None:
        data = self.folder.parent / f"data-{self.edits}"
        data.mkdir()
        text = (RULES / NAME).read_text()
        for field, value in changes.items():
            lines = [f"{field}: {value}" if line.startswith(f"{field}:") else line for line in text.splitlines()]
            text = "\n".join(lines) + "\n"
        (data / NAME).write_text(text)
        fresh = self.folder / "..data_tmp"
        fresh.symlink_to(data)
        os.replace(fresh, self.folder / "..data")
        self.edits += 1


@pytest.fixture(scope="module")
def rules(tmp_path_factory: pytest.TempPathFactory) -> Rules:
    folder = tmp_path_factory.mktemp("mounted") / "rules"
    folder.mkdir()
    made = Rules(folder)
    made.edit()
    (folder / NAME).symlink_to(folder / "..data" / NAME)
    return made


@pytest.fixture(scope="module")
def edited(own_servers: Endpoints, rules: Rules, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """The service, whose rules are in that folder."""
    made = Service(own_servers, tmp_path_factory.mktemp("service"), settings={"URBAN_RULES": str(rules.folder)})
    made.start()
    yield made
    assert made.stop() == 0, made.child.tail(40) if made.child else ""


def log_of(service: Service) -> str:
    return (service.folder / "correlation.log").read_text()


@pytest.fixture(scope="module")
def story(edited: Service, rules: Rules, own_servers: Endpoints) -> Incident:
    """One incident opens and is taken over; its rule is edited, and the service is killed twice on the way."""
    kafka = own_servers.kafka
    produce(kafka, [*BEFORE, *FAR])
    (opened,) = wait_until(lambda: list(told(kafka).values()), "the first incident")
    with grpc.insecure_channel(f"127.0.0.1:{edited.port}") as channel:
        client = ReflectionClient(channel, SERVICE)
        wait_until(lambda: client.call("ListIncidents", parent="cities/auckland"), "the incident in the view")
        client.call("AcknowledgeIncident", name=opened.name, actor="Ana", note="on my way")
    wait_until(lambda: states(kafka) == [(1, "acknowledged")], "that it is taken over")
    rules.edit(version="2", radius_m="900")
    wait_until(lambda: "rules_rebuilding" in log_of(edited), "the edit to be seen")
    edited.kill()
    edited.start()

    def finds() -> bool:
        # As processors do each second: a checkpoint, with which new rules come, follows what was handled.
        produce(kafka, reports(NOON + HOUR + 2))
        return any(version == 2 for version, _ in states(kafka))

    wait_until(finds, "the first incident of the new version")
    edited.kill()
    edited.start()
    produce(kafka, LATER)
    expected = [(1, "superseded"), (2, "acknowledged"), (2, "open")]
    wait_until(lambda: states(kafka) == expected and max(i.signal_count for i in told(kafka).values()) == 4, "the end")
    return opened


def test_killed_in_the_middle_the_new_version_ends_with_what_a_replay_by_it_finds(story, rules, own_servers):
    found = {i.id: i for i in told(own_servers.kafka).values() if i.rule.version == 2}
    replayed = newest(correlate(read_topic(own_servers.kafka, SIGNALS), load_rules(rules.folder)))
    assert {i: [s.id for s in incident.signals] for i, incident in found.items()} == {
        i: [s.id for s in incident.signals] for i, incident in replayed.items()
    }


def test_the_incident_that_was_open_goes_on_in_that_of_the_new_version_with_who_took_it_over(story, own_servers):
    incidents = told(own_servers.kafka)
    old = incidents[story.id]
    heir = incidents[old.superseded_by]
    assert (heir.rule.version, heir.acknowledged_by, list(heir.supersedes)) == (2, "Ana", [old.id])


def test_no_incident_is_open_twice_in_clickhouse(story, own_servers):
    with clickhouse_connect.get_client(dsn=own_servers.clickhouse) as client:
        rows = client.query("SELECT rule_version, state FROM correlation.incidents FINAL ORDER BY ALL").result_rows
    assert rows == [(1, "superseded"), (2, "acknowledged"), (2, "open")]


def test_a_broken_rule_is_refused_and_the_one_before_goes_on_over_a_kill_too(story, edited, rules, own_servers):
    kafka = own_servers.kafka
    rules.edit(version="3", severity="terrible")
    wait_until(lambda: "rules_refused" in log_of(edited), "the refusal")
    assert "severity = 'terrible': must be one of" in log_of(edited)
    edited.kill()
    edited.start()
    produce(kafka, [*written(congestion("quay", NOON + 2 * HOUR, north_m=200)), *reports(NOON + 3 * HOUR - 1)])
    wait_until(lambda: max(i.signal_count for i in told(kafka).values()) == 5, "another signal of the incident")
    assert {version for version, state in states(kafka) if state != "superseded"} == {2}
