"""What windows store some view shows to analysts, or it stands here why none does; small numbers of people stay hidden.

Of a table that is open to analysts, `migrate` makes a view with all of its columns, but for those whose comment says
that they are not. So what is looked at here are the others: they are read by views that are written by hand.
"""

from __future__ import annotations

import re
from typing import NamedTuple

import pytest

from services.core.kind import Kind
from services.runtime.migrations import NOT_FOR_ANALYSTS
from tests.contract.domains import CONTRACTS, SERVICES

# Window columns that no view shows, and why.
NOT_SHOWN = {
    "camera_event_windows": {
        "topic_distinct": "a number of topics without their names; what was told is in camera_zones",
        "value_count": "of the figure as the device told it, whose unit is that of its topic",
        "value_max": "the same: figures with a unit have columns of their own",
        "value_last": "the same",
        "confidence_min": "of a single event; the mean stands beside what was told",
    },
    "passage_windows": {
        **dict.fromkeys(
            [f"medium_top{n}{end}" for n in range(1, 5) for end in ("", "_count")],
            "of all passages: less those who came and went, as shown, they are the denied, who may be fewer than ten",
        ),
        "occupancy_last": "a count of a moment; building_occupancy goes on from each of them, passage by passage",
    },
    "people_count_windows": {
        "count_variance": "how even the counts of one sensor are: for who judges the sensor",
        "count_first": "the beginning of a window, which says nothing about it",
        "density_p_m2_mean": "times the area it is how many people were there on average, which may be fewer than ten",
        "confidence_min": "of a single count; the mean stands beside what was counted",
    },
    "service_request_windows": {
        "satisfaction_count": "in request_rates, of the requests themselves, from ten citizens on",
        "satisfaction_mean": "the same",
    },
}
# Numbers of people that are shown without hiding the small ones, and why.
SHOWN_SMALL = {
    ("capacity_use", "capacity"): "what a place may hold, whoever is there",
    ("community_people_now", "people"): "a sum of what people_now shows",
    ("shared_incidents", "own_people"): "0 where they are fewer than ten",
}

_SCHEMAS = sorted(SERVICES.glob("*/schema"))
_STATEMENT = re.compile(r"^(?:CREATE|ALTER) .*?;\n", re.S | re.M)
_VIEW = re.compile(r"CREATE OR REPLACE VIEW (\w+)\n\(\n(.*?)\n\)\nCOMMENT '[^']*'\nAS (.*)", re.S)
_TABLE = re.compile(r"CREATE TABLE IF NOT EXISTS (\w+)\n\(\n(.*?)\n\)\nENGINE.*\nCOMMENT '([^']*)'", re.S)
_COLUMN = re.compile(r"^\s*(?:ADD COLUMN IF NOT EXISTS )?(\w+) .*?COMMENT '([^']*)'", re.M)
# How the comment of a number of people begins.
_PEOPLE = re.compile(r"(?:most |number of )?(?:people|persons|citizens|passages)\b", re.I)


class Schema(NamedTuple):
    """What migrations come to: comments of columns, by table or view, and of tables, and what views ask."""

    columns: dict[str, dict[str, str]]
    tables: dict[str, str]
    queries: dict[str, str]


def read_schema(texts: list[str]) -> Schema:
    found = Schema({}, {}, {})
    for statement in (match.group(0) for text in texts for match in _STATEMENT.finditer(text)):
        if made := _VIEW.match(statement):
            name, columns, query = made.groups()
            found.columns[name], found.queries[name] = dict(_COLUMN.findall(columns)), query
        elif made := _TABLE.match(statement):
            name, columns, comment = made.groups()
            found.columns[name], found.tables[name] = dict(_COLUMN.findall(columns)), comment
        elif changed := re.match(r"ALTER TABLE (\w+)\s+(.*)", statement, re.S):
            name, what = changed.groups()
            if comment := re.match(r"MODIFY COMMENT '([^']*)'", what):
                found.tables[name] = comment.group(1)
            elif column := re.match(r"COMMENT COLUMN (\w+) '([^']*)'", what):
                found.columns[name][column.group(1)] = column.group(2)
            else:
                found.columns[name] |= dict(_COLUMN.findall(what))
    return found


SCHEMAS = {
    folder.parent.name: read_schema([path.read_text() for path in sorted(folder.glob("*.up.sql"))])
    for folder in _SCHEMAS
}
WINDOWS = [(contract.domain, contract.kind) for contract in CONTRACTS]


def closed_columns(schema: Schema, table: str, kind: Kind) -> set[str]:
    """The measures of a kind that its table does not open to analysts."""
    if schema.tables[table].endswith(NOT_FOR_ANALYSTS):
        return set(kind.measure_names())
    return {name for name in kind.measure_names() if schema.columns[table][name].endswith(NOT_FOR_ANALYSTS)}


def read_by_views(schema: Schema, table: str) -> set[str]:
    """Words of the queries over a table, its columns among them."""
    queries = [query for query in schema.queries.values() if re.search(rf"\b{table}\b", query)]
    return {word for query in queries for word in re.findall(r"\w+", query)}


@pytest.mark.parametrize(("domain", "kind"), WINDOWS, ids=lambda told: getattr(told, "name", told))
def test_what_windows_store_is_shown_or_it_is_said_why_not(domain: str, kind: Kind):
    table = f"{kind.name}_windows"
    schema = SCHEMAS[domain]
    missing = closed_columns(schema, table, kind) - read_by_views(schema, table)
    assert missing == set(NOT_SHOWN.get(table, {}))


def test_reasons_are_of_tables_that_are_there():
    assert NOT_SHOWN.keys() <= {f"{kind.name}_windows" for _, kind in WINDOWS}


def small_numbers(schema: Schema) -> set[tuple[str, str]]:
    """Columns for analysts whose comment says that they are numbers of people, and not that small ones are hidden."""
    closed = {name for name, comment in schema.tables.items() if comment.endswith(NOT_FOR_ANALYSTS)}
    return {
        (table, name)
        for table, columns in schema.columns.items()
        if table not in closed and not table.startswith("_")
        for name, comment in columns.items()
        if _PEOPLE.match(comment) and not comment.endswith(NOT_FOR_ANALYSTS) and "hidden" not in comment
    }


def test_no_number_of_people_is_shown_of_which_small_ones_are_not_hidden():
    found = {column for schema in SCHEMAS.values() for column in small_numbers(schema)}
    assert found == SHOWN_SMALL.keys()
