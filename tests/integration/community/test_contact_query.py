"""A question about contacts on real tables: answered as by brute force, written down first, and erased in the end."""

from __future__ import annotations

import asyncio
import json
import os
import random
import sys
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import numpy as np
import pyarrow as pa
import pytest

from deploy.local.servers import Endpoints
from services.community.contact_query import Question, ask
from services.core.pseudonym import numbers_of
from services.runtime.clickhouse import ClickHouse

NOW = datetime(2026, 6, 10, 8, tzinfo=UTC)
ONSET = datetime(2026, 6, 8, tzinfo=UTC)
PEOPLE = [f"{i:013x}{i:013x}".ljust(64, "a") for i in range(12)]
BUILDINGS = ("school", "office")
QUESTION = Question("testville", (PEOPLE[0], PEOPLE[1]), ONSET, NOW, "Dr. Who", "case 17")
MINUTES = 4 * 1440  # from the two days before onset to now, and a day before that


def days() -> tuple[list[tuple[str, int, int, bool]], dict[int, set[tuple[str, int]]]]:
    """Passages (gate, minute, person, inwards), and at which minutes who was in which building."""
    chance, passages = random.Random(3), []
    inside: dict[int, set[tuple[str, int]]] = {person: set() for person in range(len(PEOPLE))}
    for person in range(len(PEOPLE)):
        minute = chance.randrange(600)
        while minute < MINUTES - 1500:
            building, stay = chance.choice(BUILDINGS), chance.randint(2, 40)
            gates = [f"{building}-{chance.randint(1, 3)}" for _ in range(2)]
            passages += [(gates[0], minute, person, True), (gates[1], minute + stay, person, False)]
            inside[person] |= {(building, m) for m in range(minute, minute + stay)}
            minute += stay + chance.randint(60, 500)
    return passages, inside


def by_brute_force(inside: dict[int, set[tuple[str, int]]]) -> dict[str, int]:
    """The first 104 bits of every contact, and its most minutes in 24 hours; minute by minute."""
    found = {}
    for person in range(2, len(PEOPLE)):
        together = {m for _, m in inside[person] & (inside[0] | inside[1]) if m >= 1440}
        most = max((sum(start <= m < start + 1440 for m in together) for start in together), default=0)
        if most >= 15:
            found[PEOPLE[person][:26]] = most
    return found


async def store(clickhouse: ClickHouse, passages: list[tuple[str, int, int, bool]]) -> None:
    a, b = numbers_of(PEOPLE)
    first = QUESTION.since - timedelta(days=1)
    gates, minutes, people, inwards = (list(column) for column in zip(*passages, strict=True))
    rows = len(passages)
    table = {
        "city": pa.array(["testville"] * rows),
        "entity_id": pa.array(gates),
        "time": pa.array([first + timedelta(minutes=m) for m in minutes], pa.timestamp("ms", "UTC")),
        "outcome": pa.array([1] * rows, pa.uint32()),
        "count_in": pa.array([1.0 if i else 0.0 for i in inwards], pa.float32()),
        "count_out": pa.array([0.0 if i else 1.0 for i in inwards], pa.float32()),
        "person_a": pa.array(a[people]),
        "person_b": pa.array(b[people]),
        "kafka_offset": pa.array(range(rows), pa.int64()),
    }
    await clickhouse.insert("community.passage", pa.table(table))
    await clickhouse.command(
        "INSERT INTO community.entities (city, entity_id, labels) SELECT DISTINCT city, entity_id,"
        " map('building', splitByChar('-', entity_id)[1]) FROM community.passage"
    )


async def test_the_answer_equals_brute_force_and_is_stored_until_it_expires(clickhouse: ClickHouse):
    passages, inside = days()
    await store(clickhouse, random.Random(1).sample(passages, len(passages)))
    now = datetime.now(UTC).replace(microsecond=0)
    answer = await ask(clickhouse, QUESTION, now)
    expected = by_brute_force(inside)
    told = {line["person"]: line["most_s"] / 60 for line in map(json.loads, answer.lines())}
    assert told == expected
    assert 0 < len(expected) < len(PEOPLE) - 2
    stored = await clickhouse.query("SELECT query_id, most_s, expires_time FROM community._contacts ORDER BY person_a")
    assert [row[1] / 60 for row in stored] == [expected[person] for person in sorted(expected)]
    assert {row[0] for row in stored} == {answer.query_id}
    assert {row[2].replace(tzinfo=UTC) for row in stored} == {now + timedelta(days=14)}


async def test_a_question_is_written_down_also_where_nothing_is_found_and_names_nobody(clickhouse: ClickHouse):
    answer = await ask(clickhouse, QUESTION, NOW)
    assert answer.lines() == []
    rows = await clickhouse.query("SELECT id, city, asked_by, reason, case_digest FROM community.contact_queries")
    assert [tuple(row) for row in rows] == [
        (answer.query_id, "testville", "Dr. Who", "case 17", QUESTION.case_digest),
    ]
    assert not any(person[:26] in str(rows) for person in PEOPLE)


async def test_the_command_asks_and_prints_keyed_hashes(clickhouse: ClickHouse, servers: Endpoints):
    passages, inside = days()
    await store(clickhouse, passages)
    told = ["--city", "testville", "--onset", ONSET.isoformat(), "--until", NOW.isoformat(), "--by", "Dr. Who"]
    command = [sys.executable, "-m", "services.community.contact_query", *told, "--reason", "case 17"]
    process = await asyncio.create_subprocess_exec(
        *(*command, "--person", PEOPLE[0], "--person", PEOPLE[1]),
        env={**os.environ, "URBAN_CLICKHOUSE": servers.clickhouse},
        stdout=asyncio.subprocess.PIPE,
    )
    out, _ = await process.communicate()
    assert process.returncode == 0
    lines = [json.loads(line) for line in out.decode().splitlines() if line.startswith("{")]
    assert {line["person"]: line["most_s"] / 60 for line in lines} == by_brute_force(inside)
    assert len(await clickhouse.query("SELECT id FROM community.contact_queries")) == 1


async def test_what_has_expired_is_erased_and_the_question_stays(clickhouse: ClickHouse):
    passages, _ = days()
    await store(clickhouse, passages)
    long_ago = datetime.now(UTC) - timedelta(days=15)
    expired, lasting = await ask(clickhouse, QUESTION, long_ago), await ask(clickhouse, QUESTION, datetime.now(UTC))
    assert len(expired.contacts.person)
    await clickhouse.command("OPTIMIZE TABLE community._contacts FINAL")
    left = await clickhouse.query("SELECT DISTINCT query_id FROM community._contacts")
    assert [row[0] for row in left] == [lasting.query_id]
    assert [row[0] for row in await clickhouse.query("SELECT count() FROM community.contact_queries")] == [2]


async def test_who_passed_is_erased_after_21_days_and_the_passage_stays(clickhouse: ClickHouse):
    insert = "INSERT INTO community.passage (city, entity_id, time, outcome, person_a, person_b, stored_time)"
    await clickhouse.command("ALTER TABLE community.passage MODIFY COLUMN stored_time DateTime('UTC') DEFAULT now()")
    for days_ago in (20, 22):
        await clickhouse.command(
            f"{insert} SELECT 'c', 'gate-{days_ago}', now(), 1, 5e15, 6e15, now() - INTERVAL {days_ago} DAY"
        )
    await clickhouse.command("OPTIMIZE TABLE community.passage FINAL")
    rows = await clickhouse.query("SELECT entity_id, person_a, person_b FROM community.passage ORDER BY entity_id")
    assert tuple(rows[0]) == ("gate-20", 5e15, 6e15)
    assert rows[1][0] == "gate-22"
    assert np.isnan(rows[1][1:]).all()


@pytest.mark.parametrize(
    "wrong",
    [
        {"persons": ("110105199003071234",)},
        {"persons": ()},
        {"asked_by": " "},
        {"reason": ""},
        {"onset": datetime(2026, 6, 8)},  # noqa: DTZ001 (that is what is wrong with it)
        {"until": QUESTION.since},
        {"kept_days": 0},
    ],
    ids=str,
)
def test_a_question_without_hash_name_reason_or_times_is_refused(wrong):
    with pytest.raises(ValueError):
        replace(QUESTION, **wrong)
