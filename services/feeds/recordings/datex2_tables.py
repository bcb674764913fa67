"""Files of DATEX II: tables of what is observed, by its id, and which files tell what was observed of it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar
from xml.etree.ElementTree import Element

from services.feeds.datex2_xml import pieces_of
from services.feeds.recordings.opening import Item


class _HasId(Protocol):
    @property
    def id(self) -> str: ...


T = TypeVar("T", bound=_HasId)


@dataclass(frozen=True)
class Publication(Generic[T]):
    """How a table and what is told beside it look."""

    wanted: frozenset[str]  # elements of both
    records: frozenset[str]  # those of a table
    read: Callable[[Element], T]  # a record
    neither: str  # what a file lacks that has none of them
    untold: str  # what is wrong with tables alone


@dataclass(frozen=True)
class Tables(Generic[T]):
    """What files tell."""

    records: dict[str, T]  # by id; of several with one id the last
    told: list[Item]  # files that have more than tables
    only: list[Item]  # the others


def read_tables(items: Sequence[Item], publication: Publication[T]) -> Tables[T]:
    """Reads all tables. ValueError names a file that is no DATEX II, or a table that is wrong, or none tells more."""
    records: dict[str, T] = {}
    told, only = list[Item](), list[Item]()
    for item in items:
        tells, has_any = False, False
        try:
            with item.open() as file:
                for piece in pieces_of(file, wanted=publication.wanted):
                    has_any = True
                    if piece.tag in publication.records:
                        record = publication.read(piece)
                        records[record.id] = record
                    else:
                        tells = True
        except ValueError as error:
            raise ValueError(f"{item.name}: {error}") from None
        if not has_any:
            raise ValueError(f"{item.name}: has {publication.neither}")
        (told if tells else only).append(item)
    if not told:
        raise ValueError(publication.untold)
    return Tables(records, told, only)
