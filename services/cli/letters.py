"""Finds dead letters: what ClickHouse knows of them, and their bytes on the topics of the dead letters."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from services.cli.domains import find_domains
from services.cli.log_view import LogView
from services.cli.moments import read_utc
from services.core.kind import Domain, Kind
from services.runtime import catalogue
from services.runtime.replay import Letter

# A letter is produced when its row is stored: moments later, by clocks of two machines.
CLOCK_MARGIN = timedelta(minutes=10)

_AGO = re.compile(r"(\d+)([smhd])")
_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}
_COLUMNS = (
    "domain, kind, topic, kafka_partition, kafka_offset, kafka_time, error_class, error, observations, size_bytes, "
    "stored_time, replayed_time, replay_offset"
)


class Place(NamedTuple):
    """Where a record that was refused lies."""

    topic: str
    partition: int
    offset: int

    def __str__(self) -> str:
        return "/".join(map(str, self))


def read_place(text: str) -> Place:
    """The place that an id names, TOPIC/PARTITION/OFFSET. ValueError: it names none."""
    topic, *numbers = text.rsplit("/", 2)
    if len(numbers) != 2 or not all(number.isdecimal() for number in numbers):
        raise ValueError(f"{text!r} is no id of a dead letter: TOPIC/PARTITION/OFFSET, as `urban dlq list` gives it")
    kind_of_topic(topic)
    return Place(topic, *map(int, numbers))


def kind_of_topic(topic: str) -> tuple[Domain, Kind]:
    """Whose observations a topic holds; ValueError says which there are."""
    known = {catalogue.observations(d.name, kind.name): (d, kind) for d in find_domains() for kind in d.kinds}
    if topic not in known:
        raise ValueError(f"{topic!r} is no topic of observations; there are {', '.join(known)}")
    return known[topic]


def read_moment(text: str, now: datetime) -> datetime:
    """A moment: RFC 3339, or so long ago ("30m", "2h", "7d"). ValueError: neither."""
    if ago := _AGO.fullmatch(text):
        return now - timedelta(**{_UNITS[ago[2]]: int(ago[1])})
    try:
        return read_utc(text)
    except ValueError:
        raise ValueError(f"{text!r} is no moment: 2024-06-03T10:00:00Z, or so long ago: 30m, 2h, 7d") from None


class Choice(NamedTuple):
    """Which letters somebody asks for; empty: any."""

    domain: str = ""
    kind: str = ""
    error_class: str = ""
    since: datetime | None = None  # of the record's time in Kafka
    until: datetime | None = None
    open_only: bool = False  # not sent again yet

    @property
    def is_empty(self) -> bool:
        return self == Choice(open_only=self.open_only)


@dataclass(frozen=True)
class LetterRow:
    """What ClickHouse knows of one letter."""

    domain: str
    kind: str
    place: Place
    time: datetime
    error_class: str
    error: str
    observations: int
    size_bytes: int
    stored_time: datetime
    replayed_time: datetime | None
    replay_offset: int | None

    def document(self) -> dict[str, Any]:
        """For JSON; `id` first."""
        told = {"id": str(self.place), **vars(self), **self.place._asdict()}
        del told["place"]
        return {name: value.isoformat() if isinstance(value, datetime) else value for name, value in told.items()}


def find_rows(client: Any, choice: Choice, limit: int, *, newest_first: bool = True) -> list[LetterRow]:
    """Rows of urban.v_dead_letters, by the time of their records."""
    conditions = {
        "domain = {domain:String}": choice.domain,
        "kind = {kind:String}": choice.kind,
        "error_class = {error_class:String}": choice.error_class,
        "kafka_time >= {since:DateTime64(3)}": choice.since,
        "kafka_time < {until:DateTime64(3)}": choice.until,
        "replayed_time IS NULL": choice.open_only,
    }
    return _rows(client, [c for c, value in conditions.items() if value], choice._asdict(), limit, newest_first)


def find_rows_of(client: Any, places: Collection[Place]) -> list[LetterRow]:
    """What ClickHouse knows of these letters; nothing of one that it has forgotten."""
    wanted = "(topic, kafka_partition, kafka_offset) IN {places:Array(Tuple(String, UInt32, Int64))}"
    return _rows(client, [wanted], {"places": [tuple(p) for p in places]}, len(places), newest_first=False)


def _rows(
    client: Any, conditions: list[str], values: dict[str, Any], limit: int, newest_first: bool
) -> list[LetterRow]:
    where = f" WHERE {' AND '.join(conditions)}" if conditions else ""
    order = "DESC" if newest_first else "ASC"
    found = client.query(
        f"SELECT {_COLUMNS} FROM urban.v_dead_letters{where}"
        f" ORDER BY kafka_time {order}, topic, kafka_partition, kafka_offset {order} LIMIT {limit:d}",
        parameters={name: value for name, value in values.items() if value not in (None, "")},
    )
    return [LetterRow(row[0], row[1], Place(*row[2:5]), *row[5:]) for row in found.result_rows]


async def read_letters(
    log: LogView, domain: str, wanted: Iterable[Place], stored_since: datetime | None
) -> AsyncIterator[Letter]:
    """The letters of these places, each once, in the order of the topic; those that it no longer holds are left out.

    Read from shortly before `stored_since`, and where some are not there, from the beginning.
    """
    topic, missing = catalogue.dead_letters(domain), set(wanted)
    held = await log.held(topic, 0)
    first = held.begin
    if stored_since is not None:
        first = await log.offset_at(topic, 0, int((stored_since - CLOCK_MARGIN).timestamp() * 1000))
    for begin, end in ((first, held.end), (held.begin, first)):
        if not missing or begin >= end:
            continue
        async for record in log.read(topic, 0, begin, end):
            letter = Letter.of(record)
            if letter is not None and (place := Place(letter.topic, letter.partition, letter.offset)) in missing:
                missing.remove(place)
                yield letter
                if not missing:
                    break


def by_domain(
    places: Collection[Place], rows: Iterable[LetterRow]
) -> Iterator[tuple[str, list[Place], datetime | None]]:
    """Domains with their letters, and since when the topic holds them; None where that is not known of all."""
    stored = {row.place: row.stored_time for row in rows}
    domains: dict[str, list[Place]] = {}
    for place in places:
        domains.setdefault(kind_of_topic(place.topic)[0].name, []).append(place)
    for domain, of_domain in sorted(domains.items()):
        known = [stored[place] for place in of_domain if place in stored]
        yield domain, of_domain, min(known) if len(known) == len(of_domain) else None


async def read_all(kafka: str, places: Collection[Place], rows: Sequence[LetterRow]) -> list[Letter]:
    """These letters with their bytes, as far as the topics hold them."""
    async with LogView(kafka) as log:
        return [
            letter
            for domain, wanted, since in by_domain(places, rows)
            async for letter in read_letters(log, domain, wanted, since)
        ]
