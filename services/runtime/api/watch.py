"""WatchWindows and WatchSignals: what the topics bring, from a position on; the position resumes on any replica.

The log is the subscriber's buffer. A stream reads a little (FETCH_BYTES of each partition), sends one response at a
time, and reads on when gRPC has taken it. Who does not take a response in time is ended and told where to go on.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any, NamedTuple

import structlog
from google.protobuf.message import DecodeError

from services.core.kind import Domain
from services.runtime import metrics
from services.runtime.api.names import read_parent
from services.runtime.api.resume import Place, Places, decode_places, encode_places
from services.runtime.api.window_responses import window_responses
from services.runtime.catalogue import SIGNALS, early_windows, windows
from services.runtime.errors import cut_off, invalid_field, resource_exhausted, unavailable
from services.runtime.grpc_server import Context
from services.runtime.log import FROM_END, LogReader, LogRecord, OpenReader
from urban.common.v1.service_pb2 import WatchSignalsRequest, WatchSignalsResponse, WatchWindowsRequest
from urban.common.v1.signal_pb2 import SignalRecord
from urban.common.v1.window_pb2 import WindowFrame

log = structlog.get_logger(__name__)

MAX_WATCHERS = 64
# Time in which a subscriber takes a response. A client that reads needs milliseconds; a phone in a tunnel, seconds.
PATIENCE_SECONDS = 10.0
# What the reader of a stream fetches of a partition at once: four partitions of 64 streams come to 64 MiB.
FETCH_BYTES = 256 << 10
RECORDS_PER_READ = 100
# Metadata with the token of where a stream begins and, after a clean end, of where it ended.
RESUME_TOKEN_KEY = "urban-resume-token"
_READ_SECONDS = 1.0
# The stream ends well before its deadline, so that the client sees an end and no error.
_MARGIN_SECONDS = 0.2

# The responses for what lies behind the first so many items of a record; each with the items sent then, 0: all.
Pick = Callable[[LogRecord, int], Iterable[tuple[Any, int]]]


class Followed(NamedTuple):
    """A topic that a stream follows."""

    topic: str
    fleeting: bool = False  # what the log no longer holds of it is passed over; otherwise the call is OUT_OF_RANGE


class TopicWatches:
    """Streams of what topics bring; each has readers of its own, and a slow client slows only that."""

    def __init__(self, open_reader: OpenReader, patience_seconds: float = PATIENCE_SECONDS) -> None:
        self._open_reader = open_reader
        self._patience_seconds = patience_seconds
        self._watchers = 0
        self._stopping = False

    def stop(self) -> None:
        """Open streams end within about a second with UNAVAILABLE; clients go on elsewhere with their token."""
        self._stopping = True

    async def watch(self, followed: Sequence[Followed], token: str, context: Context, pick: Pick) -> None:
        """Writes what `pick` makes of the topics' records, with resume tokens, until shortly before the deadline.

        `token`: the position to go on from; empty: from now on.
        """
        start = decode_places([f.topic for f in followed], token) if token else None
        if self._watchers >= MAX_WATCHERS:
            raise resource_exhausted("watchers", self._watchers, f"this replica serves {MAX_WATCHERS} at a time")
        self._watchers += 1
        try:
            async with self._reading(followed, start) as readers:
                places = await _places_of(readers, start or {})
                subscriber = _Subscriber(followed[0].topic, context, places, self._patience_seconds)
                # Tells the client that the stream has its place: what comes from now on will be seen.
                await context.send_initial_metadata(((RESUME_TOKEN_KEY, subscriber.token()),))
                await self._follow(readers, subscriber, pick)
        finally:
            self._watchers -= 1

    @asynccontextmanager
    async def _reading(
        self, followed: Sequence[Followed], start: Places | None
    ) -> AsyncIterator[Mapping[str, LogReader]]:
        readers = {f.topic: self._open_reader(f.topic) for f in followed}
        try:
            for f in followed:
                offsets = {p: place.offset for p, place in start[f.topic].items()} if start else FROM_END
                await readers[f.topic].start(offsets, pass_over_gone=f.fleeting)
            yield readers
        finally:
            await asyncio.shield(asyncio.gather(*(reader.stop() for reader in readers.values())))

    async def _follow(self, readers: Mapping[str, LogReader], subscriber: _Subscriber, pick: Pick) -> None:
        reads: dict[asyncio.Task[list[LogRecord]], LogReader] = {}
        try:
            while (left := subscriber.seconds_left()) > 0:
                if self._stopping:
                    raise unavailable("the service is stopping: go on with the last resume_token", subscriber.resumes())
                for reader in readers.values():
                    if reader not in reads.values():
                        read = reader.read(min(_READ_SECONDS, left), RECORDS_PER_READ)
                        reads[asyncio.create_task(read)] = reader
                done, _ = await asyncio.wait(reads, return_when=asyncio.FIRST_COMPLETED)
                for task in done:
                    del reads[task]
                    for record in task.result():
                        await subscriber.send(record, pick)
            subscriber.end()
        finally:
            for task in reads:
                task.cancel()
            await asyncio.gather(*reads, return_exceptions=True)


class _Subscriber:
    """One stream: where it stands, and how long it is waited for."""

    def __init__(self, topic: str, context: Context, places: Places, patience_seconds: float) -> None:
        self._topic, self._context, self._places, self._patience_seconds = topic, context, places, patience_seconds

    def token(self) -> str:
        return encode_places(self._places)

    def resumes(self) -> dict[str, str]:
        """What an error tells of where to go on."""
        return {"resume_token": self.token()}

    def seconds_left(self) -> float:
        remaining = self._context.time_remaining()
        assert remaining is not None  # the server refuses a Watch without a deadline
        return remaining - _MARGIN_SECONDS

    def end(self) -> None:
        """A clean end: the client may go on here, even if it was sent nothing."""
        self._context.set_trailing_metadata(((RESUME_TOKEN_KEY, self.token()),))

    async def send(self, record: LogRecord, pick: Pick) -> None:
        partitions = self._places[record.topic]
        place = partitions[record.partition]
        before = place.sent if place.offset == record.offset else 0
        behind = Place(record.offset + 1)
        try:
            for response, sent in pick(record, before):
                partitions[record.partition] = Place(record.offset, sent) if sent else behind
                response.resume_token = self.token()
                await self._write(response)
        except DecodeError as error:
            where = f"{record.topic}, partition {record.partition}, offset {record.offset}"
            raise ValueError(f"{where}: {error}") from error
        partitions[record.partition] = behind

    async def _write(self, response: Any) -> None:
        """RESOURCE_EXHAUSTED where it is not taken in time. It is delivered all the same, before the status."""
        # Not to be cancelled: gRPC is still at it when nobody waits any more. It ends with the client or with the call.
        writing = asyncio.ensure_future(self._context.write(response))
        writing.add_done_callback(lambda ended: None if ended.cancelled() else ended.exception())
        done, _ = await asyncio.wait((writing,), timeout=self._patience_seconds)
        if done:
            writing.result()
            return
        metrics.SUBSCRIBERS_CUT_OFF.labels(self._topic).inc()
        log.warning("subscriber_cut_off", topic=self._topic, peer=self._context.peer(), seconds=self._patience_seconds)
        raise cut_off(self._patience_seconds, self.resumes())


async def _places_of(readers: Mapping[str, LogReader], start: Places) -> Places:
    """Where started readers stand; inside the record that they were started at, what was sent of it counts."""
    places: Places = {}
    for topic, reader in readers.items():
        found = {partition: Place(offset) for partition, offset in (await reader.positions()).items()}
        wanted = start.get(topic, {})
        places[topic] = {p: wanted[p] if p in wanted and wanted[p].offset == f.offset else f for p, f in found.items()}
    return places


class Watches(TopicWatches):
    """Serves the Watch calls of one domain."""

    def __init__(self, domain: Domain, open_reader: OpenReader, patience_seconds: float = PATIENCE_SECONDS) -> None:
        super().__init__(open_reader, patience_seconds)
        self._domain = domain

    async def watch_windows(self, request: WatchWindowsRequest, context: Context) -> None:
        city = read_parent(request.parent)
        if request.kind and request.kind not in {k.name for k in self._domain.kinds}:
            names = ", ".join(k.name for k in self._domain.kinds)
            raise invalid_field("kind", request.kind, f"must be empty or one of {names}")

        def pick(record: LogRecord, sent: int) -> Iterator[tuple[Any, int]]:
            frame = WindowFrame.FromString(record.value or b"")
            if frame.city == city and request.kind in ("", frame.kind):
                yield from window_responses(frame, sent)

        followed = [Followed(windows(self._domain.name))]
        if request.include_early:
            followed.append(Followed(early_windows(self._domain.name), fleeting=True))
        await self.watch(followed, request.resume_token, context, pick)

    async def watch_signals(self, request: WatchSignalsRequest, context: Context) -> None:
        city = read_parent(request.parent)

        def pick(record: LogRecord, _sent: int) -> Iterator[tuple[Any, int]]:
            told = SignalRecord.FromString(record.value or b"")
            signal = told.signal
            if (
                told.HasField("signal")
                and (signal.city, signal.domain) == (city, self._domain.name)
                and request.type in ("", signal.type)
            ):
                yield WatchSignalsResponse(signal=signal), 0

        await self.watch((Followed(SIGNALS),), request.resume_token, context, pick)
