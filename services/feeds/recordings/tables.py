"""Tables in text, piece by piece: lines of CSV or of JSON objects, as columns of texts with their lines' numbers."""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import IO, Any

import numpy as np
import orjson
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv

from services.core.frame import Int64Array
from services.feeds.recordings.block import Refusal, Refuse
from services.feeds.recordings.mapping import TableMapping
from services.feeds.recordings.opening import Item, text_lines
from services.runtime.rows import clip

_CSV_BYTES = 1 << 20
_JSON_ROWS = 8_192


@dataclass(frozen=True)
class Piece:
    """Some rows of a table. Texts have no blanks around them and are never null. Shapes: (n,)."""

    line: Int64Array  # from 1
    columns: Mapping[str, pa.Array]

    def __len__(self) -> int:
        return len(self.line)


def read_pieces(
    item: Item, mapping: TableMapping, refuse: Refuse, tell: Callable[[int], None] | None = None
) -> Iterator[Piece]:
    """The rows of a file in their order. ValueError where it has no header, or a column twice."""
    with item.open() as file:
        lines = text_lines(file, mapping.encoding, tell)
        yield from (_read_csv if mapping.form == "csv" else _read_json)(item, lines, mapping, refuse)


def _read_csv(item: Item, lines: IO[bytes], mapping: TableMapping, refuse: Refuse) -> Iterator[Piece]:
    header = list(mapping.header)
    before = 0 if header else 1
    if not header:
        header = [
            name.strip() for name in next(csv.reader([lines.readline().decode()], delimiter=mapping.delimiter), ())
        ]
    if not header or len(set(header)) != len(header):
        raise ValueError(f"{item.name}: the first line must name each column once, not {clip(','.join(header))}")
    bad: list[int] = []

    def skip(row: pyarrow.csv.InvalidRow) -> str:
        bad.append(row.number + before)
        if row.text.strip():
            reason = f"must have {row.expected_columns} columns, not {row.actual_columns}"
            refuse(Refusal(item.name, row.number + before, "line", clip(row.text), reason))
        return "skip"

    try:
        reader = pyarrow.csv.open_csv(
            lines,
            pyarrow.csv.ReadOptions(use_threads=False, block_size=_CSV_BYTES, column_names=header),
            pyarrow.csv.ParseOptions(delimiter=mapping.delimiter, ignore_empty_lines=False, invalid_row_handler=skip),
            pyarrow.csv.ConvertOptions(
                column_types={name: pa.string() for name in header}, strings_can_be_null=False, null_values=[]
            ),
        )
    except pa.ArrowInvalid as error:
        if "Empty CSV" in str(error):
            return
        raise ValueError(f"{item.name}: {error}") from None
    following = before + 1
    try:
        for batch in reader:
            line = _numbers(following, batch.num_rows, bad)
            if batch.num_rows:
                following = int(line[-1]) + 1
            yield _without_blank_lines(line, dict(zip(header, batch.columns, strict=True)))
    except pa.ArrowInvalid as error:
        raise ValueError(f"{item.name}: {error}") from None


def _numbers(first: int, count: int, left_out: list[int]) -> Int64Array:
    """The next `count` numbers from `first` on, but those that are left out."""
    behind = np.array([number for number in left_out if number >= first], np.int64)
    found = np.arange(first, first + count + len(behind), dtype=np.int64)
    return found[~np.isin(found, behind)][:count]


def _without_blank_lines(line: Int64Array, columns: Mapping[str, pa.Array]) -> Piece:
    trimmed = {name: pc.utf8_trim_whitespace(texts) for name, texts in columns.items()}
    told = np.zeros(len(line), np.bool_)
    for texts in trimmed.values():
        told |= np.asarray(pc.not_equal(texts, ""))
    if told.all():
        return Piece(line, trimmed)
    return Piece(line[told], {name: texts.filter(pa.array(told)) for name, texts in trimmed.items()})


def _read_json(item: Item, lines: IO[bytes], mapping: TableMapping, refuse: Refuse) -> Iterator[Piece]:
    numbers: list[int] = []
    objects: list[dict[str, Any]] = []
    for number, text in enumerate(lines, start=1):
        if not text.strip():
            continue
        try:
            objects.append(_read_object(text, mapping.key))
            numbers.append(number)
        except ValueError as error:
            refuse(Refusal(item.name, number, "line", clip(text.decode().strip()), str(error)))
        if len(objects) == _JSON_ROWS:
            yield _piece_of(numbers, objects)
            numbers, objects = [], []
    if objects:
        yield _piece_of(numbers, objects)


def _read_object(text: bytes, key: str) -> dict[str, Any]:
    told: dict[str, Any] = {}
    if key:
        before, separator, text = text.partition(key.encode())
        if not separator:
            raise ValueError(f"has no {key!r} before its object")
        told["key"] = before.decode().strip()
    try:
        found = orjson.loads(text)
    except orjson.JSONDecodeError as error:
        raise ValueError(f"is no JSON: {error}") from None
    if not isinstance(found, dict):
        raise ValueError("must be a JSON object")
    return told | found


def _piece_of(numbers: list[int], objects: list[dict[str, Any]]) -> Piece:
    names = dict.fromkeys(name for one in objects for name in one)
    columns = {name: pa.array([_text(one.get(name)) for one in objects], pa.string()) for name in names}
    return Piece(np.array(numbers, np.int64), columns)


def _text(value: Any) -> str:
    if value is None:
        return ""
    return value.strip() if isinstance(value, str) else orjson.dumps(value).decode()
