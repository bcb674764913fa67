"""Tables and views: all of them say what they are, and a new domain takes part in the shared views by itself."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from services.runtime.migrations import migrate, replicated_database, schemas, status, until_migrated
from tests.integration.processor.city import City

OURS = "database IN ({names}) AND {column} NOT IN ('schema_versions')"


async def test_every_table_view_and_column_has_a_comment_and_nothing_is_left_to_apply(city: City):
    await asyncio.to_thread(migrate, city.clickhouse_url)
    assert await asyncio.to_thread(status, city.clickhouse_url) == []
    assert await asyncio.to_thread(migrate, city.clickhouse_url) == []
    names = ", ".join(f"'{name}'" for name in schemas())
    mute_tables = await city.query(
        f"SELECT database, name FROM system.tables WHERE {OURS.format(names=names, column='name')} AND comment = ''"
    )
    mute_columns = await city.query(
        f"SELECT database, table, name FROM system.columns"
        f" WHERE {OURS.format(names=names, column='table')} AND comment = ''"
        # Of a dictionary no attribute can have one; what the dictionary says of itself names them.
        " AND (database, table) NOT IN (SELECT database, name FROM system.tables WHERE engine = 'Dictionary')"
    )
    assert (mute_tables, mute_columns) == ([], [])


async def test_the_database_of_a_cluster_is_made_by_a_statement_that_the_engine_reads(city: City):
    """More than its form cannot be looked at here: replicas need a keeper."""
    told = await city.clickhouse.query(
        "SELECT formatQuerySingleLine({sql:String})", {"sql": replicated_database("traffic", "city")}
    )
    assert told[0][0] == (
        "CREATE DATABASE IF NOT EXISTS traffic ON CLUSTER city"
        " ENGINE = Replicated('/clickhouse/databases/traffic', '{shard}', '{replica}')"
    )


async def test_views_give_final_rows_and_a_fifth_domain_needs_no_new_one(city: City):
    await asyncio.to_thread(migrate, city.clickhouse_url)
    views = {row[0] for row in await city.query("SELECT name FROM system.tables WHERE database = 'urban'")}
    assert {"v_signals", "v_entities", "v_ledger", "v_dead_letters", "v_road_flow", "v_road_flow_windows"} <= views
    # Small numbers of people and pseudonyms are not shown: community has views of its own, which suppress them.
    assert not {view for view in views if view.startswith(("v_people_count", "v_passage"))}
    # Nor is what single citizens say of how they were served; the rest of a request is.
    asked = await city.query(
        "SELECT table, countIf(name LIKE 'satisfaction%'), count() > 10 FROM system.columns"
        " WHERE database = 'urban' AND table LIKE 'v_service_request%' GROUP BY table ORDER BY table"
    )
    assert asked == [("v_service_request", 0, True), ("v_service_request_windows", 0, True)]
    # So has security; its windows hold nothing of a person.
    assert not views & {"v_credential_event", "v_emergency_call"}
    assert {"v_credential_findings", "v_credential_event_windows", "v_response_times"} <= views
    for view in views - {"schema_versions"}:
        await city.query(f"SELECT * FROM urban.{view} LIMIT 1")
    command = city.clickhouse.command
    await command("CREATE DATABASE IF NOT EXISTS water")
    try:
        await command("CREATE TABLE water.ledger AS traffic.ledger")
        for read in (10, 25):
            await command(
                f"INSERT INTO water.ledger VALUES ('flow', 'urban.water.flow.v1', 0, {read}, {read}, 9, 1, 0, 0)"
            )
        found = await city.query("SELECT domain, read, difference FROM urban.v_ledger")
    finally:
        await command("DROP DATABASE water SYNC")
    assert found == [("water", 25, 15)]


APPLIED = "INSERT INTO traffic.schema_versions (version, md5, script, created_at) SELECT {}, 'm', 's', now() + 60"


async def test_a_version_goes_on_after_a_later_one_has_added_to_the_schema(city: City):
    await asyncio.to_thread(migrate, city.clickhouse_url, ["traffic"])
    await city.clickhouse.command(APPLIED.format(1000))
    assert await asyncio.to_thread(migrate, city.clickhouse_url, ["traffic"]) == []


async def test_a_migration_that_was_taken_out_or_changed_is_refused(city: City):
    await asyncio.to_thread(migrate, city.clickhouse_url, ["traffic"])
    await city.clickhouse.command(APPLIED.format(0))
    with pytest.raises(ValueError, match=r"database traffic: migrations \[0\] are not what was applied"):
        await asyncio.to_thread(migrate, city.clickhouse_url, ["traffic"])
    await city.clickhouse.command(APPLIED.format(1))
    with pytest.raises(ValueError, match=r"database traffic: migrations \[0, 1\] are not what was applied"):
        await asyncio.to_thread(migrate, city.clickhouse_url, ["traffic"])


async def test_a_number_that_was_left_free_is_applied_when_it_comes(city: City, tmp_path: Path, monkeypatch):
    def write(number: int) -> None:
        sql = f"CREATE TABLE IF NOT EXISTS t{number} (a UInt8 COMMENT 'a') ENGINE = Memory COMMENT 't';"
        (tmp_path / f"{number:03d}_t.up.sql").write_text(sql)

    monkeypatch.setattr("services.runtime.migrations.schemas", lambda: {"security": tmp_path})
    write(1)
    write(3)
    applied = [p.version for p in await asyncio.to_thread(migrate, city.clickhouse_url, ["security"])]
    write(2)
    applied += [p.version for p in await asyncio.to_thread(migrate, city.clickhouse_url, ["security"])]
    assert applied == [1, 3, 2]
    assert await city.query("SELECT count() FROM system.tables WHERE database = 'security' AND name LIKE 't_'") == [
        (3,)
    ]


async def test_who_waits_for_the_schema_comes_back_when_it_is_there(city: City, tmp_path: Path, monkeypatch):
    monkeypatch.setattr("services.runtime.migrations.schemas", lambda: {"security": tmp_path})
    sql = "CREATE TABLE IF NOT EXISTS w1 (a UInt8 COMMENT 'a') ENGINE = Memory COMMENT 'w';"
    (tmp_path / "001_w.up.sql").write_text(sql)
    waiting = asyncio.create_task(until_migrated(city.clickhouse_url, pause_s=0.05))
    done, _ = await asyncio.wait([waiting], timeout=1.0)
    assert not done
    await asyncio.to_thread(migrate, city.clickhouse_url, ["security"])
    async with asyncio.timeout(30):
        await waiting


async def test_who_waits_for_a_schema_that_will_never_fit_is_told(city: City, tmp_path: Path, monkeypatch):
    monkeypatch.setattr("services.runtime.migrations.schemas", lambda: {"security": tmp_path})
    (tmp_path / "001_w.up.sql").write_text("SELECT 1;")
    await asyncio.to_thread(migrate, city.clickhouse_url, ["security"])
    (tmp_path / "001_w.up.sql").write_text("SELECT 2;")
    with pytest.raises(ValueError, match=r"migrations \[1\] are not what was applied"):
        await until_migrated(city.clickhouse_url)
