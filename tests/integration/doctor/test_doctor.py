"""`urban doctor` on real servers: a healthy city is well; each planted fault is found, alone, and gone afterwards."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import replace
from email.utils import formatdate
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import clickhouse_connect
import pytest
from aiokafka import AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient, NewPartitions
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType

from services.cli.addresses import Addresses
from services.cli.checkup.event_time import judge_event_time, read_progress
from services.cli.checkup.finding import Severity
from services.cli.domains import find_domains
from services.cli.undelivered import read_put_aside, write
from services.runtime.catalogue import UNDELIVERED, domain_topics, late, observations
from services.runtime.migrations import migrate
from services.runtime.topics import ensure_topics
from tests.integration.doctor.conftest import REPOSITORY, Ward
from urban.correlation.v1.notification_pb2 import Notification

# The first of them waits for the whole city.
pytestmark = [pytest.mark.slow, pytest.mark.timeout(400)]

PARKING = observations("traffic", "parking")
LATE = late("community")
LATE_TOPIC = next(t for d in find_domains() if d.name == "community" for t in domain_topics(d) if t.name == LATE)


def checks_of(found: Any) -> list[str]:
    return [finding.check for finding in found.findings]


async def send(
    ward: Ward, topic: str, value: bytes, headers: dict[str, bytes] | None = None, partition: int = 0
) -> None:
    async with AIOKafkaProducer(bootstrap_servers=ward.kafka, acks="all") as producer:
        await producer.send_and_wait(topic, value, key=b"k", partition=0, headers=list((headers or {}).items()))


@asynccontextmanager
async def admin_of(ward: Ward) -> AsyncIterator[AIOKafkaAdminClient]:
    admin = AIOKafkaAdminClient(bootstrap_servers=ward.kafka)
    await admin.start()
    try:
        yield admin
    finally:
        await admin.close()


def sql(ward: Ward, statement: str) -> None:
    with clickhouse_connect.get_client(dsn=ward.clickhouse) as client:
        client.command(statement)


def urban(addresses: Addresses, *arguments: str) -> subprocess.CompletedProcess[str]:
    env = {
        **{name: value for name, value in os.environ.items() if not name.startswith("URBAN_")},
        "URBAN_ROOT": "/nowhere",
        "URBAN_KAFKA": addresses.kafka,
        "URBAN_CLICKHOUSE": addresses.clickhouse,
        "URBAN_SERVICES": json.dumps({name: told.grpc for name, told in addresses.services.items()}),
    }
    argv = [sys.executable, "-m", "services.cli.main", *arguments]
    return subprocess.run(argv, cwd=REPOSITORY, env=env, capture_output=True, text=True, timeout=120)


async def test_a_healthy_city_is_well(ward: Ward):
    await ward.until()
    told = urban(ward.addresses, "doctor")
    assert (told.returncode, told.stderr) == (0, ""), told.stdout
    assert told.stdout.endswith("\nAll is well.\n")
    assert "urban.traffic.processor" in told.stdout
    document = json.loads(urban(ward.addresses, "doctor", "--json").stdout)
    assert (document["status"], document["findings"]) == (0, [])
    assert {group["members"] for group in document["groups"].values()} == {1}


async def test_servers_that_do_not_answer(ward: Ward):
    addresses = replace(ward.addresses, kafka="127.0.0.1:1")
    found = await ward.look(addresses)
    assert (checks_of(found), found.status) == (["kafka-unreachable"], 2)
    secret = replace(ward.addresses, clickhouse="http://urban:secret@127.0.0.1:1")
    told = urban(secret, "doctor", "--json")
    (finding,) = json.loads(told.stdout)["findings"]
    assert (told.returncode, finding["check"]) == (2, "clickhouse-unreachable")
    assert "secret" not in told.stdout


async def test_a_service_that_is_away_and_a_clock_that_is_wrong(ward: Ward):
    known = ward.addresses
    away = replace(known.services["traffic"], grpc="127.0.0.1:1")
    assert checks_of(await ward.look(replace(known, services={**known.services, "traffic": away}))) == ["service-away"]
    with wrong_clock(-90) as url:
        behind = replace(known.services["traffic"], metrics=url)
        found = await ward.look(replace(known, services={**known.services, "traffic": behind}))
    assert (checks_of(found), found.status) == (["clock-skew"], 1)


@contextmanager
def wrong_clock(ahead_s: float) -> Iterator[str]:
    """A server of metrics whose clock is wrong."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.end_headers()

        def date_time_string(self, timestamp: float | None = None) -> str:
            return formatdate(time.time() + ahead_s, usegmt=True)

        def log_message(self, format: str, *args: Any) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/metrics"
        server.shutdown()


async def test_a_role_that_nobody_does(ward: Ward):
    ward.end("security", "archiver")
    found = await ward.until("group-empty")
    assert found.findings[0].next == "python -m services.security archiver"
    ward.start("security", "archiver")
    ward.address("security", "archiver")
    await ward.until()


async def test_topics_that_are_not_what_the_catalogue_says(ward: Ward):
    async with admin_of(ward) as admin:
        await admin.delete_topics([LATE])
        assert LATE in (await ward.until("topic-missing")).findings[0].what
        await ensure_topics(ward.kafka, [LATE_TOPIC])
        short = {**LATE_TOPIC.configs, "retention.ms": "60000"}
        await admin.alter_configs([ConfigResource(ConfigResourceType.TOPIC, LATE, configs=short)])
        found = await ward.until("topic-settings")
        assert found.findings[0].what == f"{LATE}: retention.ms = 60000 instead of {LATE_TOPIC.retention_ms}"
        await admin.alter_configs([ConfigResource(ConfigResourceType.TOPIC, LATE, configs=LATE_TOPIC.configs)])
        await admin.create_partitions({LATE: NewPartitions(2)})
        await ward.until("topic-partitions")
        await admin.delete_topics([LATE])
    await until_gone(ward, LATE)
    await ensure_topics(ward.kafka, [LATE_TOPIC])
    await ward.until()


async def until_gone(ward: Ward, topic: str) -> None:
    async with admin_of(ward) as admin, asyncio.timeout(60):
        while topic in await admin.list_topics():  # noqa: ASYNC110 (what is waited for happens in a broker)
            await asyncio.sleep(0.1)


async def test_tables_that_are_not_there(ward: Ward):
    sql(ward, "DROP DATABASE urban SYNC")
    await ward.until("migrations-pending")
    migrate(ward.clickhouse)
    await ward.until()


async def test_books_that_do_not_balance(ward: Ward):
    # A partition that nobody has: the processors' own rows do not cover this one up.
    row = f"('parking', '{PARKING}', 9, 100, 50, 43, 0, 0, 0)"
    sql(ward, f"INSERT INTO traffic.ledger VALUES {row}")
    found = await ward.until("ledger-difference")
    assert found.findings[0].what == f"{PARKING}[9] up to offset 100: 7 observations are not accounted for"
    sql(ward, "DELETE FROM traffic.ledger WHERE kafka_partition = 9")
    sql(ward, f"INSERT INTO traffic.ledger VALUES {row.replace('50, 43', '43, 43')}")
    sql(ward, f"INSERT INTO traffic.archive_ledger VALUES ('parking', '{PARKING}', 9, 100, 43, 40, true, 100, 3)")
    found = await ward.until("archive-difference")
    assert "the archive lacks 3 observations" in found.findings[0].what
    sql(ward, "DELETE FROM traffic.ledger WHERE kafka_partition = 9")
    sql(ward, "DELETE FROM traffic.archive_ledger WHERE kafka_partition = 9")
    await ward.until()


async def test_letters_that_wait_for_somebody(ward: Ward):
    await send(ward, PARKING, b"\xff\x01")
    found = await ward.until("dead-letters")
    assert found.findings[0].next == (
        "urban dlq list --open --domain traffic --kind parking --class malformed --since 24h"
    )
    sql(ward, "TRUNCATE TABLE traffic.dead_letters")
    await ward.until()
    row = json.dumps({"entity_id": "stranger", "time": f"{moment()}Z", "period_s": 60, "vehicles": 3})
    await send(ward, PARKING, row.encode(), {"content-type": b"application/json", "urban_city": b"testville"})
    found = await ward.until("quarantine")
    assert found.findings[0].severity is Severity.WARNING
    sql(ward, "TRUNCATE TABLE traffic.dead_letters")
    await ward.until()


def moment() -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime())


async def test_somebody_who_was_not_told(ward: Ward):
    value = Notification(id="n-1", receiver="duty_officer", incident_id="i-1").SerializeToString()
    await send(ward, UNDELIVERED, value)
    found = await ward.until("undelivered")
    assert found.findings[0].next == "urban undelivered list --receiver duty_officer"
    (put_aside,) = await read_put_aside(ward.kafka)
    assert (put_aside.id, put_aside.receiver, put_aside.sent_again) == ("n-1", "duty_officer", False)
    await write(ward.kafka, [put_aside.record])
    await ward.until()
    assert [p.sent_again for p in await read_put_aside(ward.kafka)] == [True]
    # It was not taken this time either.
    await send(ward, UNDELIVERED, value)
    await ward.until("undelivered")
    await write(ward.kafka, [put_aside.record])
    await ward.until()


async def test_event_time_as_the_processors_report_it(ward: Ward):
    await ward.until()
    now_ms = time.time_ns() // 1_000_000
    progress = await read_progress(ward.kafka, now_ms)
    domains = find_domains()
    partitions = {(d.name, kind.name, p) for d in domains for kind in d.kinds for p in range(4)}
    assert set(progress) == partitions
    lags, names = dict.fromkeys(partitions, 0), [d.name for d in domains]
    # The same reports, looked at an hour later and an hour too early.
    late_ms, early_ms = now_ms + 3_600_000 + 600_000, now_ms - 3_600_000
    found = list(judge_event_time(domains, progress, lags, names, "wall", late_ms))
    assert {finding.check for finding in found} == {"event-time-still"}
    assert len(found) == sum(len(d.kinds) for d in domains)
    found = list(judge_event_time(domains, progress, lags, names, "wall", early_ms))
    assert {finding.check for finding in found} == {"event-time-ahead"}


async def test_settings_of_this_environment(ward: Ward, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("URBAN_DEAD_LETTER_FLOOD", "pass")
    await ward.until("settings-contradict")
    monkeypatch.setenv("URBAN_DEAD_LETTER_FLOOD", "maybe")
    await ward.until("settings-refused")
