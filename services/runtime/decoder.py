"""What one fetch of a partition holds, decoded: single observations many at once, everything else record by record."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import groupby
from typing import NamedTuple

import numpy as np
from aiokafka.structs import ConsumerRecord
from numpy.typing import NDArray

from services.core.frame import Frame, Malformed, Singles
from services.runtime.codec import JSON_TYPE, PROTOBUF_TYPES, city_of, content_type, decode_record
from services.runtime.contracts import FrameContract
from services.runtime.dictionaries import RawDictionaries
from services.runtime.log import Headers
from services.runtime.single_frames import LONGEST_BYTES, Read, SingleFrames
from services.runtime.single_rows import SingleRows

# Fewer in a row are not worth the columns.
FEWEST = 16
_MOST_HEADERS = 1_024
_FRAME, _ROW, _OTHER = 0, 1, 2


class Decoded(NamedTuple):
    """The frames of some records, in their order, and how many observations each record holds: (records,)."""

    frames: list[Frame | Malformed | Singles]
    sizes: NDArray[np.int64]


class Decoder:
    """Decodes the records of one partition; remembers what comes again and again."""

    def __init__(self, contract: FrameContract) -> None:
        self._contract = contract
        self._dictionaries = RawDictionaries()
        self._single_frames, self._single_rows = SingleFrames(contract), SingleRows(contract)
        self._kinds: dict[Headers, tuple[int, str]] = {}  # by headers: how a small record is read, and of which city

    def decode(self, records: Sequence[ConsumerRecord]) -> Decoded:
        """Gives the same frames as the codec gives record by record. Never raises."""
        frames: list[Frame | Malformed | Singles] = []
        sizes = np.ones(len(records), np.int64)
        first = 0
        for kind, group in groupby(records, self._kind_of):
            some = list(group)
            if kind == _OTHER or len(some) < FEWEST:
                self._decode_each(some, first, frames, sizes)
            else:
                self._decode_singles(kind, some, first, frames, sizes)
            first += len(some)
        return Decoded(frames, sizes)

    def _kind_of(self, record: ConsumerRecord) -> int:
        value = record.value
        if value is None or not 0 < len(value) <= LONGEST_BYTES:
            return _OTHER
        return self._told_by(record.headers)[0]

    def _told_by(self, told_headers: Headers) -> tuple[int, str]:
        headers = tuple(told_headers)
        known = self._kinds.get(headers)
        if known is None:
            told = content_type(headers)
            kind = _FRAME if told in PROTOBUF_TYPES else _ROW if told == JSON_TYPE else _OTHER
            known = kind, city_of(headers)
            if len(self._kinds) < _MOST_HEADERS:
                self._kinds[headers] = known
        return known

    def _decode_each(
        self,
        records: Sequence[ConsumerRecord],
        first: int,
        frames: list[Frame | Malformed | Singles],
        sizes: NDArray[np.int64],
    ) -> None:
        for place, r in enumerate(records, first):
            found = decode_record(self._contract, r.value, r.headers, r.timestamp, r.offset, self._dictionaries)
            frames.extend(found)
            sizes[place] = sum(len(f) if isinstance(f, Frame) else 1 for f in found)

    def _decode_singles(
        self,
        kind: int,
        records: Sequence[ConsumerRecord],
        first: int,
        frames: list[Frame | Malformed | Singles],
        sizes: NDArray[np.int64],
    ) -> None:
        values = [r.value for r in records]
        if kind == _FRAME:
            read = self._single_frames.read(values)
        else:
            read = self._single_rows.read(values, [self._told_by(r.headers)[1] for r in records])
        for begin, end in _runs(read):
            if read.done[begin]:
                frames.append(_singles_of(read, records, begin, end))
            else:
                self._decode_each(records[begin:end], first + begin, frames, sizes)


def _runs(read: Read) -> Iterator[tuple[int, int]]:
    """Begin and end of records that were read and are of one city and period, and of those that were not read."""
    begin = 0
    for _, group in groupby(
        zip(read.done.tolist(), read.headers, read.period_s.tolist(), strict=True),
        lambda told: (told[1].city, told[2]) if told[0] and told[1] is not None else None,
    ):
        end = begin + sum(1 for _ in group)
        yield begin, end
        begin = end


def _singles_of(read: Read, records: Sequence[ConsumerRecord], begin: int, end: int) -> Singles:
    headers = [header for header in read.headers[begin:end] if header is not None]
    some = records[begin:end]
    clock_ms = np.array([h.clock_ms or r.timestamp for h, r in zip(headers, some, strict=True)], np.int64)
    numbered = any(header.source_id for header in headers)
    return Singles(
        city=headers[0].city,
        period_s=int(read.period_s[begin]),
        entity_ids=read.entity_ids[begin:end],
        time_ms=read.time_ms[begin:end],
        columns={name: values[begin:end] for name, values in read.columns.items()},
        clock_ms=clock_ms,
        offsets=np.array([r.offset for r in some], np.int64),
        sources=[(header.source_id, header.sequence) for header in headers] if numbered else (),
    )
