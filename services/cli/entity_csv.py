"""Entities from CSV (RFC 4180): a line of names, then one line for each entity."""

from __future__ import annotations

import csv
import math
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple

from services.cli.entity_files import IDS, LABELS, NAMES, NUMBERS, TYPE, Fault, Found, UnreadableFileError
from services.core.shapes import Point
from services.runtime.rows import clip

LATITUDES = ("latitude", "lat")
LONGITUDES = ("longitude", "lon", "lng")

# As JSON writes numbers: what begins with a needless zero is a code, 0412, and no number.
_NUMBER = re.compile(r"-?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-]?[0-9]+)?")


class _Line(NamedTuple):
    number: int
    cells: Mapping[str, str]


def read_csv(lines: Iterable[str], id_column: str = "") -> Iterator[Found]:
    """The rows of a file. UnreadableFileError where it has no line of names, or no id among them.

    A column is of numbers where each of its cells that is not empty is one, or where it is called numbers.…; others
    are labels.
    """
    names, rows = _read_lines(lines)
    ids = _only(names, (id_column,) if id_column else IDS)
    if not ids:
        wanted = repr(id_column) if id_column else " or ".join(IDS)
        raise UnreadableFileError(f"line 1: there is no column {wanted}; there are {', '.join(names)}")
    latitude, longitude = _only(names, LATITUDES), _only(names, LONGITUDES)
    taken = {ids, latitude, longitude}
    texts = {TYPE, *NAMES}
    numbers = {n for n in names if n not in taken | texts and (n.startswith(NUMBERS) or _is_of_numbers(n, rows))}
    for row in rows:
        place = f"line {row.number}"
        faults: list[Fault] = []
        point = _point(place, row.cells, latitude, longitude, faults)
        facts: dict[str, object] = {}
        for name, cell in row.cells.items():
            if name in taken or not cell:
                continue
            facts[name] = _number(place, name, cell, faults) if name in numbers else cell
        yield Found(place, row.cells[ids], point, facts, tuple(faults))


def _read_lines(lines: Iterable[str]) -> tuple[list[str], list[_Line]]:
    reader = csv.reader(lines, strict=True)
    try:
        names = [name.strip() for name in next(reader, [])]
        if not names:
            raise UnreadableFileError("line 1: is empty, and should be the names of the columns")
        if twice := sorted({name for name in names if name and names.count(name) > 1}):
            raise UnreadableFileError(f"line 1: columns that come twice: {', '.join(map(repr, twice))}")
        rows, number = [], reader.line_num + 1
        for cells in reader:
            if any(cell.strip() for cell in cells):
                if len(cells) != len(names):
                    raise UnreadableFileError(f"line {number}: has {len(cells)} cells, and line 1 has {len(names)}")
                told = [(name, cell.strip()) for name, cell in zip(names, cells, strict=True)]
                if odd := next((cell for name, cell in told if cell and not name), ""):
                    raise UnreadableFileError(f"line {number}: {clip(odd)!r} stands in a column without a name")
                rows.append(_Line(number, {name: cell for name, cell in told if name}))
            number = reader.line_num + 1
    except csv.Error as error:
        raise UnreadableFileError(f"line {reader.line_num}: is no CSV: {error}") from None
    return [name for name in names if name], rows


def _only(names: Sequence[str], wanted: Sequence[str]) -> str:
    """The first of some names that is there, "" where none is."""
    return next((name for name in wanted if name in names), "")


def _is_of_numbers(name: str, rows: Sequence[_Line]) -> bool:
    cells = [row.cells[name] for row in rows if row.cells[name]]
    return not name.startswith(LABELS) and bool(cells) and all(map(_NUMBER.fullmatch, cells))


def _number(place: str, field: str, cell: str, faults: list[Fault]) -> float | None:
    try:
        value = float(cell)
    except ValueError:
        value = math.nan
    if math.isfinite(value):
        return value
    faults.append(Fault(place, field, cell, "must be a finite number"))
    return None


def _point(place: str, cells: Mapping[str, str], latitude: str, longitude: str, faults: list[Fault]) -> Point | None:
    """Its position; None where both cells are empty, or one of them has a fault."""
    told = cells.get(latitude, ""), cells.get(longitude, "")
    if not any(told):
        return None
    if not all(told):
        missing = (latitude or LATITUDES[0]) if not told[0] else (longitude or LONGITUDES[0])
        faults.append(Fault(place, missing, "", "is missing: a position has both latitude and longitude"))
        return None
    north, east = (_number(place, field, cell, faults) for field, cell in zip((latitude, longitude), told, strict=True))
    return None if north is None or east is None else Point(north, east)
