"""What people do by commands works as the user that is meant for it, by the commands' own code on the real engine."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable
from contextlib import asynccontextmanager
from datetime import UTC, datetime, time, timedelta
from zoneinfo import ZoneInfo

import pytest

from services.cli.checkup.tables import read_table_facts
from services.cli.replayer import replays_table
from services.community import place_forecast
from services.community.contact_query import Question, ask
from services.community.request_clusters import find_clusters
from services.correlation.history import last_ms, read_incidents, read_signals
from services.correlation.rules import load_rules
from services.environment.impulse_events import find_events
from services.runtime.clickhouse import ClickHouse
from services.traffic import path_times
from tests.integration.grants.engine import ACCESS_DENIED, Engine, refusal, rows

CITY = "peopleville"
NOW = datetime(2026, 6, 10, 8, tzinfo=UTC)
HASH = "f" * 64


@asynccontextmanager
async def connected(engine: Engine) -> AsyncIterator[ClickHouse]:
    made = await ClickHouse.connect(engine.url)
    try:
        yield made
    finally:
        await made.close()


def _entity(domain: str, entity_id: str, numbers: str, labels: str) -> str:
    return (
        f"INSERT INTO {domain}.entities (city, entity_id, numbers, labels, update_time) VALUES"
        f" ('{CITY}', '{entity_id}', {numbers}, {labels}, now64(3))"
    )


async def test_planners_start_their_commands(engine: Engine):
    with engine.served_as("traffic_archiver") as client:
        client.command(_entity("traffic", "path", "{}", "{'segments': 'one'}"))
        client.command(_entity("traffic", "one", "{'length_m': 500}", "{}"))
    with engine.served_as("community_archiver") as client:
        client.command(_entity("community", "square", "{'capacity': 100}", "{}"))
        client.command(_entity("community", "gate", "{}", "{'place': 'square'}"))
    hours = place_forecast.Hours(ZoneInfo("UTC"), time(6), time(20))
    with engine.served_as("planner"):
        async with connected(engine) as clickhouse:
            journeys = await path_times.look(clickhouse, CITY, "path", NOW - timedelta(minutes=5), NOW)
            assert len(journeys) == 5
            assert (await place_forecast.look(clickhouse, CITY, "square", hours, NOW)).capacity == 100
            assert await find_clusters(clickhouse, CITY, NOW - timedelta(days=1), {}) == []
            await _refused_for_want_of_rows(find_events(clickhouse, CITY, "meter", NOW - timedelta(hours=1), NOW))


async def _refused_for_want_of_rows(call: Awaitable[object]) -> None:
    with pytest.raises(ValueError, match="levels of moments"):
        await call


async def test_who_may_ask_for_contacts_asks_and_leaves_the_question_behind(engine: Engine):
    question = Question(CITY, (HASH,), NOW - timedelta(days=1), NOW, "Dr. Who", "case 17")
    with engine.served_as("contacts"):
        async with connected(engine) as clickhouse:
            assert (await ask(clickhouse, question, NOW)).lines() == []
    asked = f"SELECT asked_by, reason FROM community.contact_queries WHERE city = '{CITY}'"
    with engine.served_as("operator") as operator:
        assert rows(operator, asked) == [("Dr. Who", "case 17")]
    with engine.served_as("analyst") as analyst:
        assert refusal(analyst, asked)[0] == ACCESS_DENIED
        views = "SELECT name FROM system.tables WHERE database = 'urban' AND name LIKE '%contact%'"
        assert rows(analyst, views) == []


async def test_who_looks_after_the_city_sees_what_is_wrong_and_repeats_dead_letters(engine: Engine):
    (rule, *_) = load_rules()
    with engine.served_as("operator") as client:
        facts = read_table_facts(client)
        assert facts.has_views
        # Parts of tables that it may not read are counted all the same.
        assert facts.parts
        assert read_signals(client, rule, CITY, 0, 1) == []
        assert read_incidents(client, rule.name, CITY, 0, 1) == []
        assert last_ms(client) >= 0
        async with connected(engine) as clickhouse:
            await clickhouse.insert("traffic.dead_letter_replays", replays_table([]))
        client.command("INSERT INTO traffic.dead_letter_replays (topic, replayed_time) VALUES ('t', now64(3))")
