"""Signals on a real topic become incidents that any Kafka client, gRPC client and SQL reads, kill -9 or not."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import clickhouse_connect
import grpc
import pytest
from clickhouse_connect.driver.client import Client

from deploy.local.servers import Endpoints
from services.core.correlation.incident import Incident as CoreIncident
from services.correlation.wire import IncidentWriter
from services.runtime.catalogue import INCIDENTS, SIGNALS
from services.runtime.migrations import migrate
from tests.core.correlation.city import HOUR, MINUTE, NOON, newest
from tests.integration.correlation.city import AFTER, BEFORE, MIDDLE, correlate, produce, read_topic
from tests.integration.correlation.conftest import Service, wait_until
from tests.integration.correlation.reflection import ReflectionClient
from urban.correlation.v1.incident_pb2 import Incident, IncidentState

SERVICE = "urban.correlation.v1.CorrelationService"
ACTOR = "Ana, duty officer"


def told(kafka: str) -> dict[str, Incident]:
    """The newest version of every incident, as a consumer of another make finds it."""
    found: dict[str, Incident] = {}
    for _, key, value, _ in read_topic(kafka, INCIDENTS):
        incident = Incident.FromString(value)
        assert key.decode() == incident.id
        if incident.id not in found or found[incident.id].revision <= incident.revision:
            found[incident.id] = incident
    return found


def states(kafka: str) -> list[str]:
    return sorted(state_text(i) for i in told(kafka).values())


def state_text(incident: Incident) -> str:
    return IncidentState.Name(incident.state).removeprefix("INCIDENT_STATE_").lower()


@dataclass
class Story:
    """What happened, for the tests to look at."""

    opened: Incident  # as it was when it was acknowledged
    acknowledged: dict[str, Any]
    final: dict[str, Incident]
    expected: dict[str, CoreIncident]  # by an undisturbed correlator, without the acknowledgement


@pytest.fixture(scope="module")
def story(service: Service, own_servers: Endpoints) -> Story:
    """An incident opens and is acknowledged; the service is killed twice, and the city goes on."""
    kafka = own_servers.kafka
    produce(kafka, BEFORE)
    (opened,) = wait_until(lambda: list(told(kafka).values()), "the first incident")
    with grpc.insecure_channel(f"127.0.0.1:{service.port}") as channel:
        client = ReflectionClient(channel, SERVICE)
        wait_until(lambda: client.call("ListIncidents", parent="cities/auckland"), "the incident in the view")
        acknowledged = client.call("AcknowledgeIncident", name=opened.name, actor=ACTOR, note="on my way")
    service.kill()
    produce(kafka, MIDDLE)
    service.start()
    wait_until(lambda: states(kafka) == ["acknowledged", "open"], "the second incident")
    service.kill()
    produce(kafka, AFTER)
    service.start()
    wait_until(lambda: states(kafka) == ["acknowledged", "open", "retracted", "superseded"], "the end of the story")
    expected = newest(correlate(read_topic(kafka, SIGNALS)))
    return Story(opened, acknowledged, told(kafka), expected)


@pytest.fixture
def client(service: Service, story: Story) -> Iterator[ReflectionClient]:
    with grpc.insecure_channel(f"127.0.0.1:{service.port}") as channel:
        yield ReflectionClient(channel, SERVICE)


@pytest.fixture(scope="module")
def clickhouse(own_servers: Endpoints, story: Story) -> Iterator[Client]:
    """ClickHouse with the tables of every domain and the analysts' views."""
    migrate(own_servers.clickhouse)
    with clickhouse_connect.get_client(dsn=own_servers.clickhouse) as made:
        yield made


def heir_of(story: Story) -> Incident:
    """The incident that took the first one's place."""
    return story.final[story.final[story.opened.id].superseded_by]


def test_killed_twice_it_ends_with_the_incidents_of_an_undisturbed_run(story):
    writer = IncidentWriter()
    assert set(story.final) == set(story.expected)
    for id_, incident in story.expected.items():
        expected, found = Incident.FromString(writer.message(incident)), Incident()
        found.CopyFrom(story.final[id_])
        # The acknowledgement is no signal: the undisturbed run knows nothing of it.
        assert state_text(found) in (state_text(expected), "acknowledged")
        for message in (expected, found):
            for field in ("state", "revision", "acknowledged_by", "acknowledge_time", "actions", "action_count"):
                message.ClearField(field)
        assert found.SerializeToString(deterministic=True) == expected.SerializeToString(deterministic=True)


def test_the_acknowledgement_survives_and_passes_to_the_heir(story):
    assert story.acknowledged["state"] == "INCIDENT_STATE_ACKNOWLEDGED"
    assert story.acknowledged["acknowledgedBy"] == ACTOR
    old, heir = story.final[story.opened.id], heir_of(story)
    assert (state_text(old), old.superseded_by, old.acknowledged_by) == ("superseded", heir.id, ACTOR)
    assert (state_text(heir), heir.acknowledged_by) == ("acknowledged", ACTOR)
    assert heir.acknowledge_time.ToJsonString() == story.acknowledged["acknowledgeTime"]


def test_an_incident_on_the_topic_is_a_cloud_event(own_servers, story):
    records = read_topic(own_servers.kafka, INCIDENTS)
    assert len(records) >= len(story.final)
    for _, key, value, headers in records:
        incident = Incident.FromString(value)
        assert headers == {
            "ce_specversion": b"1.0",
            "ce_id": f"{incident.id}/{incident.revision}".encode(),
            "ce_type": b"urban.incident.v1",
            "ce_source": b"/correlation",
            "ce_time": headers["ce_time"],
            "ce_partitionkey": key,
            "content-type": b"application/protobuf",
            "urban_read": headers["urban_read"],
        }
        assert headers["ce_time"].decode().startswith(incident.end_time.ToDatetime().isoformat()[:19])


def test_a_client_that_knows_only_reflection_lists_and_gets_incidents(client, story):
    stadium, listed = client.call("ListIncidents", parent="cities/auckland")["incidents"]
    heir = heir_of(story)
    assert stadium["title"] == "Unusual crowd and road congestion near stadium"
    assert (listed["id"], listed["revision"]) == (heir.id, heir.revision)
    assert client.call("GetIncident", name=listed["name"]) == listed
    assert client.call("ListIncidents", parent="cities/wellington") == {}
    retracted = client.call("ListIncidents", parent="cities/auckland", state="INCIDENT_STATE_RETRACTED")
    assert [i["state"] for i in retracted["incidents"]] == ["INCIDENT_STATE_RETRACTED"]
    first = client.call("ListIncidents", parent="cities/auckland", pageSize=1)
    second = client.call("ListIncidents", parent="cities/auckland", pageSize=1, pageToken=first["nextPageToken"])
    assert (first["incidents"], second) == ([stadium], {"incidents": [listed]})


def test_a_watch_resumes_where_it_was_told(client, own_servers):
    records = read_topic(own_servers.kafka, INCIDENTS)
    token = "WyJ1cmJhbi5pbmNpZGVudHMudjEiLFtbMCwwXV1d"  # the beginning of the topic
    seen = []
    for response in client.stream("WatchIncidents", 30, parent="cities/auckland", resumeToken=token):
        seen.append(response)
        if len(seen) == 2:
            break
    for response in client.stream("WatchIncidents", 30, parent="cities/auckland", resumeToken=seen[1]["resumeToken"]):
        seen.append(response)
        if len(seen) == len(records):
            break
    versions = [(r["incident"]["id"], r["incident"]["revision"]) for r in seen]
    assert versions == [(Incident.FromString(v).id, Incident.FromString(v).revision) for _, _, v, _ in records]


def test_acknowledging_again_is_the_same_and_somebody_else_is_refused(client, story):
    heir = heir_of(story)
    again = client.call("AcknowledgeIncident", name=heir.name, actor=ACTOR)
    assert (again["revision"], again["acknowledgedBy"]) == (heir.revision, ACTOR)
    with pytest.raises(grpc.RpcError) as refused:
        client.call("AcknowledgeIncident", name=heir.name, actor="Bob")
    assert refused.value.code() is grpc.StatusCode.FAILED_PRECONDITION
    assert f"{ACTOR} has taken it over" in str(refused.value.details())


UNKNOWN = "cities/auckland/incidents/00000000-0000-0000-0000-000000000000"


@pytest.mark.parametrize(
    ("method", "request_", "code", "text"),
    [
        ("GetIncident", {"name": UNKNOWN}, grpc.StatusCode.NOT_FOUND, "does not exist"),
        ("GetIncident", {"name": "cities/auckland/incidents/7"}, grpc.StatusCode.INVALID_ARGUMENT, "name: "),
        ("ListIncidents", {"parent": "auckland"}, grpc.StatusCode.INVALID_ARGUMENT, "parent: auckland"),
        ("ListIncidents", {"parent": "cities/a", "pageSize": -1}, grpc.StatusCode.INVALID_ARGUMENT, "page_size"),
        ("ListIncidents", {"parent": "cities/a", "pageToken": "x"}, grpc.StatusCode.INVALID_ARGUMENT, "page_token"),
        ("ListIncidents", {"parent": "cities/a", "state": 77}, grpc.StatusCode.INVALID_ARGUMENT, "state: 77"),
        ("AcknowledgeIncident", {"name": UNKNOWN}, grpc.StatusCode.INVALID_ARGUMENT, "actor"),
        ("AcknowledgeIncident", {"name": UNKNOWN, "actor": "A"}, grpc.StatusCode.NOT_FOUND, "does not exist"),
        (
            "AcknowledgeIncident",
            {"name": UNKNOWN, "actor": "A", "requestId": "7"},
            grpc.StatusCode.INVALID_ARGUMENT,
            "request_id: 7",
        ),
    ],
)
def test_a_wrong_request_is_refused_with_field_value_and_reason(client, method, request_, code, text):
    with pytest.raises(grpc.RpcError) as refused:
        client.call(method, **request_)
    assert refused.value.code() is code
    assert text in str(refused.value.details())


def test_a_watch_without_a_deadline_is_refused(client):
    with pytest.raises(grpc.RpcError) as refused:
        list(client.stream("WatchIncidents", None, parent="cities/auckland"))
    assert refused.value.code() is grpc.StatusCode.INVALID_ARGUMENT


def test_sql_gives_the_incidents_in_their_final_version(clickhouse, story):
    rows = clickhouse.query(
        "SELECT toString(id), state, revision, superseded_by, acknowledged_by, arrayMap(toString, signal_ids),"
        " document, explanation FROM urban.v_incidents"
    ).result_rows
    found = {row[0]: row[1:] for row in rows}
    assert set(found) == set(story.final)
    for id_, incident in story.final.items():
        state, revision, superseded_by, acknowledged_by, signal_ids, document, explanation = found[id_]
        assert (state, revision) == (state_text(incident), incident.revision)
        assert (superseded_by, acknowledged_by) == (incident.superseded_by, incident.acknowledged_by)
        assert signal_ids == [s.id for s in incident.signals]
        assert f'"id":"{id_}"' in document.replace(" ", "")
        assert explanation == incident.explanation != ""


def test_the_audit_says_who_did_what_when_and_why(clickhouse, story):
    heir = heir_of(story)
    found = clickhouse.query(
        "SELECT toString(incident_id), what, actor, why, time FROM urban.v_incident_audit ORDER BY time, what"
    ).result_rows
    of_old = [row[1:4] for row in found if row[0] == story.opened.id]
    assert [what for what, _, _ in of_old if what in ("opened", "superseded")] == ["opened", "superseded"]
    assert ("acknowledged", ACTOR, "on my way") in of_old
    assert [row[1] for row in found if row[0] == heir.id] == ["opened", "acknowledged"]
    (taken,) = [row[4] for row in found if row[0] == heir.id and row[1] == "acknowledged"]
    assert taken.isoformat(timespec="milliseconds")[:23] == heir.acknowledge_time.ToJsonString()[:23]


def test_the_incidents_own_query_returns_exactly_the_windows_that_it_names(clickhouse, story):
    heir = heir_of(story)
    for start_ms in range(NOON - 2 * HOUR, NOON + 3 * HOUR, 5 * MINUTE):
        for entity in ("quay", "queen-st", "elsewhere"):
            _store(clickhouse, "traffic.road_flow_windows", "5m", entity, start_ms, 5 * MINUTE, "speed_kmh_mean")
        if start_ms % HOUR == 0:
            for entity in ("harbour", "park"):
                _store(clickhouse, "community.people_count_windows", "1h", entity, start_ms, HOUR, "count_sum")
    result = clickhouse.query(heir.query)
    assert result.column_names == (
        "domain", "kind", "window", "entity_id", "start_time", "end_time", "revision", "measures"
    )  # fmt: skip
    found = [(r[0], r[1], r[2], r[3], round(r[4].timestamp() * 1000), r[6]) for r in result.result_rows]
    named = [
        (s.domain, s.kind, s.window, s.entity_id, s.start_time.ToMilliseconds(), 2)
        for s in sorted(heir.signals, key=lambda s: (s.domain, s.kind, s.start_time.ToMilliseconds(), s.entity_id))
    ]
    assert found == named
    assert '"count_sum":4210' in result.result_rows[0][7]


def _store(clickhouse: Client, table: str, window: str, entity: str, start_ms: int, size_ms: int, measure: str) -> None:
    """Two revisions of one window."""
    for revision, value in ((1, 1.0), (2, 4210.0)):
        clickhouse.command(
            f"INSERT INTO {table} (city, window, entity_id, start_time, end_time, kafka_partition, revision, {measure})"
            f" VALUES ('auckland', '{window}', '{entity}', fromUnixTimestamp64Milli({start_ms}),"
            f" fromUnixTimestamp64Milli({start_ms + size_ms}), 0, {revision}, {value})"
        )
