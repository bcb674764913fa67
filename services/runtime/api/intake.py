"""The way of one kind's frames into the log: checked, stamped with the city's clock, split by partition, written."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from services.core.frame import Frame, Problem
from services.core.known import KnownEntities
from services.core.validation import UNKNOWN_ENTITY, InvalidFrame, validate
from services.runtime import metrics, tracing
from services.runtime.api.clock import NO_CLOCK, CityClocks
from services.runtime.api.gathering import Gathering
from services.runtime.api.splitter import Record, Splitter
from services.runtime.catalogue import observations
from services.runtime.codec import encode_announcement, encode_heartbeat, select_rows
from services.runtime.contracts import FrameContract
from services.runtime.dictionaries import RawDictionaries
from services.runtime.log import Acknowledged, Headers, LogWriter, Unsent
from services.runtime.partitioner import partitions_of
from services.runtime.producer import acknowledged
from services.runtime.rows import time_text
from services.runtime.tracing import Span

# What ReportResponse and ReportFramesResponse list at most.
MAX_REJECTIONS = 1000
ACKNOWLEDGE_SECONDS = 60.0
# Made up: nothing is ever observed there.
CANARY_CITY, CANARY_ENTITY = "urban-canary", "canary"
# Entities of one announcement: 1.3 MB of the longest ids.
MAX_ANNOUNCED = 10_000

_HEADERS = (("content-type", b"application/protobuf"),)


@dataclass(frozen=True)
class Receipt:
    """What became of one frame: how many observations were taken, why the others were not, and what is on its way."""

    accepted: int
    rejected: int
    problems: Sequence[Problem] = ()  # all of them, by index
    sent: Sequence[asyncio.Future[Acknowledged]] = field(default=(), repr=False)

    async def wait(self) -> None:
        """Returns when Kafka has acknowledged every part. LogError where one failed; then all is to be sent again."""
        for future in self.sent:
            await acknowledged(future, ACKNOWLEDGE_SECONDS)


class Intake:
    """Takes frames of one kind. Frames and heartbeats lie in each partition in the order in which they came here."""

    def __init__(self, contract: FrameContract, writer: LogWriter, clocks: CityClocks) -> None:
        self.contract = contract
        self.topic = observations(contract.domain, contract.kind.name)
        self.dictionaries = RawDictionaries()
        self.known: KnownEntities | None = None  # who asks for others is refused; None: nobody is
        self._writer = writer
        self._clocks = clocks
        self._splitter = Splitter(contract, 1)
        self._gatherings: list[Gathering] = []  # by partition
        labels = contract.domain, contract.kind.name
        self._accepted = metrics.REPORTED.labels(*labels, "accepted")
        self._rejected = metrics.REPORTED.labels(*labels, "rejected")
        self._order = asyncio.Lock()  # fair: first come, first written
        self._last_write_s: dict[int, float] = {}  # by partition, monotonic
        self._last_heartbeat_ms: dict[int, int] = {}  # by partition, the city's clock

    async def start(self) -> None:
        """Asks for the number of partitions. LogError where the topic is not there."""
        partitions = await self._writer.partitions(self.topic)
        self._splitter = Splitter(self.contract, partitions)
        self._gatherings = [Gathering(self._writer, self.topic, p) for p in range(partitions)]

    async def stop(self) -> None:
        """Returns when everything that was taken is on its way."""
        for gathering in self._gatherings:
            await gathering.flush()

    async def take(self, frame: Frame, span: Span | None = None) -> Receipt:
        """Writes the good observations of a frame; returns when they are on their way.

        `span`: what is told of it, and named in the headers of its records; ends when the log has all of them.
        """
        if span is None:
            return self.counted(await self._take(frame, _HEADERS))
        try:
            receipt = self.counted(await self._take(frame, (*_HEADERS, *span.origin.headers)))
        except BaseException as error:
            span.fail(f"{type(error).__name__}: {error}")
            span.end()
            raise
        span.tell({"urban.city": frame.city, "messaging.batch.message_count": len(receipt.sent)})
        span.tell({"urban.observations": receipt.accepted, "urban.refused": receipt.rejected})
        tracing.end_after(span, receipt.sent)
        return receipt

    def counted(self, receipt: Receipt) -> Receipt:
        """The same receipt, after the metrics have it."""
        self._accepted.inc(receipt.accepted)
        self._rejected.inc(receipt.rejected)
        return receipt

    async def _take(self, frame: Frame, headers: Headers) -> Receipt:
        if frame.heartbeat:
            return _refused_whole(frame, "header.heartbeat", "true", "heartbeats are written by the service only")
        if frame.announces:
            reason = "announcements are written by the service only: tell of entities by UpsertEntity"
            return _refused_whole(frame, "header.announces_entities", "true", reason)
        try:
            ok, problems = validate(self.contract.kind, frame, self._splitter.spread(frame.entity_ids).valid)
        except InvalidFrame as error:
            return _refused_whole(frame, error.field, error.value, error.reason)
        length_ms = frame.period_s * 1000
        clock_ms = self._clocks.now_ms(frame.city) or int(frame.time_ms.max(initial=0, where=ok)) + length_ms
        if int(frame.time_ms.max(initial=0)) + length_ms > clock_ms + self.contract.kind.skew_ms:
            ok, problems = self._quarantine(frame, clock_ms, ok, problems)
        if self.known is not None and (strangers := self.known.find_unknown(frame.city, frame.entity_ids)) is not None:
            ok, problems = self._refuse_strangers(frame, strangers, ok, problems)
        taken = frame
        if problems:
            good = np.flatnonzero(ok)
            if not len(good):
                return Receipt(0, len(frame), problems)
            taken = select_rows(frame, good)
        async with self._order:
            sent = [await self._write(record, headers) for record in self._splitter.split(taken, clock_ms)]
        return Receipt(len(taken), len(frame) - len(taken), problems, sent)

    def _quarantine(
        self, frame: Frame, clock_ms: int, ok: NDArray[np.bool_], problems: list[Problem]
    ) -> tuple[NDArray[np.bool_], list[Problem]]:
        """Refuses what lies too far ahead of the city's clock, in the same words for every source."""
        ahead = ok & (frame.time_ms + frame.period_s * 1000 > clock_ms + self.contract.kind.skew_ms)
        skew_s = self.contract.kind.skew_ms // 1000
        reason = f"must end at most {skew_s} s after the city's clock, {time_text(clock_ms)}"
        found = [Problem(int(i), "time", time_text(int(frame.time_ms[i])), reason) for i in np.flatnonzero(ahead)]
        return ok & ~ahead, sorted((*problems, *found), key=lambda problem: problem.index)

    def _refuse_strangers(
        self, frame: Frame, strangers: NDArray[np.bool_], ok: NDArray[np.bool_], problems: list[Problem]
    ) -> tuple[NDArray[np.bool_], list[Problem]]:
        """Refuses what is of unknown entities. `strangers`: by id of the dictionary."""
        refused = ok.copy()
        refused[ok] = strangers[frame.entity[ok]]
        found = [
            Problem(i, "entity_id", frame.entity_ids[int(frame.entity[i])], UNKNOWN_ENTITY)
            for i in np.flatnonzero(refused).tolist()
        ]
        return ok & ~refused, sorted((*problems, *found), key=lambda problem: problem.index)

    async def _write(self, record: Record, headers: Headers) -> asyncio.Future[Acknowledged]:
        self._last_write_s[record.partition] = time.monotonic()
        return await self._gatherings[record.partition].add(Unsent(record.key, record.value, headers))

    async def beat(self, clock_ms: int, idle_seconds: float) -> list[asyncio.Future[Acknowledged]]:
        """Writes "the city's clock has come to clock_ms" to each partition without a frame for so long.

        Behind everything that came here before the call, and never a clock that is not ahead of the last one.
        """
        if clock_ms == NO_CLOCK:
            return []
        value = encode_heartbeat(self.contract, "", clock_ms)
        sent = []
        async with self._order:
            now_s = time.monotonic()
            for partition in range(self._splitter.partitions):
                idle = now_s - self._last_write_s.get(partition, -1e9) >= idle_seconds
                if idle and clock_ms > self._last_heartbeat_ms.get(partition, NO_CLOCK):
                    self._last_heartbeat_ms[partition] = clock_ms
                    sent.append(await self._gatherings[partition].add(Unsent(None, value, _HEADERS)))
        return sent

    @property
    def partitions(self) -> range:
        """Those of its topic."""
        return range(self._splitter.partitions)

    async def announce_canary(self) -> dict[int, asyncio.Future[Acknowledged]]:
        """Writes "the canary is known" to each partition: what holds no observation and tells no time."""
        value = encode_announcement(self.contract, CANARY_CITY, (CANARY_ENTITY,))
        async with self._order:
            return {p: await self._gatherings[p].add(Unsent(None, value, _HEADERS)) for p in self.partitions}

    async def announce(self, city: str, entity_ids: Sequence[str]) -> list[asyncio.Future[Acknowledged]]:
        """Writes "these entities are known from here on" to the partitions that they belong to.

        No ids: to all of them, which says that whoever was not announced by now is unknown.
        """
        partition = partitions_of(entity_ids, self._splitter.partitions)
        sent = []
        async with self._order:
            for p in range(self._splitter.partitions):
                own = [entity_ids[i] for i in np.flatnonzero(partition == p).tolist()]
                for begin in range(0, len(own), MAX_ANNOUNCED) if entity_ids else (0,):
                    value = encode_announcement(self.contract, city, own[begin : begin + MAX_ANNOUNCED])
                    sent.append(await self._gatherings[p].add(Unsent(None, value, _HEADERS)))
        return sent


def _refused_whole(frame: Frame, name: str, value: str, reason: str) -> Receipt:
    return Receipt(0, max(1, len(frame)), (Problem(0, name, value, reason),))
