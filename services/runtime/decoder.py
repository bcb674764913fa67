"""What one fetch of a partition holds, decoded: frames and single rows many at once, the rest record by record."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
from aiokafka.structs import ConsumerRecord
from numpy.typing import NDArray

from services.core.frame import Block, Frame, Malformed
from services.runtime.codec import JSON_TYPE, PROTOBUF_TYPES, city_of, content_type, decode_record
from services.runtime.contracts import FrameContract
from services.runtime.dictionaries import RawDictionaries
from services.runtime.frame_blocks import FrameBlocks
from services.runtime.record_columns import RecordHeaders, Records, runs
from services.runtime.single_frames import LONGEST_BYTES, Read, SingleFrames
from services.runtime.single_rows import SingleRows

# Fewer in a row are not worth the columns: rows, and frames.
FEWEST = 16
FEWEST_FRAMES = 8
# Frames of one observation that share headers are read fastest by their shape. A fetch of which less than this can
# be is read field by field, and so are the next ones.
MOSTLY = 0.9
SKIPS = 32
_MOST_HEADERS = 1_024
_FRAME, _ROW, _OTHER = 0, 1, 2


class Decoded(NamedTuple):
    """The frames of some records, in their order, and how many observations each record holds: (records,)."""

    frames: list[Frame | Malformed | Block]
    sizes: NDArray[np.int64]


class Decoder:
    """Decodes the records of one partition; remembers what comes again and again."""

    def __init__(self, contract: FrameContract) -> None:
        self._contract = contract
        self._dictionaries = RawDictionaries()
        self._single_frames, self._single_rows = SingleFrames(contract), SingleRows(contract)
        self._blocks = FrameBlocks(contract, self._dictionaries)
        self._skips = 0
        self._kinds: dict[RecordHeaders, tuple[int, str]] = {}  # how a small record is read, and its city

    def decode(self, given: Sequence[ConsumerRecord]) -> Decoded:
        """Gives the same frames as the codec gives record by record. Never raises."""
        frames: list[Frame | Malformed | Block] = []
        sizes = np.ones(len(given), np.int64)
        if len(given):
            records = Records.of(given)
            told = [self._told_by(headers) for headers in records.headers]
            kinds = np.array([kind for kind, _ in told])[records.headers_of]
            cities: dict[str, int] = {}
            city_of = np.array([cities.setdefault(city, len(cities)) for _, city in told])[records.headers_of]
            length = records.value.length
            kinds[(length <= 0) | ((kinds == _ROW) & (length > LONGEST_BYTES))] = _OTHER
            for begin, end in runs(kinds):
                kind, some, sizes_of_some = int(kinds[begin]), records[begin:end], sizes[begin:end]
                if kind == _OTHER or len(some) < (FEWEST if kind == _ROW else FEWEST_FRAMES):
                    self._decode_each(some, frames, sizes_of_some)
                elif kind == _FRAME:
                    self._decode_frames(some, frames, sizes_of_some)
                else:
                    read = self._single_rows.read(records.data, some.value, [*cities], city_of[begin:end])
                    self._take(read, some, frames, sizes_of_some, self._decode_each)
        return Decoded(frames, sizes)

    def _told_by(self, headers: RecordHeaders) -> tuple[int, str]:
        known = self._kinds.get(headers)
        if known is None:
            told = content_type(headers)
            kind = _FRAME if told in PROTOBUF_TYPES else _ROW if told == JSON_TYPE else _OTHER
            known = kind, city_of(headers)
            if len(self._kinds) < _MOST_HEADERS:
                self._kinds[headers] = known
        return known

    def _decode_each(self, records: Records, frames: list[Frame | Malformed | Block], sizes: NDArray[np.int64]) -> None:
        for place, r in enumerate(records):
            found = decode_record(self._contract, r.value, r.headers, r.timestamp, r.offset, self._dictionaries)
            frames.extend(found)
            sizes[place] = sum(len(f) if isinstance(f, Frame) else 1 for f in found)

    def _decode_frames(
        self, records: Records, frames: list[Frame | Malformed | Block], sizes: NDArray[np.int64]
    ) -> None:
        self._skips -= 1
        if self._skips < 0 and np.mean(records.value.length <= LONGEST_BYTES) > 0.5:
            read = self._single_frames.read(records.data, records.value)
            if read.done.mean() > MOSTLY:
                self._take(read, records, frames, sizes, self._decode_blocks)
                return
            self._skips = SKIPS
        self._decode_blocks(records, frames, sizes)

    def _decode_blocks(
        self, records: Records, frames: list[Frame | Malformed | Block], sizes: NDArray[np.int64]
    ) -> None:
        if len(records) < FEWEST_FRAMES:
            self._decode_each(records, frames, sizes)
            return
        for begin, end, block in self._blocks.read(records):
            if block is None:
                self._decode_each(records[begin:end], frames, sizes[begin:end])
            else:
                frames.append(block)
                sizes[begin:end] = np.diff(block.begin)

    def _take(
        self,
        read: Read,
        records: Records,
        frames: list[Frame | Malformed | Block],
        sizes: NDArray[np.int64],
        rest: Callable[[Records, list[Frame | Malformed | Block], NDArray[np.int64]], None],
    ) -> None:
        """What was read of the records; what was not is left to `rest`."""
        clock_ms, cities, city = _of_headers(read, records)
        numbered = any(header.source_id for header in read.headers)
        for begin, end in runs(read.done, city * read.done, read.period_s * read.done):
            if not read.done[begin]:
                rest(records[begin:end], frames, sizes[begin:end])
                continue
            frames.append(
                Block.of_singles(
                    city=cities[int(city[begin])],
                    period_s=int(read.period_s[begin]),
                    entity_ids=read.entity_ids,
                    entity=read.entity[begin:end],
                    time_ms=read.time_ms[begin:end],
                    columns={name: values[begin:end] for name, values in read.columns.items()},
                    clock_ms=clock_ms[begin:end],
                    offsets=records.offset[begin:end],
                    sources=_sources_of(read, begin, end) if numbered else (),
                )
            )


def _of_headers(read: Read, records: Records) -> tuple[NDArray[np.int64], list[str], NDArray[np.int64]]:
    """Clocks by record, all cities, and which of them each record is of. Shapes of arrays: (records,)."""
    if not read.headers:
        nothing = np.zeros(len(records), np.int64)
        return nothing, [], nothing
    known: dict[str, int] = {}
    city = np.array([known.setdefault(h.city, len(known)) for h in read.headers], np.int64)[read.headers_of]
    told_ms = np.array([h.clock_ms for h in read.headers], np.int64)[read.headers_of]
    return np.where(told_ms == 0, records.timestamp_ms, told_ms), list(known), city


def _sources_of(read: Read, begin: int, end: int) -> Sequence[tuple[str, int]]:
    """Source and number of each record; empty where none names a source."""
    headers = [read.headers[i] for i in read.headers_of[begin:end].tolist()]
    return [(h.source_id, h.sequence) for h in headers] if any(h.source_id for h in headers) else ()
