"""Of a processor's partition: which sampled frames were folded, so that the windows that hold them can name them.

It lives in memory alone and decides nothing: a worker that takes a partition over names no frame from before.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import NamedTuple

import numpy as np
from aiokafka.structs import ConsumerRecord
from numpy.typing import NDArray

from services.core.frame import Block, Frame, Malformed
from services.core.windows import WindowBatch
from services.runtime import tracing
from services.runtime.record_columns import Records
from services.runtime.tracing import Origin, Span

# Sampled frames of one fetch that are told of, and those of a partition that are remembered: what a window looks at.
MOST_OF_A_FETCH = 64
MOST_REMEMBERED = 64

# Slots of the entities of a city, -1 where one has none.
FindSlots = Callable[[str, Sequence[str]], NDArray[np.int64]]


class _Folded(NamedTuple):
    """A sampled frame, as far as windows ask for it."""

    origin: Origin
    city: str
    entity_ids: Sequence[str]
    first_ms: int
    last_ms: int


class FrameTraces:
    """The sampled frames of one partition."""

    def __init__(self) -> None:
        self._folded: deque[_Folded] = deque(maxlen=MOST_REMEMBERED)

    @contextmanager
    def folding(self, records: Sequence[ConsumerRecord], frames: Sequence[Frame | Malformed | Block]) -> Iterator[None]:
        """The time in which a fetch is folded: a span for each of its sampled records."""
        spans = _begin_spans(Records.of(records)) if len(records) else {}
        for frame in _frames_at(frames, spans):
            span = spans[frame.offset]
            span.tell({"urban.city": frame.city, "urban.observations": len(frame)})
            if len(frame):
                times_ms = int(frame.time_ms.min()), int(frame.time_ms.max())
                self._folded.append(_Folded(span.origin, frame.city, frame.entity_ids, *times_ms))
        try:
            yield
        except Exception as error:
            for span in spans.values():
                span.fail(f"{type(error).__name__}: {error}")
            raise
        finally:
            for span in spans.values():
                span.end()

    @contextmanager
    def closing(self, batch: WindowBatch, find_slots: FindSlots) -> Iterator[None]:
        """The time in which windows are told, linked to the sampled frames that hold observations of them.

        Such a frame was folded or lies in the fetch at hand, and has one of the windows' entities in their time.
        """
        if not self._folded:
            yield
            return
        name = f"tell {batch.window.name} windows"
        told: tracing.Attributes = {"urban.window": batch.window.name, "urban.rows": len(batch)}
        with tracing.within(tracing.begin_of(name, "internal", self._causes(batch, find_slots), told)):
            yield

    def _causes(self, batch: WindowBatch, find_slots: FindSlots) -> list[Origin]:
        start_ms, end_ms = batch.start_ms, batch.end_ms
        slots = len(batch.entity_ids)
        causes = []
        for folded in self._folded:
            within = (start_ms <= folded.last_ms) & (end_ms > folded.first_ms)
            if not within.any():
                continue
            told = np.zeros(slots, np.bool_)
            told[batch.slot[within]] = True
            own = find_slots(folded.city, folded.entity_ids)
            if told[own[(own >= 0) & (own < slots)]].any():
                causes.append(folded.origin)
        return causes


def _begin_spans(records: Records) -> dict[int, Span]:
    """By offset, of the first sampled records."""
    spans: dict[int, Span] = {}
    for number, headers in enumerate(records.headers):
        # Each different one is looked at once; those of records that are not sampled are few.
        if tracing.origin_in(headers) is None:
            continue
        for offset in records.offset[records.headers_of == number].tolist():
            if len(spans) == MOST_OF_A_FETCH:
                return spans
            span = tracing.begin_record("process", records.topic, records.partition, offset, headers)
            if span is not None:
                spans[offset] = span
    return spans


def _frames_at(frames: Sequence[Frame | Malformed | Block], spans: Mapping[int, Span]) -> Iterator[Frame]:
    """The frames at these offsets; a record may hold several."""
    if not spans:
        return
    wanted = np.array(list(spans))
    for part in frames:
        if isinstance(part, Block):
            for place in np.flatnonzero(np.isin(part.offsets, wanted)).tolist():
                yield part.frame(place)
        elif isinstance(part, Frame) and part.offset in spans:
            yield part
