"""WatchWindows and WatchSignals: what the topics bring, from a position on; the position resumes on any replica."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from typing import Any

from google.protobuf.message import DecodeError

from services.core.kind import Domain
from services.runtime.api.names import decode_token, encode_token, read_parent
from services.runtime.catalogue import SIGNALS, windows
from services.runtime.errors import invalid_field, resource_exhausted, unavailable
from services.runtime.grpc_server import Context
from services.runtime.log import FROM_END, LogRecord, OpenReader
from urban.common.v1.service_pb2 import (
    WatchSignalsRequest,
    WatchSignalsResponse,
    WatchWindowsRequest,
    WatchWindowsResponse,
)
from urban.common.v1.signal_pb2 import SignalRecord
from urban.common.v1.window_pb2 import Window, WindowFrame

MAX_WATCHERS = 64
# Below gRPC's usual limit for received messages even with hundreds of measures a window.
WINDOWS_PER_RESPONSE = 500
RECORDS_PER_READ = 100
_READ_SECONDS = 1.0
# The stream ends well before its deadline, so that the client sees an end and no error.
_MARGIN_SECONDS = 0.2

# What to send for a record, each with True where it is the last of that record.
_Picked = Iterable[Any]


class TopicWatches:
    """Streams of what topics bring; each has a reader of its own, and a slow client slows only that."""

    def __init__(self, open_reader: OpenReader) -> None:
        self._open_reader = open_reader
        self._watchers = 0
        self._stopping = False

    def stop(self) -> None:
        """Open streams end within about a second with UNAVAILABLE; clients go on elsewhere with their token."""
        self._stopping = True

    async def watch(
        self, topic: str, token: str, context: Context, pick: Callable[[LogRecord], _Picked]
    ) -> AsyncIterator[Any]:
        """What `pick` makes of the topic's records, with resume tokens, until shortly before the caller's deadline.

        `token`: the position to go on from; empty: from now on.
        """
        start = _read_token(topic, token) if token else FROM_END
        if self._watchers >= MAX_WATCHERS:
            raise resource_exhausted("watchers", self._watchers, f"this replica serves {MAX_WATCHERS} at a time")
        self._watchers += 1
        reader = self._open_reader(topic)
        try:
            await reader.start(start)
            positions = await reader.positions()
            # Tells the client that the stream has its place: what comes from now on will be seen.
            await context.send_initial_metadata(())
            while (left := _seconds_left(context)) > 0:
                if self._stopping:
                    raise unavailable("the service is stopping: go on with the last resume_token")
                for record in await reader.read(min(_READ_SECONDS, left), RECORDS_PER_READ):
                    for response in _with_tokens(topic, positions, record, pick):
                        yield response
        finally:
            self._watchers -= 1
            await asyncio.shield(reader.stop())


class Watches(TopicWatches):
    """Serves the Watch calls of one domain."""

    def __init__(self, domain: Domain, open_reader: OpenReader) -> None:
        super().__init__(open_reader)
        self._domain = domain

    async def watch_windows(self, request: WatchWindowsRequest, context: Context) -> AsyncIterator[Any]:
        city = read_parent(request.parent)
        if request.kind and request.kind not in {k.name for k in self._domain.kinds}:
            names = ", ".join(k.name for k in self._domain.kinds)
            raise invalid_field("kind", request.kind, f"must be empty or one of {names}")

        def pick(record: LogRecord) -> Iterator[WatchWindowsResponse]:
            frame = WindowFrame.FromString(record.value or b"")
            if frame.city == city and request.kind in ("", frame.kind):
                yield from _window_responses(frame)

        async for response in self.watch(windows(self._domain.name), request.resume_token, context, pick):
            yield response

    async def watch_signals(self, request: WatchSignalsRequest, context: Context) -> AsyncIterator[Any]:
        city = read_parent(request.parent)

        def pick(record: LogRecord) -> Iterator[WatchSignalsResponse]:
            told = SignalRecord.FromString(record.value or b"")
            signal = told.signal
            if (
                told.HasField("signal")
                and (signal.city, signal.domain) == (city, self._domain.name)
                and request.type in ("", signal.type)
            ):
                yield WatchSignalsResponse(signal=signal)

        async for response in self.watch(SIGNALS, request.resume_token, context, pick):
            yield response


def _seconds_left(context: Context) -> float:
    remaining = context.time_remaining()
    assert remaining is not None  # the server refuses a Watch without a deadline
    return remaining - _MARGIN_SECONDS


def _with_tokens(
    topic: str, positions: dict[int, int], record: LogRecord, pick: Callable[[LogRecord], _Picked]
) -> Iterator[Any]:
    """The responses for a record. Only the last one's token lies behind it; resuming at another repeats the record."""
    try:
        responses = list(pick(record))
    except DecodeError as error:
        raise ValueError(f"{topic}, partition {record.partition}, offset {record.offset}: {error}") from error
    before = encode_token([topic, sorted(positions.items())])
    positions[record.partition] = record.offset + 1
    behind = encode_token([topic, sorted(positions.items())])
    for i, response in enumerate(responses):
        response.resume_token = behind if i == len(responses) - 1 else before
        yield response


def _read_token(topic: str, token: str) -> dict[int, int]:
    found = decode_token("resume_token", token)
    match found:
        case [str(named), list(pairs)] if named == topic and all(_is_position(pair) for pair in pairs):
            return dict(pairs)
    raise invalid_field("resume_token", token, "is no token of this method")


def _is_position(pair: object) -> bool:
    return (
        isinstance(pair, list) and len(pair) == 2 and all(type(n) is int and 0 <= n < 2**63 for n in pair)  # no bool
    )


def _window_responses(frame: WindowFrame) -> Iterator[WatchWindowsResponse]:
    rows = len(frame.entity)
    for first in range(0, rows, WINDOWS_PER_RESPONSE):
        found = [_window_of(frame, row) for row in range(first, min(rows, first + WINDOWS_PER_RESPONSE))]
        yield WatchWindowsResponse(windows=found)


def _window_of(frame: WindowFrame, row: int) -> Window:
    bounds = frame.bounds[frame.window[row]]
    window = Window(
        city=frame.city,
        kind=frame.kind,
        window=bounds.window,
        entity_id=frame.entity_ids[frame.entity[row]],
        revision=frame.revision[row],
    )
    window.start_time.FromMilliseconds(bounds.start_ms)
    window.end_time.FromMilliseconds(bounds.end_ms)
    for measure in frame.measures:
        value = measure.values[row]
        if value == value:  # NaN: none
            window.measures[measure.name] = value
    return window
