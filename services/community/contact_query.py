"""Asks who was together with a person: `python -m services.community.contact_query --city C --person HASH …`.

A question is written down before any passage is read: who asked, why, and about whom. What was found is kept for those
who asked until it expires, and is printed as JSON lines. Only keyed hashes go in and come out.
"""

from __future__ import annotations

import argparse
import asyncio
import hashlib
import json
import sys
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from services.community.indices.contacts import BEFORE_ONSET_MS, LONGEST_STAY_MS, Contacts, contacts_of, stays_of
from services.core.pseudonym import LEAST, numbers_of
from services.runtime.clickhouse import ClickHouse
from services.runtime.migrations import has_schema
from services.runtime.settings import Settings

# What was found is needed while contacts are told, and no longer. A proposal.
KEPT_DAYS = 14
_MS = timedelta(milliseconds=1)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_TIME = pa.timestamp("ms", "UTC")

# Passages of all buildings that the case passed into or out of. A frame that was sent twice changes no stay.
_PASSAGES = """
WITH passages AS
(
    SELECT if(e.building = '', p.entity_id, e.building) AS building, toUnixTimestamp64Milli(p.time) AS time_ms,
        p.count_in > 0 AS inwards, p.person_a AS a, p.person_b AS b
    FROM community.passage AS p FINAL
    LEFT JOIN
        (SELECT entity_id, labels['building'] AS building FROM community.entities FINAL WHERE city = {city:String}) AS e
        ON p.entity_id = e.entity_id
    WHERE p.city = {city:String} AND p.time >= fromUnixTimestamp64Milli({since:Int64}, 'UTC')
        AND p.time < fromUnixTimestamp64Milli({until:Int64}, 'UTC')
        AND NOT isNaN(p.person_a) AND NOT isNaN(p.person_b) AND (p.count_in > 0 OR p.count_out > 0)
)
SELECT building, time_ms, inwards, a, b FROM passages
WHERE building IN (
    SELECT building FROM passages WHERE has(arrayZip({as:Array(Float64)}, {bs:Array(Float64)}), (a, b))
)
ORDER BY building, time_ms, a, b
"""


@dataclass(frozen=True)
class Question:
    """Who was together with this person from two days before onset to `until`? By whom, and why it is asked."""

    city: str
    persons: tuple[str, ...]  # HMAC-SHA-256 in 64 hexadecimal digits, one for each epoch of the key
    onset: datetime
    until: datetime
    asked_by: str
    reason: str
    kept_days: int = KEPT_DAYS

    def __post_init__(self) -> None:
        if not (self.city and self.persons and self.asked_by.strip() and self.reason.strip()):
            raise ValueError("a question names the city, the person, who asks and why")
        if self.onset.tzinfo is None or self.until.tzinfo is None or self.since >= self.until:
            raise ValueError(
                "onset and end are times with an offset, and the end comes later than two days before onset"
            )
        if self.kept_days <= 0:
            raise ValueError(f"what is found is kept for a day at least, not {self.kept_days}")
        numbers_of(self.persons)

    @property
    def since(self) -> datetime:
        return self.onset - BEFORE_ONSET_MS * _MS

    @property
    def case_digest(self) -> str:
        return hashlib.sha256(" ".join(sorted(self.persons)).encode()).hexdigest()


@dataclass(frozen=True)
class Answer:
    """What was found, as it is stored. Shapes: (contacts,) and (contacts, 2)."""

    query_id: uuid.UUID
    contacts: Contacts
    people: NDArray[np.float64]  # the two numbers of each contact

    def lines(self) -> list[str]:
        """One JSON object for each contact: the first 104 bits of the keyed hash, and how long."""
        found = self.contacts
        rows = zip(
            self.people.tolist(), found.most_ms.tolist(), found.first_ms.tolist(), found.last_ms.tolist(), strict=True
        )
        return [
            json.dumps(
                {
                    "person": "".join(f"{int(number - LEAST):013x}" for number in person),
                    "most_s": most_ms / 1000,
                    "first_time": (_EPOCH + first_ms * _MS).isoformat(),
                    "last_time": (_EPOCH + last_ms * _MS).isoformat(),
                }
            )
            for person, most_ms, first_ms, last_ms in rows
        ]


async def ask(clickhouse: ClickHouse, question: Question, now: datetime) -> Answer:
    """Write the question down, then answer it and store what was found. `now` by the wall clock."""
    query_id, expires = uuid.uuid4(), now + timedelta(days=question.kept_days)
    await clickhouse.insert("community.contact_queries", _audit_row(query_id, question, now, expires))
    found = await clickhouse.query_arrow(_PASSAGES, _parameters(question))
    answer = _answer(query_id, question, found)
    await clickhouse.insert("community._contacts", _contact_rows(answer, question.city, expires))
    return answer


def _answer(query_id: uuid.UUID, question: Question, passages: pa.Table) -> Answer:
    hashes = np.stack([passages["a"].to_numpy(), passages["b"].to_numpy()], axis=1)
    people, person = np.unique(hashes, axis=0, return_inverse=True)
    area = passages["building"].combine_chunks().dictionary_encode().indices.to_numpy().astype(np.int64)
    inwards = np.asarray(passages["inwards"].to_numpy() != 0, np.bool_)
    since_ms, until_ms = _ms(question.since), _ms(question.until)
    stays = stays_of(person.reshape(-1), area, passages["time_ms"].to_numpy(), inwards, until_ms)
    mine = np.stack(numbers_of(question.persons), axis=1)
    case = np.flatnonzero((people[:, None, :] == mine[None, :, :]).all(-1).any(-1))
    contacts = contacts_of(stays, case, since_ms, until_ms)
    return Answer(query_id, contacts, people[contacts.person])


def _parameters(question: Question) -> dict[str, object]:
    a, b = numbers_of(question.persons)
    # A stay that lasts into the time asked about may have begun before it.
    since_ms = _ms(question.since) - LONGEST_STAY_MS
    return {
        "city": question.city,
        "since": since_ms,
        "until": _ms(question.until),
        "as": a.tolist(),
        "bs": b.tolist(),
    }


def _audit_row(query_id: uuid.UUID, question: Question, now: datetime, expires: datetime) -> pa.Table:
    times = {"asked_time": now, "since_time": question.since, "until_time": question.until, "expires_time": expires}
    texts = {
        "id": str(query_id),
        "city": question.city,
        "asked_by": question.asked_by,
        "reason": question.reason,
        "case_digest": question.case_digest,
    }
    return pa.table(
        {name: pa.array([text]) for name, text in texts.items()}
        | {name: pa.array([time], _TIME) for name, time in times.items()}
    )


def _contact_rows(answer: Answer, city: str, expires: datetime) -> pa.Table:
    rows, found = len(answer.people), answer.contacts
    return pa.table(
        {
            "query_id": pa.array([str(answer.query_id)] * rows, pa.string()),
            "city": pa.array([city] * rows, pa.string()),
            "person_a": pa.array(answer.people[:, 0]),
            "person_b": pa.array(answer.people[:, 1]),
            "most_s": pa.array(found.most_ms / 1000.0),
            "first_time": pa.array(found.first_ms, _TIME),
            "last_time": pa.array(found.last_ms, _TIME),
            "expires_time": pa.array([expires] * rows, _TIME),
        }
    )


def _ms(time: datetime) -> int:
    return (time - _EPOCH) // _MS


def read_arguments(arguments: Sequence[str] | None, now: datetime) -> Question:
    parser = argparse.ArgumentParser(prog="python -m services.community.contact_query", description=__doc__)
    parser.add_argument("--city", required=True)
    parser.add_argument("--person", required=True, action="append", help="HMAC-SHA-256 in hexadecimal; one per epoch")
    parser.add_argument("--onset", required=True, type=datetime.fromisoformat, help="RFC 3339")
    parser.add_argument("--until", type=datetime.fromisoformat, default=now, help="RFC 3339 (now)")
    parser.add_argument("--by", required=True, help="who asks")
    parser.add_argument("--reason", required=True, help="why")
    parser.add_argument("--keep-days", type=int, default=KEPT_DAYS, help="until it is erased (%(default)d)")
    told = parser.parse_args(arguments)
    persons = tuple(told.person)
    return Question(told.city, persons, told.onset, told.until, told.by, told.reason, told.keep_days)


async def _main(question: Question, now: datetime) -> None:
    settings = Settings()  # type: ignore[call-arg]  # every field has a default
    await has_schema(settings, "community")
    clickhouse = await ClickHouse.of(settings)
    try:
        answer = await ask(clickhouse, question, now)
    finally:
        await clickhouse.close()
    for line in answer.lines():
        print(line)


if __name__ == "__main__":
    started = datetime.now(UTC)
    try:
        asked = read_arguments(None, started)
    except ValueError as error:
        sys.exit(str(error))
    asyncio.run(_main(asked, started))
