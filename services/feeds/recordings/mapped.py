"""Turns pieces of a table into observations of a kind, by a mapping; whole columns at once."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from string import Formatter
from zoneinfo import ZoneInfo

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from services.core.frame import Int64Array, NumberArray, UInt32Array
from services.core.kind import Column as KindColumn
from services.core.kind import Kind
from services.feeds.recordings.block import Block, Names, Refusal, Refuse, absent
from services.feeds.recordings.clock_text import EPOCHS_MS, pattern_of, read_times, reasons
from services.feeds.recordings.mapping import Column, MappingError, TableMapping
from services.feeds.recordings.opening import Item
from services.feeds.recordings.tables import Piece, read_pieces
from services.runtime.rows import clip

_NUMBER = r"^[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?$"
_NOT_IN_ID = re.compile(r"[^A-Za-z0-9._~:-]+")
_LONGEST_ID = 128


class MappedTable:
    """One file read as observations of one kind."""

    def __init__(
        self,
        item: Item,
        mapping: TableMapping,
        name: str,
        kind: Kind,
        refuse: Refuse,
        count_empty: Callable[[int], None] = lambda _: None,
    ) -> None:
        """`name`: of the kind, "environment.weather". `count_empty` is told how many rows tell no number at all.

        ValueError where the mapping does not fit the kind.
        """
        if name not in mapping.kinds:
            raise ValueError(f"the mapping is of {', '.join(mapping.kinds)}, not of {name}")
        self.names = Names()
        self._item, self._mapping, self._kind, self._refuse = item, mapping, kind, refuse
        self._count_empty = count_empty
        self._told = mapping.kinds[name]
        self._zone = ZoneInfo(mapping.time.zone)
        self._rows = 0  # read so far
        self._ids: dict[str, int] = {}  # number by the text that an id is made of; -1: it is none
        check_mapping(mapping, name, kind)

    def read(self, tell: Callable[[int], None] | None = None) -> Iterator[Block]:
        """Its observations in the order of the file. ValueError where it lacks a column."""
        for piece in read_pieces(self._item, self._mapping, self._refuse, tell):
            self._check_columns(piece)
            if len(piece):
                times, good = self._times(piece)
                yield self._wide(piece, times, good) if self._told.wide else self._long(piece, times, good)
            self._rows += len(piece)

    def _check_columns(self, piece: Piece) -> None:
        # Lines of JSON need not tell what they do not know.
        if self._mapping.form == "json":
            return
        wanted = {*self._mapping.time.columns, *_fields(self._told.entity)} - {"file", "column"}
        wanted |= {c.column for c in self._told.columns.values() if c.column and not c.optional}
        if lacking := sorted(wanted - set(piece.columns)):
            names = clip(", ".join(piece.columns))
            raise ValueError(f"{self._item.name} lacks the column {', '.join(lacking)}; it has {names}")

    def _times(self, piece: Piece) -> tuple[Int64Array, NDArray[np.bool_]]:
        time = self._mapping.time
        if time.start:
            first = read_times(pa.array([time.start]), "iso", self._zone).time_ms[0]
            steps = self._rows + np.arange(len(piece), dtype=np.int64)
            return first + steps * time.step_s * 1000, np.ones(len(piece), np.bool_)
        texts = [_column(piece, name) for name in time.columns]
        text = texts[0] if len(texts) == 1 else pc.binary_join_element_wise(*texts, " ")
        found = read_times(text, time.format, self._zone)
        why = reasons(time.format, self._zone)
        for row in np.flatnonzero(found.fault).tolist():
            self._tell(piece, row, "time", text[row].as_py(), why[found.fault[row]])
        return found.time_ms, found.fault == 0

    def _long(self, piece: Piece, times: Int64Array, good: NDArray[np.bool_]) -> Block:
        """Each row is an observation."""
        texts = {name: _column(piece, name) for name in _fields(self._told.entity) if name != "file"}
        entity, known = self._entities(piece, texts)
        good = good & known
        columns = absent(self._kind, len(piece))
        for name, column in self._told.columns.items():
            wanted = self._kind.column(name)
            if column.value is not None:
                columns[name][:] = _constant(wanted, column.value)
            elif column.column in piece.columns:
                text = piece.columns[column.column]
                values, readable = self._numbers(text, wanted, column)
                for row in np.flatnonzero(good & ~readable).tolist():
                    self._tell(piece, row, name, text[row].as_py(), _reason(wanted, column))
                good &= readable
                columns[name][:] = values
        empty = good & self._is_empty(columns)
        self._count_empty(int(empty.sum()))
        period = np.full(len(piece), self._told.period_s, np.int32)
        return Block(entity, times, period, piece.line, columns).take(good & ~empty)

    def _is_empty(self, columns: Mapping[str, NumberArray]) -> NDArray[np.bool_]:
        """Where nothing was measured, of a kind of which something has to be."""
        if not self._kind.any_of:
            return np.zeros(len(next(iter(columns.values()))), np.bool_)
        return np.asarray(np.isnan([columns[name] for name in self._kind.any_of]).all(axis=0))

    def _wide(self, piece: Piece, times: Int64Array, good: NDArray[np.bool_]) -> Block:
        """Each cell is an observation, but those that tell no number."""
        wanted, column = self._kind.column(self._told.wide), self._told.columns[self._told.wide]
        names = [name for name in piece.columns if name not in self._mapping.time.columns]
        cells = np.full((len(piece), len(names)), np.nan)
        entities = np.zeros(len(names), np.uint32)
        empty = 0
        for place, name in enumerate(names):
            number, known = self._entities(Piece(piece.line[:1], {}), {"column": pa.array([name])})
            entities[place] = number[0]
            values, readable = self._numbers(piece.columns[name], wanted, column)
            for row in np.flatnonzero(good & ~readable).tolist():
                value = piece.columns[name][row].as_py()
                self._tell(piece, row, f"{self._told.wide} of {name}", value, _reason(wanted, column))
            empty += int((good & readable & np.isnan(values)).sum())
            cells[:, place] = np.where(readable & known[0], values, np.nan)
        rows, places = np.nonzero(good[:, None] & ~np.isnan(cells))
        self._count_empty(empty)
        columns = absent(self._kind, len(rows)) | {
            self._told.wide: cells[rows, places].astype(np.dtype(wanted.type.value))
        }
        period = np.full(len(rows), self._told.period_s, np.int32)
        return Block(entities[places], times[rows], period, piece.line[rows], columns)

    def _entities(self, piece: Piece, texts: Mapping[str, pa.Array]) -> tuple[UInt32Array, NDArray[np.bool_]]:
        """Number of the entity of each row, and whether there is one."""
        parts = []
        for literal, name, *_ in Formatter().parse(self._told.entity):
            parts += [pa.scalar(literal)] if literal else []
            parts += [] if name is None else [pa.scalar(self._item.stem)] if name == "file" else [texts[name]]
        whole = pa.array([""] * len(piece)) if not texts else ""
        words = pc.dictionary_encode(pc.binary_join_element_wise(*parts, whole, ""))
        by_word = np.array([self._number(text) for text in words.dictionary.to_pylist()], np.int64)
        number = by_word[np.asarray(words.indices)]
        for row in np.flatnonzero(number < 0).tolist():
            why = f"does not match {self._told.pattern}" if self._told.pattern else "has no letter or digit"
            self._tell(piece, row, "entity_id", words[row].as_py(), why)
        return number.astype(np.uint32), number >= 0

    def _number(self, text: str) -> int:
        if text not in self._ids:
            entity_id = text
            if self._told.pattern:
                match = re.search(self._told.pattern, text)
                entity_id = match.expand(self._told.entity_id) if match else ""
            entity_id = _NOT_IN_ID.sub("-", entity_id).strip("-:")[:_LONGEST_ID]
            self._ids[text] = self.names.number(entity_id) if entity_id else -1
        return self._ids[text]

    def _numbers(self, text: pa.Array, wanted: KindColumn, column: Column) -> tuple[NumberArray, NDArray[np.bool_]]:
        """The numbers of texts, NaN or code 0 where one is missing; and where there is one, or none as it may be."""
        missing = pc.is_in(text, pa.array([*self._mapping.missing, *column.missing]))
        nothing = 0.0 if wanted.codes else np.nan
        if column.values:
            known = [_constant(wanted, value) for value in column.values.values()]
            place = np.asarray(pc.fill_null(pc.index_in(text, pa.array(list(column.values))), -1))
            return np.array([*known, nothing])[place], np.asarray(missing) | (place >= 0)
        told = pc.match_substring_regex(text, _NUMBER)
        number = np.asarray(pc.cast(pc.if_else(told, text, "nan"), pa.float64()))
        values = np.where(np.asarray(missing), nothing, number * column.factor + column.offset)
        return values, np.asarray(pc.or_(told, missing))

    def _tell(self, piece: Piece, row: int, field: str, value: str, reason: str) -> None:
        self._refuse(Refusal(self._item.name, int(piece.line[row]), field, clip(value), reason))


def check_mapping(mapping: TableMapping, name: str, kind: Kind) -> None:
    """MappingError where a mapping tells of columns or codes that the kind does not have, or of no format."""
    told, key = mapping.kinds[name], f"kinds.{name}"
    known = {column.name: column for column in kind.columns}
    for column_name, column in told.columns.items():
        at = f"{key}.columns.{column_name}"
        if column_name not in known:
            raise MappingError(at, column.column, f"is not a column of {name}; there are {', '.join(known)}")
        wanted = known[column_name]
        if wanted.codes and column.value is None and not column.values:
            raise MappingError(at, column.column, "tells codes: it needs value or values")
        for value in [*column.values.values(), *([] if column.value is None else [column.value])]:
            try:
                _constant(wanted, value)
            except ValueError as error:
                raise MappingError(at, value, str(error)) from None
    if told.period_s * 1000 > kind.longest_period_ms:
        raise MappingError(f"{key}.period_s", told.period_s, f"is longer than every window of {name}")
    if mapping.time.columns and mapping.time.format not in EPOCHS_MS:
        try:
            pattern_of(mapping.time.format)
        except ValueError as error:
            raise MappingError("time.format", mapping.time.format, str(error)) from None


def _constant(wanted: KindColumn, value: object) -> float:
    if wanted.codes:
        codes = {word: code for code, word in wanted.codes}
        if value not in codes:
            raise ValueError(f"must be one of {', '.join(codes)}")
        return float(codes[str(value)])
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ValueError("must be a number")
    return float(value)


def _reason(wanted: KindColumn, column: Column) -> str:
    return f"must be one of {', '.join(column.values)}" if column.values else f"must be a number, in {wanted.unit}"


def _fields(template: str) -> list[str]:
    return [name for _, name, *_ in Formatter().parse(template) if name]


def _column(piece: Piece, name: str) -> pa.Array:
    found = piece.columns.get(name)
    return pa.array([""] * len(piece)) if found is None else found
