"""What each user of ClickHouse is refused, by the real engine, with the right that it would need; and what it may."""

from __future__ import annotations

import pytest

from deploy.clickhouse.users import Login
from services.runtime.migrations import ANALYSTS, schemas
from tests.integration.grants.engine import ACCESS_DENIED, USERS, Engine, refusal, rows

SETTING_CONSTRAINT_VIOLATION, READONLY = 452, 164
SERVED = [user.name for user in USERS.values() if user.login not in (Login.ITSELF, Login.NOBODY)]
# user, statement, the right that it lacks
ATTEMPTS = [
    # An api answers; it stores nothing, and reads no observation one by one.
    ("traffic_api", "SELECT count(city) FROM traffic.road_flow", "SELECT ON traffic.road_flow"),
    ("traffic_api", "INSERT INTO traffic.signals (city) VALUES ('a')", "INSERT ON traffic.signals"),
    ("traffic_api", "SELECT city FROM community.signals", "SELECT ON community.signals"),
    ("community_api", "SELECT person_a FROM community.passage", "SELECT ON community.passage"),
    # A processor stores results of its own domain, and reads windows of which it learns what is normal, no others.
    ("traffic_processor", "INSERT INTO traffic.road_flow (city) VALUES ('a')", "INSERT ON traffic.road_flow"),
    ("traffic_processor", "INSERT INTO community.signals (city) VALUES ('a')", "INSERT ON community.signals"),
    ("traffic_processor", "SELECT city FROM traffic.signals", "SELECT ON traffic.signals"),
    ("community_processor", "SELECT city FROM community.passage_windows", "SELECT ON community.passage_windows"),
    ("community_processor", "SELECT count(city) FROM urban.v_signals", "SELECT ON urban.v_signals"),
    # An archiver stores observations, and cannot read them again.
    ("security_archiver", "SELECT city FROM security.credential_event", "SELECT ON security.credential_event"),
    ("security_archiver", "INSERT INTO security.signals (city) VALUES ('a')", "INSERT ON security.signals"),
    ("security_archiver", "TRUNCATE TABLE security.credential_event", "TRUNCATE ON security.credential_event"),
    (
        "security_archiver",
        "ALTER TABLE security.camera_event DELETE WHERE 1",
        "ALTER DELETE ON security.camera_event",
    ),
    # The one who fills a table by way of a view has no other way into it.
    (
        "community_archiver",
        "INSERT INTO community._people_latest (city) VALUES ('a')",
        "INSERT ON community._people_latest",
    ),
    ("correlation_processor", "INSERT INTO correlation.findings (city) VALUES ('a')", "INSERT ON correlation.findings"),
    ("correlation_processor", "SELECT city FROM correlation.incidents", "SELECT ON correlation.incidents"),
    ("correlation_scanner", "INSERT INTO correlation.incidents (city) VALUES ('a')", "INSERT ON correlation.incidents"),
    ("correlation_exchange", "SELECT city FROM correlation.incidents", "SELECT ON correlation.incidents"),
    (
        "correlation_responder",
        "INSERT INTO correlation.incident_audit (city) VALUES ('a')",
        "INSERT ON correlation.incident_audit",
    ),
    ("correlation_api", "SELECT city FROM correlation.incidents", "SELECT ON correlation.incidents"),
    # The migration makes and changes tables, and neither fills nor empties nor drops them.
    ("migrate", "INSERT INTO traffic.signals (city) VALUES ('a')", "INSERT ON traffic.signals"),
    ("migrate", "DROP TABLE traffic.signals", "DROP TABLE ON traffic.signals"),
    ("migrate", "TRUNCATE TABLE traffic.signals", "TRUNCATE ON traffic.signals"),
    ("migrate", "DROP DATABASE traffic", "DROP DATABASE ON traffic.*"),
    ("migrate", "CREATE DATABASE elsewhere", "CREATE DATABASE ON elsewhere.*"),
    # Who looks after the city sees what is wrong, and no observation of anybody.
    ("operator", "SELECT city FROM community.passage", "SELECT ON community.passage"),
    ("operator", "INSERT INTO traffic.dead_letters (kind) VALUES ('a')", "INSERT ON traffic.dead_letters"),
    ("operator", "SELECT name FROM system.users", "SHOW USERS ON *.*"),
    # Analysts read views. What those hide cannot be had from below them, by whatever function.
    ("analyst", "SELECT count FROM community.people_count", "SELECT ON community.people_count"),
    ("analyst", "SELECT city FROM community._people_latest", "SELECT ON community._people_latest"),
    ("analyst", "SELECT reason FROM community.contact_queries", "SELECT ON community.contact_queries"),
    ("analyst", "SELECT people FROM community.people_now", "SELECT ON community.people_now"),
    ("analyst", "SELECT * FROM remote('127.0.0.1', 'community', 'passage')", "READ ON REMOTE"),
    (
        "analyst",
        "SELECT * FROM viewExplain('EXPLAIN', '', (SELECT city FROM community.passage))",
        "CREATE TEMPORARY TABLE ON *.*",
    ),
    ("analyst", "SELECT * FROM url('http://127.0.0.1:9/', 'CSV', 'a Int8')", "READ ON URL"),
    ("analyst", "SELECT * FROM file('x.csv', 'CSV', 'a Int8')", "READ ON FILE"),
    ("analyst", "SELECT dictGet('community.entity', 'labels', ('a', 'b'))", "dictGet ON community.entity"),
    ("analyst", "SELECT * FROM urban.schema_versions", "SELECT ON urban.schema_versions"),
    ("analyst", "CREATE VIEW urban.v_more AS SELECT 1", "CREATE VIEW ON urban.v_more"),
    ("analyst", "INSERT INTO urban.v_signals (city) VALUES ('a')", "INSERT ON urban.v_signals"),
    # Planners read no passage; who asks for contacts reads those, and no camera, and not who else asked.
    ("planner", "SELECT person_a FROM community.passage", "SELECT ON community.passage"),
    ("planner", "INSERT INTO community.entities (city) VALUES ('a')", "INSERT ON community.entities"),
    ("contacts", "SELECT person_a FROM security.credential_event", "SELECT ON security.credential_event"),
    ("contacts", "SELECT asked_by FROM community.contact_queries", "SELECT ON community.contact_queries"),
    ("contacts", "SELECT person_a FROM community._contacts", "SELECT ON community._contacts"),
]


# Nobody makes users or gives rights, not even those that it has.
_OF_ALL = ("CREATE USER other", "GRANT SELECT ON *.* TO default", "DROP USER views")


@pytest.mark.parametrize("name", SERVED)
def test_a_user_is_refused_what_it_must_not(engine: Engine, name: str):
    with engine.served_as(name) as client:
        found = {sql: refusal(client, sql) for user, sql, _ in ATTEMPTS if user == name}
        for sql in _OF_ALL:
            assert refusal(client, sql)[0] == ACCESS_DENIED
    assert found == {sql: (ACCESS_DENIED, lacks) for user, sql, lacks in ATTEMPTS if user == name}


def test_analysts_read_every_view_and_nothing_else(engine: Engine):
    with engine.served_as("migrate") as client:
        there = rows(
            client,
            "SELECT concat(database, '.', name) FROM system.tables"
            f" WHERE database IN ({', '.join(repr(name) for name in schemas())}) ORDER BY ALL",
        )
    tables = [table for (table,) in there]
    views = {table for table in tables if table.startswith(f"{ANALYSTS}.v_")}
    assert len(views) > 40
    with engine.served_as("analyst") as client:
        found = {table: refusal(client, f"SELECT * FROM {table} LIMIT 1") for table in tables}
        seen = {f"{database}.{name}" for database, name in rows(client, _NAMES)}
        columns = rows(
            client, f"SELECT count(), countIf(comment = '') FROM system.columns WHERE database = '{ANALYSTS}'"
        )
    assert {table for table, (code, _) in found.items() if code == 0} == views
    assert {found[table] for table in views} == {(0, "")}
    assert {code for table, (code, _) in found.items() if table not in views} == {ACCESS_DENIED}
    # They do not even hear of the others; of a view they see the columns and what those mean.
    assert seen == views
    assert columns[0][0] > 400
    assert columns[0][1] == 0


_NAMES = (
    "SELECT database, name FROM system.tables"
    " WHERE database NOT IN ('system', 'information_schema', 'INFORMATION_SCHEMA')"
)


@pytest.mark.parametrize(
    "setting",
    ["max_execution_time = 61", "max_execution_time = 0", "max_memory_usage = 0", "max_threads = 64"],
)
def test_analysts_stay_within_their_bounds(engine: Engine, setting: str):
    with engine.served_as("analyst") as client:
        code, text = refusal(client, f"SELECT 1 SETTINGS {setting}")
        assert code == SETTING_CONSTRAINT_VIOLATION, text
        assert refusal(client, "SELECT 1 SETTINGS max_execution_time = 10") == (0, "")
        assert refusal(client, "SET readonly = 0")[0] == READONLY


def test_analysts_get_no_small_number_of_people_whatever_they_ask(engine: Engine):
    """Nine people in one grid and forty in another: the nine are hidden, and so is the sum that would tell them."""
    count = "INSERT INTO community.people_count (city, entity_id, time, period_s, count) VALUES"
    with engine.served_as("community_archiver") as client:
        client.command(
            "INSERT INTO community.entities (city, entity_id, labels, update_time) VALUES"
            " ('a', 'few', {'grid': 'g1'}, now64(3)), ('a', 'many', {'grid': 'g2'}, now64(3))"
        )
        client.command(
            f"{count} ('a', 'few', '2026-06-01 00:00:00', 0, 9), ('a', 'many', '2026-06-01 00:00:00', 0, 40)"
        )
        assert refusal(client, "SELECT count FROM community.people_count")[0] == ACCESS_DENIED
    with engine.served_as("analyst") as client:
        shown = rows(client, "SELECT grid, people, city_people FROM urban.v_people_now WHERE city = 'a' ORDER BY grid")
        told = rows(client, "SELECT count() FROM urban.v_people_now WHERE city = 'a' AND people = 9")
    assert [(grid, str(people)) for grid, people, _ in shown] == [("g1", "nan"), ("g2", "nan")]
    assert str(shown[0][2]) == "49.0"
    assert told == [(0,)]
