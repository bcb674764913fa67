"""The engine: what one partition of an observation topic comes to, as a function of its log alone.

Frames are folded in the order of the log. Whenever the watermark passes a border, a multiple of the finest pane, the
frame that moved it is folded to its end; then the windows that end leave, with those that late observations revised.
What leaves, and when, does not depend on how many records a fetch held, nor on when a worker took over from another.

Event time: an observation belongs to windows by its start, and moves the watermark by its end. One that is fit but
late moves it too; one that is refused, and a frame that was folded before, does not. Lateness is judged against the
watermark that held before the observation's own frame.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from services.core.aggregates import REVISION, folds_of, parts_of
from services.core.closing import Series, Touched, join_touched
from services.core.detection import Detection
from services.core.frame import Frame, Late, Malformed, Refused
from services.core.intake import Intake
from services.core.kind import Kind
from services.core.panes import Panes, Ring, rings_of
from services.core.portion import LONG_AGO_MS, Portion, tell_late
from services.core.signals import Signal
from services.core.sketch import Sketch
from services.core.slots import Slots
from services.core.sources import Sources
from services.core.state import NO_WATERMARK, Closing, Counters, PartitionState
from services.core.windows import WindowBatch

__all__ = ["NO_WATERMARK", "Closing", "Counters", "Partition", "PartitionState"]

Int64Array = NDArray[np.int64]


class Partition:
    """One partition of one kind. Pure: no clock, no I/O. Not to be used from two threads."""

    def __init__(self, domain: str, kind: Kind, partition: int) -> None:
        self.partition = partition
        self.next_offset = 0
        self.counters = Counters()
        self.watermark_ms: int | None = None
        self._kind = kind
        self._rings = rings_of(kind)
        self._longest_ms = np.array([r.longest_period_ms for r in self._rings])
        self._border_ms = self._rings[0].pane_ms
        self._folds = [(f, Sketch(f.column) if f.has_quantiles else None) for f in folds_of(kind)]
        self._slots = Slots()
        self._sources = Sources()
        self._intake = Intake(kind, self._slots, self._sources, self.counters)
        self._panes = Panes(self._rings, parts_of(kind))
        windows = sorted(kind.windows, key=lambda w: (w.slide_ms, w.size_ms, w.name))
        self._series = [Series(kind, w, self._panes, self._folds) for w in windows]
        self._detection = Detection(domain, kind)
        self._touched: list[Touched] = []  # since the last border
        # How often slots without observations are set free.
        self._sweep_ms = kind.lateness_ms + 2 * max(w.size_ms for w in kind.windows)
        self._folding = False

    def fold(self, records: Sequence[Frame | Malformed]) -> Iterator[Closing]:
        """Folds the next records of the log, in their order; gives what leaves the partition meanwhile.

        To be drawn to its end; batches are to be given to `detect` before the next call. ValueError where a record
        comes before one that was folded; frames of one record have the same offset and come in one call.
        """
        if self._folding:
            raise RuntimeError("what was folded before was not drawn to its end")
        next_offset = self._next_offset_after(records)
        self._folding = True
        if self.watermark_ms is not None:
            self._detection.forget_final(self.watermark_ms)
        end = 0
        while end < len(records):
            portion = self._intake.take(records, end)
            yield from self._fold_portion(portion)
            end = portion.end
        self.next_offset = next_offset
        self._folding = False

    def _next_offset_after(self, records: Sequence[Frame | Malformed]) -> int:
        offsets = np.array([record.offset for record in records], np.int64)
        offsets = np.concatenate(([self.next_offset], offsets[offsets >= 0]))
        back = np.flatnonzero(offsets[1:] < offsets[:-1])
        if len(back):
            odd = int(offsets[back[0] + 1])
            raise ValueError(f"partition {self.partition}: offset {odd} comes where {offsets[back[0]]} was expected")
        return int(offsets[-1]) + (len(offsets) > 1)

    def _fold_portion(self, portion: Portion) -> Iterator[Closing]:
        now_ms = LONG_AGO_MS if self.watermark_ms is None else self.watermark_ms
        moved_ms = np.maximum(portion.reached_ms - self._kind.disorder_ms, now_ms)
        watermarks_ms = np.concatenate(([now_ms], np.maximum.accumulate(moved_ms)))
        borders = watermarks_ms // self._border_ms
        first = 0
        refused = list(reversed(portion.refused))
        # A frame that passes a border is the last of its step; the last step ends with the records.
        for last in [*np.flatnonzero(borders[1:] > borders[:-1]).tolist(), None]:
            end = len(portion.taken.frames) if last is None else last + 1
            end_record = portion.end if last is None else portion.taken.records[last] + 1
            late = self._fold_frames(portion, first, end)
            leaving: list[Refused] = []
            while refused and refused[-1][0] < end_record:
                leaving.append(refused.pop()[1])
            watermark_ms = int(watermarks_ms[end])
            batches = () if last is None else self._close(watermark_ms)
            self.watermark_ms = None if watermark_ms == LONG_AGO_MS else watermark_ms
            if batches or leaving or late:
                told_ms = NO_WATERMARK if self.watermark_ms is None else self.watermark_ms
                yield Closing(told_ms, batches, tuple(leaving), late)
            first = end

    def _fold_frames(self, portion: Portion, first: int, end: int) -> tuple[Late, ...]:
        """Folds the frames from `first` to before `end`, judged against the watermark that holds now."""
        begin, stop = int(portion.begin[first]), int(portion.begin[end])
        # Also of frames without fit observations: who has which slot must not depend on what was joined with them.
        frames = portion.taken.frames[first:end]
        slot_of_id = self._slots.place_all(
            [f.city for f in frames], [f.entity_ids for f in frames], portion.taken.dictionaries[first:end]
        )
        if begin == stop:
            return ()
        rows = np.arange(begin, stop) if portion.fit is None else begin + np.flatnonzero(portion.fit[begin:stop])
        slot = slot_of_id[portion.entity[rows] - portion.dictionary_begin[first]]
        ring_of_frame = np.searchsorted(self._longest_ms, portion.period_ms[first:end])
        numbers = np.unique(ring_of_frame)
        late = []
        for number in numbers.tolist():
            if len(numbers) == 1:
                late.append(self._fold_rows(portion, self._rings[number], rows, slot))
                continue
            ring_of_row = np.repeat(ring_of_frame, np.diff(portion.begin[first : end + 1]))
            mine = ring_of_row[rows - begin] == number
            late.append(self._fold_rows(portion, self._rings[number], rows[mine], slot[mine]))
        return tell_late(portion, np.sort(np.concatenate(late)))

    def _fold_rows(self, portion: Portion, ring: Ring, rows: Int64Array, slot: Int64Array) -> Int64Array:
        """Folds these observations into the panes of a ring, but those that are late: it returns them. Shapes: (n,)."""
        time_ms = portion.time_ms[rows]
        late = _NONE
        # Every end lies after its start, so that most steps need not look closer.
        if len(rows) and self.watermark_ms is not None and int(time_ms.min()) < self.watermark_ms:
            first_end_ms = ring.first_end_ms(time_ms)
            is_late = first_end_ms + self._kind.lateness_ms <= self.watermark_ms
            if is_late.any():
                late, kept = rows[is_late], ~is_late
                rows, slot, time_ms, first_end_ms = rows[kept], slot[kept], time_ms[kept], first_end_ms[kept]
                self.counters.late += len(late)
            left = first_end_ms <= self.watermark_ms
            if left.any():
                start_ms = time_ms[left] // ring.pane_ms * ring.pane_ms
                self._touched.append(Touched(np.full(len(start_ms), ring.number), start_ms, slot[left]))
        if len(rows):
            self.counters.folded += len(rows)
            self._fold_columns(portion, ring, rows, slot, time_ms)
        return late

    def _fold_columns(
        self, portion: Portion, ring: Ring, rows: Int64Array, slot: Int64Array, time_ms: Int64Array
    ) -> None:
        start_ms = time_ms // ring.pane_ms * ring.pane_ms
        cells = self._panes.take(ring.number, start_ms, slot)
        np.add.at(self._panes.pool[REVISION], cells, np.uint32(1))
        whole = len(rows) == len(portion.time_ms)
        for fold, sketch in self._folds:
            name = fold.column.name
            values, missing = portion.columns[name], portion.missing[name]
            if not whole:
                values, missing = values[rows], None if missing is None else missing[rows]
            there: Int64Array | slice = slice(None) if missing is None else np.flatnonzero(~missing)
            values = values[there]
            fold.fold(self._panes.pool, cells[there], values, time_ms[there])
            if sketch and len(values):
                sketch.add(ring.number, start_ms[there], slot[there], values)

    def _close(self, watermark_ms: int) -> tuple[WindowBatch, ...]:
        """What leaves where the watermark passes a border."""
        before_ms = self.watermark_ms
        touched = join_touched(self._touched)
        self._touched = []
        found = [
            s.batch(s.ended(before_ms, watermark_ms), s.revised(touched, before_ms), self._slots) for s in self._series
        ]
        for pane in self._panes.find_expired(watermark_ms, self._kind.lateness_ms):
            self._panes.drop(pane)
            for _, sketch in self._folds:
                if sketch:
                    sketch.drop(pane)
        if before_ms is not None and before_ms // self._sweep_ms != watermark_ms // self._sweep_ms:
            self._slots.release(self._panes.mark_used(len(self._slots)))
        return tuple(batch for batch in found if batch is not None)

    def detect(self, batch: WindowBatch) -> list[Signal]:
        """Signals of a batch that was completed with attributes and baseline: what its detectors find, and what of
        earlier findings a revision withdraws. Without positions. ValueError names what the batch lacks.

        A signal's revision is that of its window plus, where the window before was at hand, that of the window before:
        both were weighed, and a late observation in either makes a newer signal.
        """
        return self._detection.detect(batch)

    @property
    def open_windows(self) -> int:
        """Windows of entities that have observations and can still change."""
        final_ms = None if self.watermark_ms is None else self.watermark_ms - self._kind.lateness_ms
        return sum(
            int(np.count_nonzero(series.mark_present(start)))
            for series in self._series
            for start in series.starts_with_data(final_ms, None).tolist()
        )

    def snapshot(self) -> PartitionState:
        """All that is needed to go on elsewhere, between two calls of `fold`."""
        if self._folding:
            raise RuntimeError("what is being folded was not drawn to its end")
        if self.watermark_ms is not None:
            self._detection.forget_final(self.watermark_ms)
        sources, greatest, below = self._sources.to_arrays()
        cities, entity_ids = self._slots.show()
        touched = join_touched(self._touched)
        arrays = {
            "sources.greatest": greatest,
            "sources.below": below,
            "touched": np.stack((touched.ring, touched.start_ms, touched.slot)),
            "raised": self._detection.to_array(),
            **self._panes.to_arrays(),
        }
        for fold, sketch in self._folds:
            if sketch:
                names = ("codes", "counts", "lengths")
                told: tuple[NDArray[Any], ...] = sketch.to_arrays(self._panes.names())
                arrays |= {f"{fold.column.name}.sketch.{n}": array for n, array in zip(names, told, strict=True)}
        texts = {"sources": sources, "cities": [*cities], "entity_ids": [*entity_ids], "layout": self._layout()}
        watermark_ms = NO_WATERMARK if self.watermark_ms is None else self.watermark_ms
        return PartitionState(self.partition, self.next_offset, watermark_ms, replace(self.counters), arrays, texts)

    def _layout(self) -> list[str]:
        """What the numbers of a snapshot mean, as far as the kind decides it."""
        rings = [f"ring {r.number}: {r.pane_ms} ms, period up to {r.longest_period_ms} ms" for r in self._rings]
        return [self._kind.name, *rings, *(line for fold, _ in self._folds for line in fold.layout())]

    @classmethod
    def restore(cls, domain: str, kind: Kind, state: PartitionState) -> Partition:
        """The partition that `snapshot` told. ValueError where it is of a kind with other columns or windows."""
        restored = cls(domain, kind, state.partition)
        arrays, texts = state.arrays, state.texts
        if (given := texts["layout"]) != (expected := restored._layout()):
            odd = next((a for a in given if a not in expected), "less than is needed")
            raise ValueError(f"the state of partition {state.partition} does not fit {domain}.{kind.name}: {odd}")
        restored.next_offset = state.next_offset
        restored.watermark_ms = None if state.watermark_ms == NO_WATERMARK else state.watermark_ms
        restored.counters = replace(state.counters)
        restored._sources = Sources.of_arrays(texts["sources"], arrays["sources.greatest"], arrays["sources.below"])
        restored._slots = Slots.of_texts(texts["cities"], texts["entity_ids"])
        restored._intake = Intake(kind, restored._slots, restored._sources, restored.counters)
        restored._panes.put(arrays)
        for fold, sketch in restored._folds:
            if sketch:
                told = (arrays[f"{fold.column.name}.sketch.{n}"] for n in ("codes", "counts", "lengths"))
                sketch.put(restored._panes.names(), *told)
        ring, start_ms, slot = arrays["touched"]
        restored._touched = [Touched(ring, start_ms, slot)] if len(slot) else []
        restored._detection.put(arrays["raised"])
        return restored


_NONE = np.empty(0, np.int64)
