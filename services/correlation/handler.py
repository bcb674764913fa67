"""Correlates one partition of the signal topic: records in, incidents out, state in checkpoints.

What people did with incidents comes on a topic of its own, read here without a group, and so do planned events. Their
offsets lie in the same checkpoint as the state that they led to, so that a restart folds every action once more or not
at all, and either gives the same: what counts is an action's place in its topic. Versions that were told since the
checkpoint say in which order signals and actions were folded; so they get the same numbers again (`order`).

The rules in force are part of the state; those in the folder are what is wanted. Other ones come into force at the
offset of a checkpoint that says so, before anything that they find is told: a restart brings them in at that place.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable, Coroutine, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Any

import structlog
from aiokafka.structs import ConsumerRecord

from services.core.correlation.action import Action
from services.core.correlation.correlator import Correlator
from services.core.correlation.horizon import SignalPlaces
from services.core.correlation.incident import Incident
from services.core.correlation.planned import PlannedEvent
from services.core.correlation.rebuild import Rebuild
from services.core.correlation.rulebook import Rulebook, RulebookState
from services.core.correlation.shadow import Shadows
from services.core.correlation.state import CorrelatorState
from services.core.signals import Signal
from services.correlation.checkpoint import DOMAIN, KIND, Saved, checkpoint_of, saved_in
from services.correlation.hands import AUDIT_TABLE, NEW_RULES, Audited, Cause, audit_table
from services.correlation.held_signals import Held, HeldSignals
from services.correlation.intake import BadRecordError, read_action, read_planned_event, read_signal_record
from services.correlation.order import Read, Turn, turns_of
from services.correlation.rebuilding import Rebuilder, Reload, sources_of
from services.correlation.rule_watch import RuleWatch
from services.correlation.rules import RuleFile, RuleFileError
from services.correlation.shadowing import run_rows, shadow_rows, turns
from services.correlation.signal_traces import SignalTraces
from services.correlation.told import Told
from services.correlation.wire import TABLE, IncidentWriter
from services.runtime import metrics, tracing
from services.runtime.catalogue import INCIDENT_ACTIONS, INCIDENTS, PLANNED_EVENTS, SIGNALS
from services.runtime.checkpoints import CheckpointStore, UnknownLayoutError
from services.runtime.log import FROM_BEGINNING, LogReader, LogRecord, OpenReader
from services.runtime.outbox import Outbox
from services.runtime.part_writer import PartWriter
from urban.common.v1.checkpoint_pb2 import Checkpoint

log = structlog.get_logger(__name__)

# So many records are taken before others on the loop get their turn.
TURN_RECORDS = 256
READ_SIDES_S = 1.0
MUTING = ("limited", "flapping", "inhibited")
RESULTS = ("taken", "repeated", "unmatched", "settled", "overflow")
# Topics that are read beside the signals, and how.
_SIDES: Mapping[str, Callable[[LogRecord], Action | PlannedEvent]] = {
    INCIDENT_ACTIONS: lambda record: read_action(record.value, record.offset),
    PLANNED_EVENTS: lambda record: read_planned_event(record.value),
}


@dataclass(frozen=True)
class CorrelationSetup:
    """What every partition's handler is made with."""

    rules: RuleWatch
    silence_ms: int
    store: CheckpointStore
    outbox: Outbox
    open_reader: OpenReader


class CorrelationHandler:
    """The handler of one partition (see `PartitionHandler`)."""

    def __init__(self, setup: CorrelationSetup, partition: int) -> None:
        self._setup, self._partition = setup, partition
        self._files: dict[tuple[str, int], RuleFile] = {}  # of the rules that are followed, by name and version
        self._correlator = self._open(())
        self._shadows = Shadows()  # rules that are only tried
        self._noted: list[Incident] = []  # what they would have told, and is not kept yet
        self._places = SignalPlaces()
        self._reload: Reload | None = None  # comes into force at the next checkpoint
        self._writer = IncidentWriter()
        self._held = HeldSignals()
        self._parts = PartWriter(setup.store, partition)
        self._traces = SignalTraces()
        self._next_offset = 0
        self._offsets = dict.fromkeys(_SIDES, 0)  # of the topics that are read beside the signals
        self._refused = 0
        self._told = Told(setup.open_reader, partition)
        self._told_signals = 0  # next offset of the signals when the last version was told before the start
        self._turns: deque[Turn] = deque()  # what was folded before the kill, in that order
        self._sides: dict[str, deque[LogRecord]] = {topic: deque() for topic in _SIDES}  # read, and not folded
        self._free = asyncio.Event()  # whether the topics beside the signals may be folded as they come
        self._following: list[asyncio.Task[None]] = []
        self._shown: dict[str, int] = {}

    def _open(self, files: Sequence[RuleFile], state: RulebookState | None = None) -> Rulebook:
        rules = [file.rule for file in files]
        self._know(files)
        return Rulebook(rules, sources_of(rules), silence_ms=self._setup.silence_ms, state=state)

    def _open_shadows(self, files: Sequence[RuleFile], states: Sequence[CorrelatorState]) -> Shadows:
        rules = [file.rule for file in files]
        self._know(files)
        return Shadows.restore(rules, sources_of(rules), states, silence_ms=self._setup.silence_ms)

    def _begin(self, files: Sequence[RuleFile]) -> None:
        """Starts with nothing known."""
        self._correlator = self._open([file for file in files if not file.shadow])
        self._know(files)
        tried = [file.rule for file in files if file.shadow]
        sources, silence_ms = sources_of(tried), self._setup.silence_ms
        self._shadows = Shadows(Correlator((rule,), sources, silence_ms=silence_ms) for rule in tried)
        self._setup.outbox.put(run_rows(turns((), files), None, 0))

    def _know(self, files: Sequence[RuleFile]) -> None:
        self._files |= {(file.rule.name, file.rule.version): file for file in files}

    async def restore(self) -> int | None:
        """Loads the newest checkpoint, and goes on by the rules in it. RuleFileError: no checkpoint, and no rules."""
        began = time.perf_counter()
        found = await self._load()
        if found is None:
            self._begin(self._setup.rules.wanted)
        else:
            self._correlator = self._open(found.rules, found.state)
            self._shadows = self._open_shadows(found.shadows, found.shadow_states)
            self._next_offset, self._refused = found.next_offset, found.refused
            self._offsets = {INCIDENT_ACTIONS: found.actions_offset, PLANNED_EVENTS: found.planned_offset}
            self._shown = {result: getattr(found.state.counters, result) for result in RESULTS}
            self._places = SignalPlaces(found.places)
            if found.coming is not None:
                await self._rebuild(found.coming)
                self._put_in_force()
        self._setup.rules.follow((*self._correlator.rules, *self._shadows.rules))
        start = Read(self._next_offset, *self._offsets.values())
        reads = await self._told.read(found.told_offset if found is not None else None)
        self._told_signals = max((read.signals for read in reads), default=0)
        self._turns.extend(turns_of(reads, start))
        self._following.append(asyncio.create_task(self._told.follow(lambda: self._is_back), name=INCIDENTS))
        for topic in _SIDES:
            reader = self._setup.open_reader(topic)
            await reader.start({0: self._offsets[topic]} if found is not None else FROM_BEGINNING)
            await self._read_side(topic, reader)
            self._following.append(asyncio.create_task(self._follow(topic, reader), name=topic))
        self._publish(self._take_turns())
        self._following.append(asyncio.create_task(self._follow_rules(), name="rules"))
        metrics.RESTORE_SECONDS.labels(DOMAIN, KIND).observe(time.perf_counter() - began)
        return self._next_offset if found is not None else None

    async def _load(self) -> Saved | None:
        try:
            newest = await self._setup.store.load(self._partition)
            if newest is None:
                return None
            saved, self._held = saved_in(newest.checkpoint, newest.parts)
            self._parts = PartWriter(self._setup.store, self._partition, newest.obsolete)
            return saved
        except (UnknownLayoutError, RuleFileError) as error:
            log.warning("checkpoint_of_another_version", error=str(error), reading="signals from the beginning")
            return None

    async def handle(self, records: Sequence[ConsumerRecord]) -> None:
        """Takes one fetch of the signal topic."""
        for start in range(0, len(records), TURN_RECORDS):
            self._raise_failure()
            changes: list[Audited] = []
            for record in records[start : start + TURN_RECORDS]:
                versions = self._take(record)
                self._next_offset = record.offset + 1
                changes += self._audited(versions, Cause(SIGNALS, record.offset))
                if not self._free.is_set():
                    changes += self._take_turns()
            self._publish(changes)
            self._note()
            await asyncio.sleep(0)
        self._show()
        await self._setup.outbox.wait_for_room()

    @property
    def goes_on(self) -> bool:
        """Whether signals may be taken while a checkpoint is written; between a state and its new rules none comes."""
        return self._reload is None

    def begin_checkpoint(self) -> Coroutine[Any, Any, int]:
        """Takes the state as it is. What is given flushes what was told, saves the state, and gives what to commit."""
        self._raise_failure()
        began, reload = time.perf_counter(), self._reload
        if reload is not None:
            # After a kill the new rules come first.
            self._free.clear()
        saved = Saved(
            self._correlator.snapshot(signals=False),
            self._next_offset,
            self._offsets[INCIDENT_ACTIONS],
            self._offsets[PLANNED_EVENTS],
            self._refused,
            tuple(self._files[rule.name, rule.version] for rule in self._correlator.rules),
            reload.files if reload is not None else None,
            self._places.snapshot(),
            tuple(self._files[rule.name, rule.version] for rule in self._shadows.rules),
            self._shadows.snapshot(signals=False),
            self._told.offset,
        )
        held = self._held.take(self._correlator.changes() | self._shadows.changes())
        self._writer.forget()
        return self._save(checkpoint_of(self._partition, saved, held), held, reload, began)

    async def checkpoint(self) -> int:
        """All of it at once."""
        return await self.begin_checkpoint()

    async def _save(self, message: Checkpoint, held: Held, reload: Reload | None, began: float) -> int:
        await self._setup.outbox.flush()
        parts = await held.write(self._parts)
        size = await self._parts.save(message, parts)
        metrics.CHECKPOINT_SECONDS.labels(DOMAIN, KIND).observe(time.perf_counter() - began)
        size_of_parts = sum(part.size for _, part in parts)
        metrics.CHECKPOINT_BYTES.labels(DOMAIN, KIND, str(self._partition)).set(size + size_of_parts)
        if reload is not None:
            self._put_in_force()
            self._free_sides()
        return message.next_offset

    def close(self) -> None:
        """Forgets the partition."""
        for task in self._following:
            task.cancel()
        metrics.forget_partition(DOMAIN, KIND, self._partition)

    def _take(self, record: ConsumerRecord) -> list[Incident]:
        try:
            found = read_signal_record(record.value)
        except BadRecordError as error:
            self._refuse(SIGNALS, record.partition, record.offset, error)
            return []
        if isinstance(found, Signal):
            self._places.put(found.start_ms, record.offset, self._correlator.event_ms)
        if self._reload is not None:
            self._reload.rebuild.take(found, record.timestamp)
        self._noted += self._shadows.take(found, record.timestamp)
        if tracing.on() and isinstance(found, Signal):
            with self._traces.taking(record, found.id):
                return self._correlator.take(found, record.timestamp)
        return self._correlator.take(found, record.timestamp)

    async def _follow_rules(self) -> None:
        """Prepares what is wanted, one set of rules after the other; `checkpoint` puts it in force."""
        while True:
            files = await self._setup.rules.other_than(lambda: self._correlator.in_force, lambda: self._shadows.rules)
            await self._rebuild(files)
            assert self._reload is not None
            await self._reload.done.wait()

    async def _rebuild(self, files: tuple[RuleFile, ...]) -> None:
        def ready(rebuild: Rebuild) -> None:
            self._reload = Reload(files, rebuild)

        # A rule that was tried until now knows all that it would be rebuilt for.
        known = {*self._correlator.in_force, *self._shadows.rules}
        rebuilder = Rebuilder(
            self._partition,
            self._setup.silence_ms,
            self._setup.open_reader,
            self._places,
            lambda: self._next_offset,
        )
        changed = [file.rule for file in files if not file.shadow and file.rule not in known]
        tried = [file.rule for file in files if file.shadow and not self._shadows.knows(file.rule)]
        await rebuilder.rebuild(changed, self._correlator.event_ms, ready, tried)

    def _put_in_force(self) -> None:
        """The rules that were rebuilt take the place of the others, at the offset of a checkpoint that names them."""
        reload, self._reload = self._reload, None
        assert reload is not None
        rules, tried = ([f.rule for f in reload.files if f.shadow is shadow] for shadow in (False, True))
        became = turns(self._shadows.rules, reload.files)
        promoted = self._shadows.promoted(rules)
        changes = self._correlator.reload(rules, {**reload.rebuild.correlators, **promoted})
        self._shadows, found = self._shadows.replaced(tried, reload.rebuild.shadows, self._correlator.planned)
        self._know(reload.files)
        followed = (*self._correlator.rules, *self._shadows.rules)
        self._files = {(r.name, r.version): self._files[r.name, r.version] for r in followed}
        self._publish(self._audited(changes, Cause(NEW_RULES, self._next_offset)))
        self._noted += found
        self._note()
        self._setup.outbox.put(run_rows(became, self._correlator.event_ms, self._next_offset))
        self._setup.rules.follow(followed)
        made = (*reload.rebuild.correlators.values(), *reload.rebuild.shadows.values())
        rebuilt = sorted(f"{c.rules[0].name} {c.rules[0].version}" for c in made)
        log.info("rules_in_force", partition=self._partition, offset=self._next_offset, rebuilt=rebuilt)
        reload.done.set()

    def _refuse(self, topic: str, partition: int, offset: int, error: BadRecordError) -> None:
        # Only our own services write here, so there is no dead-letter topic; the record stays where it is.
        self._refused += 1
        metrics.CORRELATION_SIGNALS.labels("refused").inc()
        log.warning("record_refused", topic=topic, partition=partition, offset=offset, error=str(error))

    def _audited(self, versions: Sequence[Incident], cause: Cause) -> list[Audited]:
        if not versions:
            return []
        read = Read(self._next_offset, self._offsets[INCIDENT_ACTIONS], self._offsets[PLANNED_EVENTS])
        return [Audited(i, self._correlator.event_ms_of(i.rule) or 0, cause, read) for i in versions]

    def _publish(self, changes: Sequence[Audited]) -> None:
        if not changes:
            return
        incidents = [change.incident for change in changes]
        newest = {incident.id: incident for incident in incidents}
        records = [self._writer.record(change.incident, change.read) for change in changes]
        rows = {TABLE: self._writer.table(list(newest.values())), AUDIT_TABLE: audit_table(changes)}
        with self._traces.telling(incidents) if tracing.on() else nullcontext():
            self._setup.outbox.put(rows, records)
        for incident in incidents:
            metrics.INCIDENTS.labels(incident.rule, incident.state.name.lower()).inc()
            for change in incident.changes:
                if change.what in MUTING:
                    metrics.INCIDENTS_MUTED.labels(incident.rule, change.what).inc()

    def _note(self) -> None:
        """Keeps what rules that are only tried would have told, where nobody is told of it."""
        if self._noted:
            noted, self._noted = self._noted, []
            self._setup.outbox.put(shadow_rows(self._writer, noted))
            for incident in noted:
                metrics.SHADOW_INCIDENTS.labels(incident.rule, incident.state.name.lower()).inc()

    async def _read_side(self, topic: str, reader: LogReader) -> None:
        """Reads what has its turn, and perhaps more."""
        until = max((turn.until for turn in self._turns if turn.topic == topic), default=0)
        end = min(until, (await reader.end_offsets())[0])
        while (await reader.positions())[0] < end:
            self._sides[topic] += await reader.read(READ_SIDES_S)

    def _take_turns(self) -> list[Audited]:
        """Folds again what was folded before the next signal."""
        changes: list[Audited] = []
        while self._turns and self._turns[0].signals <= self._next_offset:
            turn = self._turns.popleft()
            waiting = self._sides[turn.topic]
            while waiting and waiting[0].offset < turn.until:
                changes += self._fold(waiting.popleft())
        self._free_sides()
        return changes

    def _free_sides(self) -> None:
        """What nobody has told yet comes behind all that was told."""
        if self._is_back:
            self._free.set()

    @property
    def _is_back(self) -> bool:
        """Whether the state is that of the last version that was told before the start, or a later one."""
        return not self._turns and self._next_offset >= self._told_signals

    async def _follow(self, topic: str, reader: LogReader) -> None:
        waiting = self._sides[topic]
        try:
            while True:
                await self._free.wait()
                while waiting:
                    self._publish(self._fold(waiting.popleft()))
                waiting += await reader.read(READ_SIDES_S)
        finally:
            await reader.stop()

    def _fold(self, record: LogRecord) -> list[Audited]:
        self._offsets[record.topic] = record.offset + 1
        try:
            found = _SIDES[record.topic](record)
        except BadRecordError as error:
            self._refuse(record.topic, record.partition, record.offset, error)
            return []
        cause = Cause(record.topic, record.offset)
        if isinstance(found, Action):
            return self._audited(self._correlator.act(found), cause)
        self._noted += self._shadows.plan(found)
        self._note()
        return self._audited(self._correlator.plan(found), cause)

    def _raise_failure(self) -> None:
        for task in self._following:
            if task.done() and not task.cancelled():
                task.result()

    def _show(self) -> None:
        correlator = self._correlator
        if correlator.event_ms is not None:
            gauge = metrics.WATERMARK.labels(DOMAIN, KIND, str(self._partition))
            gauge.set(correlator.event_ms / 1000)
        metrics.INCIDENTS_STANDING.set(correlator.standing)
        metrics.SIGNALS_WAITING.set(correlator.waiting)
        metrics.SILENT_PARTITIONS.set(len(correlator.silent()))
        if dropped := correlator.dropped - self._shown.get("dropped", 0):
            metrics.INCIDENTS_MUTED.labels("", "dropped").inc(dropped)
            self._shown["dropped"] = correlator.dropped
        metrics.ACTIONS_DROPPED.inc(correlator.dropped_actions - self._shown.get("dropped_actions", 0))
        self._shown["dropped_actions"] = correlator.dropped_actions
        for result in RESULTS:
            total = getattr(correlator.counters, result)
            metrics.CORRELATION_SIGNALS.labels(result).inc(total - self._shown.get(result, 0))
            self._shown[result] = total
