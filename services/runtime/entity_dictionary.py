"""ClickHouse's dictionary of a domain's entities: `<domain>.entity`, so that nobody needs a JOIN to say who is meant.

    dictGet('traffic.entity', 'display_name', (city, entity_id))

It holds what `<domain>.entities` says now, in memory. A server looks at the table again after some seconds; the engine
inside of a process never does, so that the archiver also tells it when there are new rows. Entities that nobody told of
have empty names and no position.
"""

from __future__ import annotations

from collections.abc import Iterable
from urllib.parse import unquote, urlsplit

NAME = "entity"
TABLE = "entities"
# Seconds between two looks at the table: any in between, so that replicas do not look all at once.
LIFETIME_S = (5, 15)

_ATTRIBUTES = (
    ("type", "String", "''"),
    ("display_name", "String", "''"),
    ("latitude", "Float64", "nan"),
    ("longitude", "Float64", "nan"),
    ("h3_cell", "UInt64", "0"),
    ("numbers", "Map(String, Float64)", ""),
    ("labels", "Map(String, String)", ""),
)
_COMMENT = (
    "Entities as they are now, for dictGet by (city, entity_id): type, display_name, latitude, longitude, h3_cell,"
    " numbers, labels; their meaning stands at the columns of {domain}.entities"
)
# What views of observations and windows tell of their entity: column, type, attribute, comment.
VIEW_COLUMNS = (
    ("entity_type", "String", "type", "What the entity is, in the words of its domain; empty: nobody told of it"),
    ("display_name", "String", "display_name", "Name of the entity for people to read; empty: nobody told of it"),
    ("latitude", "Float64", "latitude", "Degrees north of the entity; NaN: not known"),
    ("longitude", "Float64", "longitude", "Degrees east of the entity; NaN: not known"),
    ("h3_cell", "UInt64", "h3_cell", "H3 cell of resolution 9 of the entity; 0: not known"),
)
_KEY = "(city, entity_id)"


def create_statement(domain: str, url: str, *, reader: str = "") -> str:
    """The statement that makes the dictionary anew; `url` is that of the server, http://[user:password@]host:port.

    The server reads its own table as somebody: as `reader`, who needs no password on the server itself; else as who is
    named in the url, else as its user `default`.
    """
    declared = ", ".join(
        ["city String", "entity_id String"]
        + [f"{name} {type}{f' DEFAULT {default}' if default else ''}" for name, type, default in _ATTRIBUTES]
    )
    names = ", ".join(name for name, _, _ in _ATTRIBUTES)
    rows = f"SELECT city, entity_id, {names} FROM {domain}.{TABLE} FINAL"
    least, most = LIFETIME_S
    return (
        f"CREATE OR REPLACE DICTIONARY {domain}.{NAME} ({declared}) PRIMARY KEY city, entity_id"
        f" SOURCE(CLICKHOUSE({_reader(url, reader)}QUERY {quoted(rows)})) LAYOUT(COMPLEX_KEY_HASHED())"
        f" LIFETIME(MIN {least} MAX {most}) COMMENT {quoted(_COMMENT.format(domain=domain))}"
    )


def reload_statement(domain: str) -> str:
    """The statement after which the dictionary holds what the table holds."""
    return f"SYSTEM RELOAD DICTIONARY {domain}.{NAME}"


def columns_of_view(domain: str, columns: Iterable[str]) -> list[tuple[str, str, str, str]]:
    """What a view of a table with these columns tells of the entity: name, type, comment, expression."""
    own = set(columns)
    if not {"city", "entity_id"} <= own:
        return []
    return [
        (name, type, comment, f"dictGet('{domain}.{NAME}', '{attribute}', {_KEY})")
        for name, type, attribute, comment in VIEW_COLUMNS
        if name not in own
    ]


def _reader(url: str, reader: str) -> str:
    if reader:
        return f"USER {quoted(reader)} "
    parts = urlsplit(url)
    if not parts.username:
        return ""
    return f"USER {quoted(unquote(parts.username))} PASSWORD {quoted(unquote(parts.password or ''))} "


def quoted(text: str) -> str:
    """A text as SQL writes it."""
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"
