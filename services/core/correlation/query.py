"""The ClickHouse query that returns exactly the windows behind some signals."""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import lru_cache

from services.core.signals import Signal

_CONTROL = re.compile(r"[\x00-\x1f]")
# Columns of a window table that are no measures.
_KEYS = "city, window, entity_id, start_time, end_time, kafka_partition, revision"


@lru_cache(maxsize=65_536)
def quote(text: str) -> str:
    """A ClickHouse string literal; raises ValueError on a control character, which no id of ours has."""
    if _CONTROL.search(text):
        raise ValueError(f"{text!r}: a control character has no place in a query")
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"


def windows_query(city: str, signals: Iterable[Signal]) -> str:
    """One SELECT over the domains' window tables, runnable as it is: one row for each window, its final revision.

    Columns: domain, kind, window, entity_id, start_time, end_time, revision, measures (a JSON object; null: no number).
    Domains and kinds must be plain identifiers, as those that a `Rule` names are.
    """
    starts: dict[tuple[str, str], dict[tuple[str, str], set[int]]] = {}
    for s in signals:
        starts.setdefault((s.domain, s.kind), {}).setdefault((s.window, s.entity_id), set()).add(s.start_ms)
    selects = "\nUNION ALL\n".join(_select(city, *table, rows) for table, rows in sorted(starts.items()))
    return f"SELECT * FROM (\n{selects}\n)\nORDER BY domain, kind, start_time, window, entity_id"


def _select(city: str, domain: str, kind: str, rows: dict[tuple[str, str], set[int]]) -> str:
    every = [start for starts in rows.values() for start in starts]
    wanted = "\n    OR ".join(
        f"(window = {quote(window)} AND entity_id = {quote(entity_id)} AND toUnixTimestamp64Milli(start_time) IN "
        f"({', '.join(map(str, sorted(starts)))}))"
        for (window, entity_id), starts in sorted(rows.items())
    )
    return (
        f"SELECT {quote(domain)} AS domain, {quote(kind)} AS kind, toString(window) AS window, entity_id, start_time, "
        f"end_time, revision,\n  formatRowNoNewline('JSONEachRow', * EXCEPT ({_KEYS})) AS measures\n"
        f"FROM {domain}.{kind}_windows FINAL\n"
        f"WHERE city = {quote(city)}\n"
        f"  AND start_time BETWEEN fromUnixTimestamp64Milli({min(every)}, 'UTC')"
        f" AND fromUnixTimestamp64Milli({max(every)}, 'UTC')\n"
        f"  AND ({wanted})"
    )
