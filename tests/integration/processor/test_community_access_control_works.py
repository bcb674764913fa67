"""Community access control from the log to its answers: who is inside, and who was together with whom.

Badge, face and QR as their readers tell them, and behind them the lists on paper by their importer; in one schema.
"""

from __future__ import annotations

import json
import random
from collections import Counter
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

import pytest

from services.community.contact_query import Question, ask
from services.community.domain import COMMUNITY
from services.core.pseudonym import columns_of
from services.feeds.paper_passages import COLUMNS, read_lines
from services.runtime.catalogue import observations
from services.runtime.partitioner import partition_of
from services.runtime.roles import ArchiverRole
from tests.integration.processor.city import NAME, PARTITIONS, START_MS, City

LOSSY = "lossyville"
MEDIA = ("BADGE", "FACE", "QR", "PAPER")
BUILDINGS = ("school", "office")
PEOPLE = [f"{i:013x}{i:013x}".ljust(64, "b") for i in range(60)]
DAYS = 3
END_MINUTE = DAYS * 1440
START = datetime.fromtimestamp(START_MS / 1000, UTC)
END = START + timedelta(minutes=END_MINUTE)
# The case is somebody whose onset is two days after the log begins.
CASE, ONSET = 0, START + timedelta(days=2)


class Passage(NamedTuple):
    minute: int
    gate: str
    person: int
    inwards: bool

    @property
    def medium(self) -> str:
        return MEDIA[self.person % len(MEDIA)]

    @property
    def building(self) -> str:
        return self.gate.split("-")[0]

    def row(self) -> dict[str, Any]:
        """As a reader tells it, in the proto JSON form."""
        return {
            "entity_id": self.gate,
            "time": (START + timedelta(minutes=self.minute)).isoformat().replace("+00:00", "Z"),
            "medium": f"PASSAGE_MEDIUM_{self.medium}",
            "outcome": "PASSAGE_OUTCOME_PASSED",
            "count_in" if self.inwards else "count_out": 1,
            **columns_of(PEOPLE[self.person]),
        }

    def line(self) -> str:
        """As the doorman writes it, by the clock of Shanghai."""
        time = (START + timedelta(minutes=self.minute)).astimezone(ZoneInfo("Asia/Shanghai"))
        return f"{time:%Y-%m-%d %H:%M},{self.gate},{'in' if self.inwards else 'out'},,{PEOPLE[self.person]}"


def days(seed: int) -> tuple[list[Passage], list[set[tuple[str, int]]]]:
    """All passages by time, and where each person was at which minute, up to the end; some are still inside then."""
    chance, passages = random.Random(seed), []
    inside: list[set[tuple[str, int]]] = [set() for _ in PEOPLE]
    for person in range(len(PEOPLE)):
        minute = chance.randrange(300)
        while minute < END_MINUTE:
            building, leaves = chance.choice(BUILDINGS), minute + chance.randint(5, 300)
            passages.append(Passage(minute, f"{building}-{chance.randint(1, 3)}", person, inwards=True))
            if leaves < END_MINUTE:
                passages.append(Passage(leaves, f"{building}-{chance.randint(1, 3)}", person, inwards=False))
            inside[person] |= {(building, m) for m in range(minute, min(leaves, END_MINUTE))}
            minute = leaves + chance.randint(60, 500)
    return sorted(passages), inside


def contacts_by_brute_force(inside: list[set[tuple[str, int]]]) -> dict[str, int]:
    """The first 104 bits of every contact, and its most minutes in 24 hours; minute by minute."""
    found = {}
    for person in range(1, len(PEOPLE)):
        together = {minute for _, minute in inside[person] & inside[CASE]}
        most = max((sum(start <= m < start + 1440 for m in together) for start in together), default=0)
        if most >= 15:
            found[PEOPLE[person][:26]] = most
    return found


async def send(city: City, name: str, passages: list[Passage]) -> None:
    """What readers tell, and behind it what was written on paper."""
    paper = [p.line() for p in passages if p.medium == "PAPER"]
    lines = read_lines([",".join(COLUMNS), *paper], name, ZoneInfo("Asia/Shanghai"))
    typed = [line for line in lines if isinstance(line, dict)]
    assert len(typed) == len(paper)
    await send_rows(city, name, [p.row() for p in passages if p.medium != "PAPER"])
    await send_rows(city, name, typed)


async def send_rows(city: City, name: str, rows: list[dict[str, Any]]) -> None:
    values = [
        (partition, json.dumps(mine).encode())
        for partition in range(PARTITIONS)
        if (mine := [row for row in rows if partition_of(row["entity_id"], PARTITIONS) == partition])
    ]
    headers = [("content-type", b"application/json"), ("urban_city", name.encode())]
    await city.send_raw(values, observations("community", "passage"), headers)


async def occupancy(city: City, name: str) -> dict[str, float]:
    rows = await city.query(f"SELECT building, people FROM urban.v_building_occupancy WHERE city = '{name}'")
    return dict(rows)


@pytest.mark.timeout(300)
async def test_community_access_control_works_from_four_media_to_occupancy_and_contacts(city: City):
    await city.prepare(COMMUNITY)
    await city.migrate()
    passages, inside = days(4)
    gates = sorted({p.gate for p in passages})
    for name in (NAME, LOSSY):
        values = ", ".join(f"('{name}', '{gate}', {{'building': '{gate.split('-')[0]}'}})" for gate in gates)
        await city.clickhouse.command(f"INSERT INTO community.entities (city, entity_id, labels) VALUES {values}")
    chance = random.Random(8)
    kept = [p for p in passages if chance.random() >= 0.01]
    stored = "SELECT count() FROM community.passage FINAL"

    async def until_stored(rows: int) -> None:
        async def all_there() -> bool:
            return await city.query(stored) == [(rows,)]

        await city.until(all_there, f"{rows} passages")

    archiver = ArchiverRole(COMMUNITY, city.settings())
    await archiver.start()
    try:
        await send(city, NAME, passages)
        await send(city, LOSSY, kept)
        await until_stored(len(passages) + len(kept))
        media = await city.query(f"SELECT medium, count() FROM community.passage WHERE city = '{NAME}' GROUP BY 1")
        told = Counter(MEDIA.index(p.medium) + 1 for p in passages)
        assert dict(media) == told
        assert len(told) == len(MEDIA)

        # No error on a complete log; one on a log that lost a hundredth.
        truth = {b: float(sum((b, END_MINUTE - 1) in where for where in inside)) for b in BUILDINGS}
        assert min(truth.values()) >= 10
        assert await occupancy(city, NAME) == truth
        assert 10 <= len(passages) - len(kept) <= len(passages) * 0.02
        assert await occupancy(city, LOSSY) != truth

        # All who are inside are counted, and go on coming.
        counted = [
            {"entity_id": b, "time": END.isoformat(), "outcome": "PASSAGE_OUTCOME_COUNTED", "occupancy": truth[b]}
            for b in BUILDINGS
        ]
        later = [Passage(END_MINUTE + 1, f"{b}-1", person, inwards=True).row() for b in BUILDINGS for person in (1, 2)]
        await send_rows(city, LOSSY, counted)
        await send_rows(city, LOSSY, later)
        await until_stored(len(passages) + len(kept) + len(counted) + len(later))
        assert await occupancy(city, LOSSY) == {b: people + 2 for b, people in truth.items()}
    finally:
        await archiver.stop()

    question = Question(NAME, (PEOPLE[CASE],), ONSET, END, "Dr. Who", "case 17")
    answer = await ask(city.clickhouse, question, datetime.now(UTC))
    found = {line["person"]: line["most_s"] / 60 for line in map(json.loads, answer.lines())}
    expected = contacts_by_brute_force(inside)
    assert found == expected
    assert 0 < len(expected) < len(PEOPLE) - 1
