"""Sends the observations of dead letters to their topics again, or says what would become of them."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Callable, Collection, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from datetime import UTC, datetime

import pyarrow as pa

from services.cli.addresses import Addresses
from services.cli.letters import LetterRow, Place, by_domain, kind_of_topic, read_letters
from services.cli.log_view import LogView
from services.core.frame import Frame, Malformed, Problem
from services.runtime.clickhouse import ClickHouse
from services.runtime.codec import decode_record, encode_frame
from services.runtime.contracts import FrameContract
from services.runtime.dead_letters import UNKNOWN
from services.runtime.entities import EntityRegistry
from services.runtime.log import LogRecord
from services.runtime.producer import KafkaWriter, acknowledged
from services.runtime.records import PROTOBUF, TIME
from services.runtime.replay import (
    REPLAY_OF,
    Letter,
    NotReplayableError,
    Rehearsal,
    Verdict,
    number_frames,
    open_letter,
)

# The last records of a partition, which tell the city's clock and how far event time has come.
TAIL_RECORDS = 200
ACKNOWLEDGE_TIMEOUT_S = 60.0
# Letters that are marked in one insert. Those of one that was not made are sent again, and folded once.
MARKED_AT_ONCE = 100


@dataclass(frozen=True)
class Replayed:
    """What became, or would become, of one letter."""

    letter: Letter
    frames: tuple[Frame, ...] = ()
    verdict: Verdict | None = None  # None: nothing of it can be sent
    left_out: tuple[Problem, ...] = ()  # what no frame can hold
    reason: str = ""  # why it is not sent
    offset: int = -1  # where its first frame lies now; -1: it was not sent

    @property
    def sendable(self) -> bool:
        return not self.reason

    @property
    def failed(self) -> bool:
        """Whether somebody has to look: its observations are not in, and were not sent."""
        return bool(self.reason) and not (self.verdict and self.verdict.duplicate)

    @property
    def observations(self) -> int:
        return sum(map(len, self.frames))


class Replayer:
    """One run over some letters."""

    def __init__(self, kafka: str, log: LogView, clickhouse: ClickHouse, writer: KafkaWriter | None) -> None:
        """`kafka`: bootstrap servers; `log` is for this run alone, not that which the letters are read from; `writer`
        None: nothing is sent."""
        self._kafka, self._log, self._clickhouse, self._writer = kafka, log, clickhouse, writer
        self._registry: EntityRegistry | None = None
        self._contracts: dict[str, FrameContract] = {}
        self._rehearsals: dict[tuple[str, int, bool], Rehearsal] = {}
        self._unmarked: list[Replayed] = []

    async def replay(self, letters: AsyncIterator[Letter]) -> AsyncIterator[Replayed]:
        """Each letter in its turn; told when its frames are in the log. Marks what was sent."""
        try:
            async for letter in letters:
                found = await self._plan(letter)
                if found.sendable and self._writer is not None:
                    found = await self._send(self._writer, found)
                yield found
        finally:
            await self._mark()

    async def _plan(self, letter: Letter) -> Replayed:
        contract = self._contract(letter.topic)
        try:
            opened = open_letter(contract, letter)
        except NotReplayableError as error:
            return Replayed(letter, reason=str(error))
        if not opened.frames:
            what = opened.unreadable[0] if opened.unreadable else "it holds none of what was refused"
            return Replayed(letter, left_out=opened.unreadable, reason=f"cannot be read: {what}")
        rehearsal = await self._rehearse(contract, letter)
        reached_ms = rehearsal.reached_ms
        clock_ms = time.time_ns() // 1_000_000 if reached_ms is None else reached_ms
        frames = tuple(number_frames(letter, opened, clock_ms))
        verdict = rehearsal.judge(frames)
        problems = tuple(Problem(int(opened.rows[p.index]), p.field, p.value, p.reason) for p in verdict.problems)
        verdict = Verdict(verdict.folded, verdict.duplicate, verdict.late, verdict.refused, problems)
        reason = ""
        if not verdict.taken:
            reason = "was sent before" if verdict.duplicate else f"would be refused again: {problems[0]}"
        return Replayed(letter, frames, verdict, opened.unreadable, reason)

    def _contract(self, topic: str) -> FrameContract:
        if topic not in self._contracts:
            domain, kind = kind_of_topic(topic)
            self._contracts[topic] = FrameContract.of(domain.name, kind)
        return self._contracts[topic]

    async def _rehearse(self, contract: FrameContract, letter: Letter) -> Rehearsal:
        place = (letter.topic, letter.partition)
        # What was put aside because nobody had told of the entity gets in when somebody has.
        asks = letter.error_class == UNKNOWN
        if (*place, asks) not in self._rehearsals:
            held = await self._log.held(*place)
            tail: list[Frame | Malformed] = []
            async for r in self._log.read(*place, max(held.begin, held.end - TAIL_RECORDS), held.end):
                tail += _decoded(contract, r)
            known = (await self._entities()).ids(contract.domain) if asks else None
            self._rehearsals[*place, asks] = Rehearsal(contract, letter.partition, tail, known)
        return self._rehearsals[*place, asks]

    async def _entities(self) -> EntityRegistry:
        """All that are known now."""
        if self._registry is None:
            registry = EntityRegistry(self._kafka)
            await registry.start()
            await registry.stop()
            self._registry = registry
        return self._registry

    async def _send(self, writer: KafkaWriter, found: Replayed) -> Replayed:
        letter, contract = found.letter, self._contract(found.letter.topic)
        headers = [*PROTOBUF, (REPLAY_OF, letter.id.encode())]
        sent = [
            await writer.send(
                letter.topic, encode_frame(contract, f), partition=letter.partition, key=letter.key, headers=headers
            )
            for f in found.frames
        ]
        offsets = [(await acknowledged(future, ACKNOWLEDGE_TIMEOUT_S)).offset for future in sent]
        done = Replayed(letter, found.frames, found.verdict, found.left_out, offset=offsets[0])
        self._unmarked.append(done)
        if len(self._unmarked) >= MARKED_AT_ONCE:
            await self._mark()
        return done

    async def _mark(self) -> None:
        done, self._unmarked = self._unmarked, []
        by_domain: dict[str, list[Replayed]] = {}
        for found in done:
            by_domain.setdefault(self._contract(found.letter.topic).domain, []).append(found)
        for domain, of_domain in by_domain.items():
            await self._clickhouse.insert(f"{domain}.dead_letter_replays", replays_table(of_domain))


def _decoded(contract: FrameContract, record: LogRecord) -> Sequence[Frame | Malformed]:
    return decode_record(contract, record.value, record.headers, record.timestamp_ms, record.offset)


def replays_table(done: Sequence[Replayed]) -> pa.Table:
    """Rows of `<domain>.dead_letter_replays`."""
    now = datetime.now(UTC)
    return pa.table(
        {
            "topic": pa.array([d.letter.topic for d in done], pa.string()),
            "kafka_partition": pa.array([d.letter.partition for d in done], pa.uint32()),
            "kafka_offset": pa.array([d.letter.offset for d in done], pa.int64()),
            "replay_offset": pa.array([d.offset for d in done], pa.int64()),
            "observations": pa.array([d.observations for d in done], pa.uint32()),
            "replayed_time": pa.array([now] * len(done), TIME),
        }
    )


async def replay_letters(
    addresses: Addresses,
    places: Collection[Place],
    rows: Sequence[LetterRow],
    dry_run: bool,
    tell: Callable[[Replayed], None] | None,
) -> list[Replayed]:
    """Replay these letters; `rows` is what ClickHouse knows of them, `tell` hears of each when it is done."""
    outcomes: list[Replayed] = []
    async with AsyncExitStack() as parts:
        letters = await parts.enter_async_context(LogView(addresses.kafka))
        tails = await parts.enter_async_context(LogView(addresses.kafka))
        clickhouse = await ClickHouse.connect(addresses.clickhouse)
        parts.push_async_callback(clickhouse.close)
        writer = None if dry_run else KafkaWriter(addresses.kafka)
        if writer is not None:
            parts.push_async_callback(writer.stop)
            await writer.start()
        replayer = Replayer(addresses.kafka, tails, clickhouse, writer)
        for domain, wanted, since in by_domain(places, rows):
            async for outcome in replayer.replay(read_letters(letters, domain, wanted, since)):
                outcomes.append(outcome)
                if tell is not None:
                    tell(outcome)
    return outcomes
