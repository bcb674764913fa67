"""Two cities with nothing in common but a border: what both see is one, one may die, and nobody's data cross."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.errors import TopicAuthorizationFailedError

from services.correlation.exchange_wire import Told
from services.runtime.catalogue import EXCHANGE, INCIDENTS, NEIGHBOUR_REPORTS, SIGNALS
from services.runtime.certificates import ClientContext
from tests.integration.correlation.conftest import wait_until
from tests.integration.exchange.towns import EAST, INLAND_M, WEST, Town, event

WEST_FIRST, EAST_FIRST = event(WEST, 0, "harbour"), event(EAST, 0, "bridge", 400)
WEST_INLAND, EAST_INLAND = event(WEST, 0, "cinema", INLAND_M), event(EAST, 6, "museum", INLAND_M)
WEST_LAST_WORD = event(WEST, 3, "ferry")  # on the topic when the city dies
# Farther apart than the rule links.
EAST_ALONE = [signal for hour in (3, 6, 9) for signal in event(EAST, hour, f"quay{hour}", 300)]
WEST_AFTER = [signal for hour in (6, 12) for signal in event(WEST, hour, f"pier{hour}")]
EVERYTHING = [*WEST_FIRST, *EAST_FIRST, *WEST_INLAND, *EAST_INLAND, *WEST_LAST_WORD, *EAST_ALONE, *WEST_AFTER]


Shared = tuple[dict[str, Any], dict[str, Any]]  # by id, in the west and in the east
Ending = tuple[Shared, dict[str, list[Told]], dict[str, list[Told]]]


@dataclass
class Story:
    """What happened, for the tests to look at."""

    first: Shared
    while_dead: dict[str, str]  # incidents of the east
    away_s: float  # the west, as the east's metric says
    told_while_dead: int
    shared: Shared  # in the end
    told: dict[str, list[Told]]
    heard: dict[str, list[Told]]
    crossed: bytes  # keys, values and headers of both topics that a neighbour reads


def both(towns: tuple[Town, Town]) -> Shared:
    return towns[0].shared(), towns[1].shared()


def versions(told: list[Told]) -> list[tuple[str, str, int]]:
    return sorted((*one.report.key, one.report.revision) for one in told)


@pytest.fixture(scope="module")
def towns(tmp_path_factory: pytest.TempPathFactory, download_cache: Path) -> Iterator[tuple[Town, Town]]:
    made = tuple(Town(name, tmp_path_factory.mktemp(name), download_cache) for name in (WEST, EAST))
    west, east = made
    try:
        with ThreadPoolExecutor(2) as at_once:
            list(at_once.map(Town.start_servers, made))
            # The one that dies is heard in the clear: its listener by TLS is at another port when it is back.
            list(at_once.map(Town.start_service, made, reversed(made), (True, False)))
        yield west, east
        for town in (west, east):
            child = town.service.child
            if child is not None and child.poll() is None:
                assert town.service.stop() == 0, child.tail(40)
    finally:
        for town in made:
            if hasattr(town, "service") and town.service.child is not None:
                town.service.child.kill()
            town.stop()


@pytest.fixture(scope="module")
def story(towns: tuple[Town, Town]) -> Story:
    west, east = towns
    west.see(*WEST_FIRST, *WEST_INLAND, until_hour=2)
    east.see(*EAST_FIRST, until_hour=2)
    wait_until(lambda: all(both(towns)), "what both have seen")
    first = both(towns)

    west.see(*WEST_LAST_WORD, until_hour=4)
    west.kill()
    before = len(east.told())
    east.see(*EAST_ALONE, *EAST_INLAND, until_hour=11)
    wait_until(lambda: len(east.incidents()) == 5, "incidents of the city that lives")
    while_dead = east.incidents()
    wait_until(lambda: len(east.told()) >= before + 3, "reports of the city that lives")
    told_while_dead = len(east.told()) - before
    away = 'urban_exchange_away_seconds{neighbour="westbank"}'
    wait_until(lambda: east.metric("urban_exchange_away").get(away, 0) > 0, "that somebody sees it")
    away_s = east.metric("urban_exchange_away")[away]

    west.come_back()
    west.see(*WEST_AFTER, until_hour=14)
    east.see(until_hour=14)

    def caught_up() -> Ending | None:
        """Of one moment: what is told goes on until time has passed all of it in both cities."""
        heard, told = {t.name: t.heard() for t in towns}, {t.name: t.told() for t in towns}
        shared = both(towns)
        all_of_it = all(versions(heard[one]) == versions(told[other]) for one, other in ((WEST, EAST), (EAST, WEST)))
        return (shared, told, heard) if all_of_it and len(shared[0]) >= 3 and shared[0] == shared[1] else None

    ending = wait_until(caught_up, "both to know what the other has told")
    assert ending is not None
    shared, told, heard = ending
    crossed = b"".join(
        b"".join([key, value, *(name.encode() + text for name, text in headers.items())])
        for town in towns
        for _, key, value, headers in town.records(EXCHANGE)
    )
    return Story(first, while_dead, away_s, told_while_dead, shared, told, heard, crossed)


def test_a_border_event_seen_by_both_is_one_shared_incident_with_the_same_id_in_both(story: Story):
    west, east = story.first
    assert list(west) == list(east)
    (shared,) = west.values()
    assert shared["cities"] == [EAST, WEST]
    assert [report["city"] for report in shared["reports"]] == [EAST, WEST]
    assert shared["state"] == "SHARED_INCIDENT_STATE_OPEN"


def test_a_city_that_dies_does_not_disturb_the_other(story: Story):
    assert len(story.while_dead) == 5, "the event before, three at the border, and one inland"
    assert story.told_while_dead >= 3
    assert story.away_s > 0


def test_when_it_is_back_both_have_all_that_the_other_told_each_once(story: Story):
    for town, other in ((WEST, EAST), (EAST, WEST)):
        told = versions(story.told[town])
        assert versions(story.heard[other]) == told
        assert len(told) == len(set(told))
    assert {told.report.city for told in story.told[WEST]} == {WEST}


def test_what_it_saw_before_it_died_and_what_the_other_saw_meanwhile_is_shared_in_the_end(story: Story):
    west, east = story.shared
    assert west == east
    by_start = sorted((shared["startTime"], len(shared["reports"])) for shared in west.values())
    assert [start[11:16] for start, _ in by_start] == ["12:00", "15:00", "18:00"]
    assert story.first[0].keys() < west.keys()


def test_nothing_of_anybody_crosses(story: Story):
    assert len(story.crossed) > 1_000
    assert WEST.encode() in story.crossed, "it is looked at what crosses"
    secrets = {
        text for signal in EVERYTHING for text in (signal.entity_id, signal.id, *dict(signal.attributes).values())
    }
    words = {"harbour", "bridge", "cinema", "museum", "ferry", "quay", "pier", "Unusual", "people_count", "robust_z"}
    for secret in secrets | words | {"SELECT", "crowding", "congestion", "title"}:
        assert secret.encode() not in story.crossed, secret
    for signal in EVERYTHING:
        for degrees in (signal.latitude, signal.longitude):
            assert struct.pack("<d", degrees) not in story.crossed
            assert struct.pack("<f", degrees) not in story.crossed


def test_what_is_inland_is_nobody_elses_business(story: Story):
    incidents = {told.report.incident_id for told in story.told[EAST]}
    assert len(incidents) == 4
    assert len(story.while_dead.keys() - incidents) == 1


async def test_a_neighbour_reads_what_neighbours_are_told_and_nothing_else(towns: tuple[Town, Town]):
    """The west hears the east by TLS; with the same certificate nobody hears of a signal, or tells something."""
    _, east = towns
    context = ClientContext.of(east.let_in(WEST))
    where = {"bootstrap_servers": east.by_tls(), "security_protocol": "SSL", "ssl_context": context}
    async with AIOKafkaConsumer(EXCHANGE, **where, auto_offset_reset="earliest") as allowed:
        assert await allowed.getone()
    for forbidden in (SIGNALS, INCIDENTS, NEIGHBOUR_REPORTS):
        consumer = AIOKafkaConsumer(forbidden, **where)
        with pytest.raises(TopicAuthorizationFailedError):
            await consumer.start()
        await consumer.stop()
    async with AIOKafkaProducer(**where) as producer:
        with pytest.raises(TopicAuthorizationFailedError):
            await producer.send_and_wait(EXCHANGE, b"x", partition=0)
