"""The file of the neighbour cities that incidents at the border are exchanged with (URBAN_NEIGHBOURS)."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from services.core.exchange.border import Border, cell_named
from services.core.validation import CITY

_SERVERS = re.compile(r"[^\s,:]+:\d{1,5}(,[^\s,:]+:\d{1,5})*")
_KEYS = frozenset({"city", "forward", "neighbour"})
_KEYS_OF_NEIGHBOUR = frozenset({"name", "kafka", "tls", "border"})


class NeighboursError(ValueError):
    """A file of neighbours that cannot be used: names the key, its value and the reason."""

    def __init__(self, key: str, value: object, reason: str) -> None:
        super().__init__(f"{key} = {value!r}: {reason}")


@dataclass(frozen=True)
class Neighbour:
    """A city that we have a border with."""

    name: str
    kafka: str  # its bootstrap servers, host:port[,host:port]
    tls: str  # folder of ca.crt, tls.crt and tls.key for that Kafka; empty: in the clear
    border: tuple[int, ...]  # H3 cells of resolution 7 or coarser


@dataclass(frozen=True)
class Neighbours:
    """Who we are, and whom we have a border with."""

    city: str  # of this city's incidents alone others are told
    forward: bool  # whether others are told what we hear of third cities
    neighbours: tuple[Neighbour, ...]

    @property
    def border(self) -> Border:
        """The zone in which what happens concerns some neighbour."""
        return Border(cell for neighbour in self.neighbours for cell in neighbour.border)


def load_neighbours(path: Path) -> Neighbours:
    """The file. ValueError names file, key, value and reason; OSError: it cannot be read."""
    try:
        return parse_neighbours(tomllib.loads(path.read_text(encoding="utf-8")))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, NeighboursError) as error:
        raise ValueError(f"{path}: {error}") from None


def parse_neighbours(document: Mapping[str, Any]) -> Neighbours:
    """What a parsed file says; NeighboursError names what is wrong."""
    _check_keys("", document, _KEYS)
    city = _city("city", document.get("city"))
    forward = document.get("forward", False)
    if not isinstance(forward, bool):
        raise NeighboursError("forward", forward, "must be true or false")
    told = document.get("neighbour")
    if not isinstance(told, list) or not told:
        raise NeighboursError("neighbour", told, "there must be a table [[neighbour]] at least")
    neighbours = tuple(_neighbour(f"neighbour {number}", table) for number, table in enumerate(told, 1))
    names = [city, *(neighbour.name for neighbour in neighbours)]
    for number, name in enumerate(names):
        if name in names[:number]:
            raise NeighboursError(f"neighbour {number}: name", name, "is another one's, or this city's own")
    return Neighbours(city, forward, neighbours)


def _neighbour(key: str, table: object) -> Neighbour:
    if not isinstance(table, dict):
        raise NeighboursError(key, table, "must be a table")
    _check_keys(f"{key}: ", table, _KEYS_OF_NEIGHBOUR)
    kafka, tls = table.get("kafka"), table.get("tls", "")
    if not isinstance(kafka, str) or not _SERVERS.fullmatch(kafka):
        raise NeighboursError(f"{key}: kafka", kafka, "must be host:port[,host:port]")
    if not isinstance(tls, str):
        raise NeighboursError(f"{key}: tls", tls, "must be a folder")
    border = table.get("border")
    if not isinstance(border, list) or not border:
        raise NeighboursError(f"{key}: border", border, "must be a list of H3 cells")
    try:
        cells = tuple(cell_named(str(text)) for text in border)
        Border(cells)
    except ValueError as error:
        raise NeighboursError(f"{key}: border", border, str(error)) from None
    return Neighbour(_city(f"{key}: name", table.get("name")), kafka, tls, cells)


def _city(key: str, value: object) -> str:
    if not isinstance(value, str) or not CITY.fullmatch(value):
        raise NeighboursError(key, value, "must be 1 to 63 of a-z, 0-9 and '-'")
    return value


def _check_keys(place: str, table: Iterable[str], known: frozenset[str]) -> None:
    for key in table:
        if key not in known:
            raise NeighboursError(f"{place}{key}", "", f"is not known; there are {', '.join(sorted(known))}")
