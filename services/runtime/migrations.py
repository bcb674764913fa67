"""Brings ClickHouse's databases up to date: numbered SQL of each service, then the analysts' views over all of them.

`python -m services.runtime.migrations [status|wait]` takes every database, in the order that the views need; `wait`
applies nothing and ends when nothing is left to apply. A service that starts brings its own database up to date by
itself (`ensure_schema`); the statements may be repeated.

Two versions of a service run side by side while one takes over from the other, and one may be taken back. So a
migration only adds, with defaults (expand), as long as a version that does not know it may still write.
"""

from __future__ import annotations

import asyncio
import re
import signal
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import clickhouse_connect
import stamina
import structlog
from clickhouse_connect.driver.client import Client

from services.runtime.clickhouse_address import client_address
from services.runtime.entity_dictionary import columns_of_view, create_statement, quoted
from services.runtime.memory import leave_out_dates
from services.runtime.patience import keep_trying, passes
from services.runtime.settings import Settings

if TYPE_CHECKING:
    from clickhouse_migrations.clickhouse_cluster import ClickhouseCluster

log = structlog.get_logger(__name__)

_UNKNOWN = "unknown"  # applied, but not among the files here

SERVICES = Path(__file__).resolve().parents[1]
ANALYSTS = "urban"
# Tables that every domain has; one view each covers all of them (schema/*.up.sql here beside).
SHARED_TABLES = frozenset({"signals", "entities", "ledger", "archive_ledger", "dead_letters", "dead_letter_replays"})
INTERNAL_TABLES = frozenset({"schema_versions", "baselines"})
# How the comment of a table ends of which no view is made, and that of a column which its view leaves out: they have
# pseudonyms or small numbers of people.
NOT_FOR_ANALYSTS = "(not for analysts)"
# With URBAN_CLICKHOUSE_GRANTS (deploy/clickhouse/users.py): as whom views read what is below them; dictionaries too.
VIEWS_USER, DICTIONARIES_USER = "views", "dictionaries"
WAIT_S = 60.0
# Many pods ask at once, at the very time at which ClickHouse is to make all tables.
LOOK_PAUSE_S = 5.0


class Pending(NamedTuple):
    """A migration that is still to be applied."""

    database: str
    version: int


def schemas() -> dict[str, Path]:
    """Databases and their folders of SQL, in the order to apply them: services by name, then the analysts' views."""
    found = {folder.parent.name: folder for folder in sorted(SERVICES.glob("*/schema")) if any(folder.glob("*.up.sql"))}
    analysts = found.pop("runtime")
    return {**found, ANALYSTS: analysts}


def status(url: str, databases: Iterable[str] | None = None) -> list[Pending]:
    """What is still to be applied. `databases`: None for all."""
    return [p for database, folder in _wanted(databases).items() for p in _pending(_cluster(url), database, folder)]


def _wanted(databases: Iterable[str] | None) -> Mapping[str, Path]:
    found = schemas()
    if databases is None:
        return found
    if unknown := set(databases) - set(found):
        raise ValueError(f"no schema of {', '.join(sorted(unknown))}; there are {', '.join(found)}")
    return {name: folder for name, folder in found.items() if name in set(databases)}


def migrate(
    url: str, databases: Iterable[str] | None = None, *, cluster: str = "", grants: bool = False
) -> list[Pending]:
    """Apply what is pending, then make the views anew; what was applied. `databases`: None for all.

    `cluster`: every server of that name gets the databases, each replicated, and so what is made in them; the tables'
    engines are Replicated, too. Needs a keeper, and the macros {shard} and {replica}.

    `grants`: who may read a view need not be allowed to read what is below it, as it is read as `VIEWS_USER`; and
    dictionaries as `DICTIONARIES_USER`, so that none holds a password. The server has to know both users.
    """
    wanted = _wanted(databases)
    with clickhouse_connect.get_client(**client_address(url), autogenerate_session_id=False) as client:
        if cluster:
            for database in wanted:
                client.command(replicated_database(database, cluster))
        applied = [p for database, folder in wanted.items() for p in _apply(url, database, folder, cluster)]
        _make_dictionaries(client, url, wanted, DICTIONARIES_USER if grants else "")
        if ANALYSTS in wanted:
            _make_views(client, VIEWS_USER if grants else "")
        if grants:
            _let_read(client, wanted)
    return applied


def replicated_database(database: str, cluster: str) -> str:
    """The statement that makes a database on every server of a cluster; what is made in it later is made on all."""
    return (
        f"CREATE DATABASE IF NOT EXISTS `{database}` ON CLUSTER `{cluster}`"
        f" ENGINE = Replicated('/clickhouse/databases/{database}', '{{shard}}', '{{replica}}')"
    )


async def ensure_schema(url: str, database: str, cluster: str = "") -> None:
    """Bring a service's own database up to date, waiting up to a minute for ClickHouse; then raises its error."""
    async for attempt in stamina.retry_context(on=passes, attempts=None, timeout=WAIT_S, wait_max=1.0):
        with attempt:
            await asyncio.to_thread(migrate, url, [database], cluster=cluster)


async def has_schema(settings: Settings, database: str) -> None:
    """Come back when a service's own database is up to date: brought there by us or, where we may not, by `migrate`."""
    if settings.clickhouse_grants:
        await until_migrated(settings.clickhouse, databases=[database])
    else:
        await ensure_schema(settings.clickhouse, database, settings.clickhouse_cluster)


async def until_migrated(url: str, pause_s: float = LOOK_PAUSE_S, *, databases: Sequence[str] | None = None) -> None:
    """Come back when nothing is pending any more; ClickHouse may be away meanwhile. Raises what does not pass."""
    told: Mapping[str, int] = {}
    while pending := await keep_trying("schema", lambda: asyncio.to_thread(status, url, databases), WAIT_S):
        if (left := _counts(pending)) != told:
            log.info("schema_awaited", pending=left)
        told = left
        await asyncio.sleep(pause_s)


def _cluster(url: str, cluster: str = "") -> ClickhouseCluster:
    leave_out_dates()
    from clickhouse_migrations.clickhouse_cluster import ClickhouseCluster

    # Its own book of what was applied; it does without the name of the cluster, as the database is replicated itself.
    engine = "ReplicatedMergeTree" if cluster else None
    return ClickhouseCluster(db_url=url, driver="clickhouse-connect", migrations_table_engine=engine)


def _pending(cluster: ClickhouseCluster, database: str, folder: Path) -> list[Pending]:
    rows = cluster.status(database, folder)
    known = [row.version for row in rows if row.state != _UNKNOWN]
    # What a later version of this software has applied only adds to what this one needs.
    newer = [row.version for row in rows if row.state == _UNKNOWN and row.version > max(known, default=0)]
    if newer:
        log.warning("schema_newer", database=database, versions=newer)
    changed = [row.version for row in rows if row.state not in ("applied", "pending") and row.version not in newer]
    if changed:
        raise ValueError(f"database {database}: migrations {changed} are not what was applied; write a new one instead")
    return [Pending(database, row.version) for row in rows if row.state == "pending"]


def _apply(url: str, database: str, folder: Path, cluster: str) -> Sequence[Pending]:
    server = _cluster(url, cluster)
    pending = _pending(server, database, folder)
    if pending:
        server.migrate(database, folder, variables={"REPLICATED": "Replicated" if cluster else ""})
        log.info("schema_migrated", database=database, versions=[p.version for p in pending])
    return pending


def _make_dictionaries(client: Client, url: str, databases: Iterable[str], reader: str) -> None:
    """One dictionary of entities for each domain, in its own database."""
    for domain in _domains(client):
        if domain in databases:
            client.command(create_statement(domain, url, reader=reader))


def _let_read(client: Client, databases: Iterable[str]) -> None:
    """Views of analysts, and those that fill a table with every insert, work as `VIEWS_USER`, whoever asks or inserts.

    A domain's own views, which are below those of analysts, ask as whoever asks them.
    """
    rows = client.query(
        "SELECT database, name FROM system.tables WHERE database IN {databases:Array(String)}"
        " AND (engine = 'MaterializedView' OR engine = 'View' AND database = {analysts:String}) ORDER BY ALL",
        parameters={"databases": list(databases), "analysts": ANALYSTS},
    ).result_rows
    for database, view in rows:
        client.command(f"ALTER TABLE `{database}`.`{view}` MODIFY {_security(VIEWS_USER)}")


def _security(reader: str) -> str:
    return f"DEFINER = `{reader}` SQL SECURITY DEFINER" if reader else ""


def _domains(client: Client) -> list[str]:
    """The databases that have entities."""
    rows = client.query(
        "SELECT database FROM system.tables WHERE name = 'entities' AND database IN {names:Array(String)} ORDER BY ALL",
        parameters={"names": [name for name in schemas() if name != ANALYSTS]},
    ).result_rows
    return [row[0] for row in rows]


class _Column(NamedTuple):
    name: str
    type: str
    comment: str
    expression: str = ""  # empty: a column of the table


def _make_views(client: Client, reader: str = "") -> None:
    """One view per table of a kind (and of incidents), with final rows only; columns and words are the table's, and
    those of a domain tell of the entity as well."""
    domains = set(_domains(client))
    databases = [name for name in schemas() if name != ANALYSTS]
    tables = client.query(
        "SELECT database, name, comment FROM system.tables"
        " WHERE database IN {databases:Array(String)} AND engine != 'Dictionary' ORDER BY ALL",
        parameters={"databases": databases},
    ).result_rows
    made: dict[str, str] = {}
    for database, table, comment in tables:
        if table in SHARED_TABLES | INTERNAL_TABLES or not re.fullmatch("[a-z][a-z0-9_]*", table):
            continue
        if comment.endswith(NOT_FOR_ANALYSTS):
            client.command(f"DROP VIEW IF EXISTS `{ANALYSTS}`.`v_{table}`")
            continue
        if table in made:
            raise ValueError(f"{made[table]} and {database} both have a table {table}: kinds need names of their own")
        made[table] = database
        columns = _columns(client, database, table)
        if database in domains:
            columns += [_Column(*told) for told in columns_of_view(database, (c.name for c in columns))]
        client.command(_view(database, table, comment, columns, reader))


def _columns(client: Client, database: str, table: str) -> list[_Column]:
    rows = client.query(
        "SELECT name, type, comment FROM system.columns"
        " WHERE database = {database:String} AND table = {table:String} AND default_kind != 'MATERIALIZED'"
        " ORDER BY position",
        parameters={"database": database, "table": table},
    ).result_rows
    return [_Column(*row) for row in rows if not row[2].endswith(NOT_FOR_ANALYSTS)]


def _view(database: str, table: str, comment: str, columns: Sequence[_Column], reader: str) -> str:
    declared = ",\n".join(f"    `{c.name}` {c.type} COMMENT {quoted(c.comment)}" for c in columns)
    names = ", ".join(f"{c.expression} AS `{c.name}`" if c.expression else f"`{c.name}`" for c in columns)
    return (
        f"CREATE OR REPLACE VIEW `{ANALYSTS}`.`v_{table}`\n(\n{declared}\n)\n{_security(reader)}\n"
        f"COMMENT {quoted(f'{comment} (final rows only)')}\nAS SELECT {names} FROM `{database}`.`{table}` FINAL"
    )


def _counts(pending: Iterable[Pending]) -> Mapping[str, int]:
    counts: dict[str, int] = {}
    for p in pending:
        counts[p.database] = counts.get(p.database, 0) + 1
    return counts


def _migrate_as(settings: Settings) -> list[Pending]:
    return migrate(settings.clickhouse, cluster=settings.clickhouse_cluster, grants=settings.clickhouse_grants)


def main(arguments: Sequence[str]) -> int:
    """Exit status: 0 up to date, 1 something is pending (status only)."""
    settings = Settings()  # type: ignore[call-arg]  # every field has a default
    url = settings.clickhouse
    if list(arguments) == ["status"]:
        pending = status(url)
        for database, count in _counts(pending).items():
            print(f"{database}: {count} to apply")
        return 1 if pending else 0
    if list(arguments) == ["wait"]:
        # The first process of a container is not ended by a signal that it does not handle.
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
        asyncio.run(until_migrated(url))
        return 0
    if arguments:
        print(__doc__, file=sys.stderr)
        return 2
    for database, count in _counts(_migrate_as(settings)).items():
        print(f"{database}: {count} applied")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
