"""Takes the observations of one partition: folds them, completes what closes, runs the detectors, fills the outbox."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np
import structlog
from aiokafka.structs import ConsumerRecord
from numpy.typing import NDArray

from services.core.cities import Cities
from services.core.frame import Late
from services.core.geometry import cell_of
from services.core.history import Index
from services.core.kind import Detector, Kind
from services.core.partition import Partition
from services.core.signals import Signal
from services.core.state import NO_WATERMARK, Closing, Counters
from services.core.windows import BaselineColumns, Place, WindowBatch
from services.runtime import catalogue, metrics, records, tracing
from services.runtime.baselines import BaselineBook
from services.runtime.checkpoints import CheckpointStore, state_of
from services.runtime.contracts import FrameContract
from services.runtime.dead_letters import DeadLetter, FloodGuard, dead_letters_table
from services.runtime.decoder import Decoder
from services.runtime.entities import EntityRegistry
from services.runtime.entity_facts import EntityFacts
from services.runtime.frame_traces import FrameTraces
from services.runtime.late_records import late_records
from services.runtime.newcomers import Newcomers
from services.runtime.outbox import Outbox, Outgoing
from services.runtime.partitioner import partitions_of_keys
from services.runtime.record_columns import Records
from services.runtime.slot_names import SlotNames
from services.runtime.state_saver import StateSaver

log = structlog.get_logger(__name__)

# Counting the open windows looks at every pane: a millisecond for 30,000 entities.
COUNT_INTERVAL_S = 1.0
# Correlation waits for the event time of all kinds: what its signals end at, other kinds have passed and tell, too.
LONGEST_STEP_MS = 10_000
# Window rows that are put into the outbox at once.
MAXIMUM_PUT_ROWS = 50_000
FLOOD_GUARD = "flood_guard"  # its array in a checkpoint, beside those of the fold


@dataclass(frozen=True)
class Workshop:
    """What all partitions of one kind share."""

    domain: str
    kind: Kind
    contract: FrameContract
    outbox: Outbox
    checkpoints: CheckpointStore
    registry: EntityRegistry
    book: BaselineBook | None
    signal_partitions: int
    passed_end: asyncio.Event  # set when a partition's event time has passed an end of windows
    stop_at_flood: bool = True  # of records that cannot be taken
    places: Mapping[str, Place] = field(default_factory=dict)  # by city
    cities: Cities = field(default_factory=Cities)

    @property
    def topic(self) -> str:
        return catalogue.observations(self.domain, self.kind.name)

    @cached_property
    def step_ms(self) -> int:
        """All windows of this kind end at multiples of this, and those of most other kinds."""
        return min(LONGEST_STEP_MS, *(window.step_ms for window in self.kind.windows))


class KindProcessor:
    """The handler of one partition of the observations of one kind; see services/runtime/lane.py."""

    def __init__(self, shop: Workshop, partition: int) -> None:
        self._shop, self._number = shop, partition
        self._partition = Partition(shop.domain, shop.kind, partition, shop.cities)
        self._counted = Counters()
        self._guard = FloodGuard(f"{shop.topic}[{partition}]", stop=shop.stop_at_flood)
        self._saver = self._make_saver()
        self._count_again_s = 0.0
        self._names: SlotNames | None = None
        self._decoder = Decoder(shop.contract)
        self._newcomers = Newcomers()
        self._facts = EntityFacts(shop.registry, shop.domain)
        self._traces = FrameTraces()
        self.watermark_ms: int | None = None  # event time up to which all is in the outbox

    def _make_saver(self, obsolete: Collection[str] = ()) -> StateSaver:
        return StateSaver(self._shop.checkpoints, self._shop.domain, self._shop.kind.name, self._number, obsolete)

    async def restore(self) -> int | None:
        began = time.perf_counter()
        found = await self._shop.checkpoints.load(self._number)
        if found is None:
            return None
        self._saver = self._make_saver(found.obsolete)
        state = state_of(found)
        if (told := state.arrays.pop(FLOOD_GUARD, None)) is not None:
            self._guard.put(told)
        self._partition = Partition.restore(self._shop.domain, self._shop.kind, state, self._shop.cities)
        self._counted = replace(self._partition.counters)
        self._tell_progress()
        metrics.RESTORE_SECONDS.labels(self._shop.domain, self._shop.kind.name).observe(time.perf_counter() - began)
        return self._partition.next_offset

    async def handle(self, records_of_fetch: Sequence[ConsumerRecord]) -> None:
        letters: dict[int, DeadLetter] = {}
        decoded = self._decoder.decode(records_of_fetch)
        offsets = Records.of(records_of_fetch).offset.tolist()
        place_of_offset: dict[int, int] = {}
        folding = self._traces.folding(records_of_fetch, decoded.frames) if tracing.on() else nullcontext()
        with folding:
            for closing in self._partition.fold(decoded.frames):
                for refused in closing.refused:
                    place_of_offset = place_of_offset or {offset: i for i, offset in enumerate(offsets)}
                    place = place_of_offset[refused.offset]
                    letter = letters.setdefault(place, DeadLetter(records_of_fetch[place], int(decoded.sizes[place])))
                    letter.add(refused.error_class, refused.problems, refused.rows)
                await self._emit(closing)
        if letters:
            self._put_aside([letters[place] for place in sorted(letters)])
        self._tell_progress()
        # Also what a flood brought is put aside first: somebody will want to see what it is.
        self._guard.look_at_all(offsets, decoded.sizes.tolist(), letters)
        await self._shop.outbox.wait_for_room()

    async def checkpoint(self) -> int:
        began, cpu_before_s = time.perf_counter(), self._saver.cpu_s
        shop = self._shop
        with self._saver.counting():
            state = self._partition.snapshot(self._saver.known)
            state.arrays[FLOOD_GUARD] = self._guard.to_array()
        row = records.ledger_table(shop.kind.name, shop.topic, self._number, state.next_offset, state.counters)
        next_offset, difference = state.next_offset, state.counters.difference
        draft = await self._saver.draft(state)
        metrics.CHECKPOINT_CPU_SECONDS.labels(shop.domain, shop.kind.name).inc(self._saver.cpu_s - cpu_before_s)
        del state  # the flush may wait for hours, and an hour's windows are not held twice meanwhile
        # The ledger tells, and a checkpoint covers, only what is stored and produced.
        await shop.outbox.flush()
        shop.outbox.put({f"{shop.domain}.ledger": row})
        await shop.outbox.flush()
        size = await self._saver.save(draft)
        metrics.LEDGER_DIFFERENCE.labels(shop.domain, shop.kind.name, str(self._number)).set(difference)
        metrics.CHECKPOINT_BYTES.labels(shop.domain, shop.kind.name, str(self._number)).set(size)
        metrics.CHECKPOINT_SECONDS.labels(shop.domain, shop.kind.name).observe(time.perf_counter() - began)
        return next_offset

    def close(self) -> None:
        self.watermark_ms = None
        # Somebody may still know this handler, but nobody needs what it held.
        self._partition = Partition(self._shop.domain, self._shop.kind, self._number, self._shop.cities)
        self._saver = self._make_saver()
        self._decoder, self._names = Decoder(self._shop.contract), None
        self._traces = FrameTraces()
        metrics.forget_partition(self._shop.domain, self._shop.kind.name, self._number)

    async def _emit(self, closing: Closing) -> None:
        for batch in closing.batches:
            if not len(batch):  # nobody told anything: that is not stored, but may be worth a signal
                if signals := [self._placed(s) for s in self._partition.detect(batch)]:
                    self._put_signals(signals)
                continue
            with self._telling(batch):
                # First the windows: a baseline as of a moment within this batch is computed from rows before it, too.
                for part in _slices(batch):
                    self._put_windows(part, closing.watermark_ms)
                    await self._shop.outbox.wait_for_room()
                completed = await self._complete(batch)
                self._put_indices(completed)
                signals = await self._find_signals(completed)
                if signals:
                    self._put_signals(signals)
        for batch in closing.early:
            self._put_early(batch, closing.watermark_ms)
        for late in closing.late:
            self._put_late(late)

    def _telling(self, batch: WindowBatch) -> AbstractContextManager[None]:
        """What is put meanwhile comes of the sampled frames that these windows hold."""
        return self._traces.closing(batch, self._partition.slots_of) if tracing.on() else nullcontext()

    async def _complete(self, batch: WindowBatch) -> WindowBatch:
        """With numbers of its entities and what holds in its cities, as far as somebody judges it."""
        judges = self._shop.kind.judges_of(batch.window.name)
        if not judges:
            return batch
        await self._ask_for_unknown(batch)
        return self._with_facts(batch, judges)

    def _put_indices(self, batch: WindowBatch) -> None:
        for index in self._shop.kind.indices:
            if index.window == batch.window.name:
                table = records.index_table(batch, index.compute(batch), self._number, self._names_of(batch))
                self._shop.outbox.put({f"{self._shop.domain}.{index.name}": table})

    async def _find_signals(self, batch: WindowBatch) -> list[Signal]:
        if not any(d.window == batch.window.name for d in self._shop.kind.detectors):
            return []
        signals: list[Signal] = []
        for part in await self._with_baselines(batch):
            signals += self._partition.detect(part)
        return [self._placed(s) for s in signals]

    def _with_facts(self, batch: WindowBatch, judges: Sequence[Detector | Index]) -> WindowBatch:
        """The batch with what is known of its entities and cities, as far as somebody asks for it."""
        wanted = {name: default for judge in judges for name, default in judge.attributes}
        followers = [judge.follower for judge in judges if isinstance(judge, Detector) and judge.follower is not None]
        labels = {follower.label for follower in followers if follower.label}
        numbers, words = self._facts.of(batch, wanted, labels) if wanted or labels else ({}, {})
        return replace(batch, places=self._shop.places, attributes=numbers, labels=words)

    async def _with_baselines(self, batch: WindowBatch) -> list[WindowBatch]:
        """The batch with what is normal for its rows; several where they are judged by baselines of several dates."""
        book = self._shop.book
        if book is None or not book.serves(batch):
            return [batch]
        pages = await book.pages(self._number, batch)
        if len(pages) == 1:
            return [replace(batch, baseline=pages[0][1])]
        return [_part(batch, rows, baseline) for rows, baseline in pages]

    async def _ask_for_unknown(self, batch: WindowBatch) -> None:
        """An entity that was told of a moment ago may still be on its way: wait for it once."""
        registry = self._shop.registry
        if any(registry.get(city, self._shop.domain, entity) is None for city, entity in self._newcomers.take(batch)):
            await registry.refresh()

    def _placed(self, signal: Signal) -> Signal:
        entity = self._shop.registry.get(signal.city, signal.domain, signal.entity_id)
        if entity is None:
            return signal
        if attributes := self._shop.registry.attributes(signal.city, entity):
            signal = replace(signal, attributes=attributes)
        if not entity.HasField("position"):
            return signal
        latitude, longitude = entity.position.latitude, entity.position.longitude
        return replace(signal, latitude=latitude, longitude=longitude, h3_cell=cell_of(latitude, longitude))

    def _put_windows(self, batch: WindowBatch, watermark_ms: int) -> None:
        shop = self._shop
        rows = records.windows_table(batch, self._number, self._names_of(batch))
        shop.outbox.put(
            {f"{shop.domain}.{shop.kind.name}_windows": rows},
            self._window_records(catalogue.windows(shop.domain), batch, watermark_ms),
        )
        metrics.WINDOWS.labels(shop.domain, shop.kind.name, batch.window.name).inc(len(batch))

    def _put_early(self, batch: WindowBatch, watermark_ms: int) -> None:
        """To those who asked for it, and to nobody else: it is not stored, and no detector sees it."""
        topic = catalogue.early_windows(self._shop.domain)
        self._shop.outbox.put({}, self._window_records(topic, batch, watermark_ms))

    def _window_records(self, topic: str, batch: WindowBatch, watermark_ms: int) -> list[Outgoing]:
        shop = self._shop
        names = self._names_of(batch)
        frames = records.window_frames(shop.domain, shop.kind.name, self._number, watermark_ms, batch, names)
        key = f"{shop.kind.name}/{self._number}".encode()
        return [Outgoing(topic, self._number, key, frame, records.PROTOBUF) for frame in frames]

    def _names_of(self, batch: WindowBatch) -> SlotNames:
        self._names = SlotNames.of(batch, self._names)
        return self._names

    def _put_signals(self, signals: Sequence[Signal]) -> None:
        shop = self._shop
        told = [records.signal_record(signal) for signal in signals]
        partitions = partitions_of_keys([key.decode() for key, _, _ in told], shop.signal_partitions).tolist()
        outgoing = [Outgoing(catalogue.SIGNALS, p, *record) for p, record in zip(partitions, told, strict=True)]
        for type_of_signal, count in Counter(signal.type for signal in signals).items():
            metrics.SIGNALS.labels(shop.domain, type_of_signal).inc(count)
        shop.outbox.put({f"{shop.domain}.signals": records.signals_table(signals)}, outgoing)

    def _put_late(self, late: Late) -> None:
        shop = self._shop
        found = late_records(shop.contract, late)
        place = (
            *records.PROTOBUF,
            ("urban_kind", shop.kind.name.encode()),
            ("urban_topic", shop.topic.encode()),
            ("urban_partition", str(self._number).encode()),
        )
        topic = catalogue.late(shop.domain)
        shop.outbox.put({}, [Outgoing(topic, 0, key, value, [*place, *headers]) for key, value, headers in found])

    def _put_aside(self, letters: Sequence[DeadLetter]) -> None:
        topic = catalogue.dead_letters(self._shop.domain)
        outgoing = [Outgoing(topic, 0, d.key, d.value, d.headers()) for d in letters]
        rows = dead_letters_table(self._shop.kind.name, letters)
        self._shop.outbox.put({f"{self._shop.domain}.dead_letters": rows}, outgoing)
        first = letters[0]
        log.warning(
            "dead_lettered",
            topic=first.record.topic,
            partition=self._number,
            offset=first.record.offset,
            error=first.error,
            records=len(letters),
        )

    def _tell_progress(self) -> None:
        domain, kind, partition = self._shop.domain, self._shop.kind.name, self._partition
        for name in ("folded", "duplicate", "late", "dead_lettered"):
            grown = getattr(partition.counters, name) - getattr(self._counted, name)
            metrics.OBSERVATIONS.labels(domain, kind, name).inc(grown)
        self._counted = replace(partition.counters)
        if time.monotonic() >= self._count_again_s:
            self._count_again_s = time.monotonic() + COUNT_INTERVAL_S
            metrics.OPEN_WINDOWS.labels(domain, kind, str(self._number)).set(partition.open_windows)
            metrics.DEAD_LETTER_SHARE.labels(domain, kind, str(self._number)).set(self._guard.share)
        watermark_ms = partition.watermark_ms
        if watermark_ms is not None and watermark_ms != NO_WATERMARK:
            step_ms = self._shop.step_ms
            if self.watermark_ms is None or watermark_ms // step_ms > self.watermark_ms // step_ms:
                self._shop.passed_end.set()
            self.watermark_ms = watermark_ms
            metrics.WATERMARK.labels(domain, kind, str(self._number)).set(watermark_ms / 1000)


def _slices(batch: WindowBatch) -> Iterator[WindowBatch]:
    """The batch in pieces: what a full partition tells at one moment takes some 200 MB as rows and records."""
    if len(batch) <= MAXIMUM_PUT_ROWS:
        yield batch
        return
    for begin in range(0, len(batch), MAXIMUM_PUT_ROWS):
        yield _part(batch, np.arange(begin, min(begin + MAXIMUM_PUT_ROWS, len(batch))), None)


def _part(batch: WindowBatch, rows: NDArray[np.int64], baseline: BaselineColumns | None) -> WindowBatch:
    return replace(
        batch,
        slot=batch.slot[rows],
        start_ms=batch.start_ms[rows],
        revision=batch.revision[rows],
        measures={name: values[rows] for name, values in batch.measures.items()},
        previous={name: values[rows] for name, values in batch.previous.items()},
        history={name: values[rows] for name, values in batch.history.items()},
        attributes={name: values[rows] for name, values in batch.attributes.items()},
        labels={name: values[rows] for name, values in batch.labels.items()},
        baseline=baseline,
        ends_ms=None if batch.ends_ms is None else batch.ends_ms[rows],
    )
