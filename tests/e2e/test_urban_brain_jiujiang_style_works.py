"""Urban brain (Jiujiang style), as a city asks for it: all four domains on one cluster, and what they know together.

A seeded city of all kinds is sent by gRPC to a running one. In it an underpass is flooded, which security, traffic and
environment each see a part of; two hours later the same happens without one of the parts. All is sent once more by a
feed that begins anew, as one does that has lost its place.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import clickhouse_connect
import grpc
import pytest

from services.cli.addresses import Addresses, find_addresses
from services.cli.rule_history import found_in
from services.core.kind import HOUR_MS, MINUTE_MS
from services.correlation.history import read_incidents
from services.correlation.rules import load_rules
from services.feeds.scenario.chance import stream
from services.feeds.scenario.city import SMALL_BLOCKS, City, build_city
from services.feeds.scenario.happening import Happening, What
from services.feeds.scenario.scenes.streets import street_flooding
from services.feeds.scenario.script import Script, happening_of
from services.feeds.scenario.sending import ScenarioFeed
from services.runtime.clickhouse_address import client_address
from tests.e2e.conftest import PATIENCE_S, Urban
from tests.integration.correlation.reflection import ReflectionClient

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

DOMAINS = ("community", "environment", "security", "traffic")
NAME = "street_flooding"
RULE = next(rule for rule in load_rules() if rule.name == NAME)
SEED = 7
# 2026-06-02T08:00Z, a Tuesday.
FROM_MS = 1_780_387_200_000
HOURS = 5
# When all windows of the flooding have ended, and it is not over yet.
AFTER_MS = 20 * MINUTE_MS
SERVICE = "urban.correlation.v1.CorrelationService"
ACTOR = "Ana, duty officer"


@dataclass
class Story:
    """What was seen of the run."""

    truth: Happening  # the flooding
    opened: list[dict[str, Any]]  # incidents of the city when it has happened, by gRPC
    acknowledged: dict[str, Any]  # the answer to whoever took it over
    final: list[dict[str, Any]]  # incidents that began in the run, when it is over and was sent twice
    shown: str  # what `urban incidents show` tells of the flooding then
    addresses: Addresses


@pytest.fixture(scope="module")
def urban(tmp_path_factory: pytest.TempPathFactory, download_cache: Path) -> Urban:
    """The command, in a root folder of this module's own."""
    return Urban(tmp_path_factory.mktemp("city"), download_cache)


@pytest.fixture(scope="module")
def story(urban: Urban) -> Iterator[Story]:
    city = build_city(SEED, SMALL_BLOCKS)
    truth, almost = flooding(city, What.INCIDENT, 1), flooding(city, What.NEAR_MISS, 3)
    script = Script(FROM_MS, FROM_MS + HOURS * HOUR_MS, (truth, almost))
    running = urban.start("up", "--replay")
    try:
        running.wait_for("gRPC correlation")
        addresses = find_addresses(urban.root, {})
        with grpc.insecure_channel(addresses.service("correlation").grpc) as channel:
            client = ReflectionClient(channel, SERVICE)
            send(city, script, addresses, until_ms=truth.to_ms + AFTER_MS)
            opened = wait_until_listed(client, city.name)
            acknowledged = client.call("AcknowledgeIncident", name=opened[0]["name"], actor=ACTOR, note="on my way")
            send(city, script, addresses)
            wait_until_over(client, acknowledged["name"])
            shown = urban.run("incidents", "show", opened[0]["id"], "--city", city.name).stdout
            # When the feed ends every sensor falls silent, which is an incident of its own.
            final = [i for i in incidents(client, city.name) if begins_ms(i) < almost.to_ms]
        yield Story(truth, opened, acknowledged, final, shown, addresses)
        running.interrupt()
        assert running.end() == 0, running.output
    finally:
        running.kill()


def flooding(city: City, what: What, hour: int) -> Happening:
    """An underpass that is flooded in an hour of the run, or is not quite: a part that the rule asks for is missing."""
    chance = stream(SEED, what.value)
    scene = street_flooding(city, FROM_MS + hour * HOUR_MS, chance)
    return happening_of(what, NAME, 1, scene, chance)


def send(city: City, script: Script, addresses: Addresses, until_ms: int | None = None) -> None:
    """Send the run from its beginning, to its end or to a moment of the city's clock, as fast as it is taken."""
    feed = ScenarioFeed(city, script, {domain: addresses.service(domain).grpc for domain in DOMAINS}, None)

    def look() -> None:
        if until_ms is not None and feed.clock_ms >= until_ms:
            feed.stop()

    asyncio.run(feed.run(look))


def incidents(client: ReflectionClient, city: str) -> list[dict[str, Any]]:
    listed: list[dict[str, Any]] = client.call("ListIncidents", parent=f"cities/{city}").get("incidents", [])
    return listed


def wait_until_listed(client: ReflectionClient, city: str) -> list[dict[str, Any]]:
    """The incidents, as soon as there is one that all parts of the flooding are in."""
    deadline = time.monotonic() + PATIENCE_S
    while time.monotonic() < deadline:
        found = incidents(client, city)
        if any(seen_by(incident) == {"environment", "security", "traffic"} for incident in found):
            return found
        time.sleep(0.2)
    pytest.fail(f"no incident of three domains: {incidents(client, city)}")


def wait_until_over(client: ReflectionClient, name: str) -> None:
    """Until event time has passed the incident, and with it the whole run."""
    deadline = time.monotonic() + PATIENCE_S
    while client.call("GetIncident", name=name)["state"] != "INCIDENT_STATE_RESOLVED":
        assert time.monotonic() < deadline, client.call("GetIncident", name=name)
        time.sleep(0.2)


def begins_ms(incident: dict[str, Any]) -> int:
    return round(datetime.fromisoformat(incident["startTime"]).timestamp() * 1000)


def seen_by(incident: dict[str, Any]) -> set[str]:
    return {signal["domain"] for signal in incident["signals"]}


def query(story: Story, sql: str) -> list[tuple[Any, ...]]:
    with clickhouse_connect.get_client(**client_address(story.addresses.clickhouse)) as client:
        return [tuple(row) for row in client.query(sql).result_rows]


def test_urban_brain_jiujiang_style_works_with_all_four_domains_on_one_cluster(story: Story):
    books = query(
        story,
        "SELECT domain, sum(folded) > 0, sum(abs(difference)) FROM urban.v_ledger GROUP BY domain ORDER BY domain",
    )
    assert books == [(domain, True, 0) for domain in DOMAINS]


def test_urban_brain_jiujiang_style_works_with_the_incident_of_three_domains_found_once(story: Story):
    (incident,) = story.opened
    assert incident["rule"]["name"] == NAME
    assert seen_by(incident) == {"environment", "security", "traffic"}
    told = {(f"{s['domain']}.{s['kind']}.{s['type']}", s["entityId"]) for s in incident["signals"]}
    assert told <= {(expected.signal, expected.entity_id) for expected in story.truth.expected}
    # However often it is sent, it is that one; and what lacks a part is none.
    assert [found["id"] for found in story.final] == [incident["id"]]


def test_urban_brain_jiujiang_style_works_with_an_explanation(story: Story):
    explanation = story.final[0]["explanation"]
    assert explanation in " ".join(story.shown.split())
    for part in story.truth.parts:
        assert any(e.entity_id in story.shown for e in part.expected), part.name
    for words in ("Probable flooding of", "fire emergencies", "bad sight", "km/h"):
        assert words in explanation


def test_urban_brain_jiujiang_style_works_with_an_acknowledgement_by_grpc(story: Story):
    assert (story.acknowledged["state"], story.acknowledged["acknowledgedBy"]) == (
        "INCIDENT_STATE_ACKNOWLEDGED",
        ACTOR,
    )
    assert [found["acknowledgedBy"] for found in story.final] == [ACTOR]
    id_ = story.acknowledged["id"]
    audit = query(
        story,
        "SELECT actor, why FROM urban.v_incident_audit"
        f" WHERE toString(incident_id) = '{id_}' AND what = 'acknowledged'",
    )
    assert audit == [(ACTOR, "on my way")]


def test_urban_brain_jiujiang_style_works_with_a_replay_from_sql(story: Story, urban: Urban):
    (incident,) = story.final
    windows = json.loads(urban.run("sql", "--format", "json", "-", text=incident["query"]).stdout)
    named = {(s["domain"], s["kind"], s["window"], s["entityId"], s["startTime"][:19]) for s in incident["signals"]}
    given = [
        (r["domain"], r["kind"], r["window"], r["entity_id"], r["start_time"][:19].replace(" ", "T")) for r in windows
    ]
    assert sorted(given) == sorted(named)
    # The rule over the signals that ClickHouse holds finds the same incident, of the same signals.
    run = (FROM_MS, FROM_MS + HOURS * HOUR_MS)
    with clickhouse_connect.get_client(**client_address(story.addresses.clickhouse)) as client:
        again = found_in(client, RULE, "", *run)
        assert again == read_incidents(client, NAME, "", *run)
    assert [past.id for past in again] == [incident["id"]]
