"""The books of every partition, as ClickHouse has them: what is accounted for, and what the archive holds."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

_BOOKS = (
    "SELECT domain, topic, kafka_partition, next_offset, difference, compared_offset, archive_difference "
    "FROM urban.v_ledger ORDER BY topic, kafka_partition"
)


@dataclass(frozen=True)
class Book:
    """What the ledger says of one partition."""

    topic: str
    partition: int
    next_offset: int
    difference: int
    compared_offset: int | None
    archive_difference: int | None  # None: not yet known

    @property
    def unaccounted(self) -> str:
        """What the ledger lacks, in words; empty: nothing."""
        if not self.difference:
            return ""
        return f"{self._place} {self.next_offset}: {self.difference:,} observations are not accounted for"

    @property
    def misarchived(self) -> str:
        """How the archive differs, in words; empty: it does not, or that is not yet known."""
        if not self.archive_difference:
            return ""
        what = "lacks" if self.archive_difference > 0 else "has too many by"
        count = abs(self.archive_difference)
        return f"{self._place} {self.compared_offset}: the archive {what} {count:,} observations"

    @property
    def troubles(self) -> list[str]:
        return [text for text in (self.unaccounted, self.misarchived) if text]

    @property
    def _place(self) -> str:
        return f"{self.topic}[{self.partition}] up to offset"


def read_books(client: Any) -> Mapping[str, list[Book]]:
    """The books by domain, out of urban.v_ledger. ClickHouseError: the server does not answer, or has no such view."""
    books: dict[str, list[Book]] = {}
    for domain, *told in client.query(_BOOKS).result_rows:
        books.setdefault(domain, []).append(Book(*told))
    return books
