"""ReportFrames: a stream of frames and clocks in, one answer for each frame when Kafka has every part of it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any, NamedTuple

from google.protobuf.descriptor import Descriptor
from google.protobuf.message import DecodeError
from google.protobuf.message_factory import GetMessageClass

from services.core.frame import Problem
from services.core.sources import SPAN
from services.runtime import tracing
from services.runtime.api.clock import CityClocks
from services.runtime.api.frame_spans import FrameSpans
from services.runtime.api.intake import MAX_REJECTIONS, Intake, Receipt
from services.runtime.codec import FrameTooLargeError, read_frame
from services.runtime.contracts import bytes_view
from services.runtime.errors import invalid_field, resource_exhausted
from services.runtime.grpc_server import Context
from services.runtime.rows import RowFault, clip
from urban.common.v1.service_pb2 import Rejection, ReplayClock, ReportFramesResponse

# Frames that are written and not answered yet, per stream. A caller that sends them again must find each of them told
# from those that were seen: a partition looks back so far from the newest one of a source.
MAX_IN_FLIGHT = SPAN
_CLOCK = "replay_clock"


class _Written(NamedTuple):
    request: int  # its place in the stream
    sequence: int
    numbered: bool
    receipt: Receipt


class FrameReports:
    """Serves ReportFrames of one domain."""

    def __init__(self, request: Descriptor, intakes: Mapping[str, Intake], clocks: CityClocks) -> None:
        """`request`: ReportFramesRequest of the domain. `intakes` by kind."""
        self._request = GetMessageClass(request)
        self._view = bytes_view(request, [f.name for f in request.fields])
        self._intakes = intakes
        self._clocks = clocks

    async def serve(self, requests: AsyncIterator[bytes], context: Context) -> AsyncIterator[ReportFramesResponse]:
        """Answers in the order of the requests. What ends the stream does so behind the answers still due."""
        written: asyncio.Queue[_Written | None] = asyncio.Queue()
        room = asyncio.Semaphore(MAX_IN_FLIGHT)
        reading = asyncio.create_task(self._read(requests, written, room))
        try:
            while (item := await written.get()) is not None:
                await item.receipt.wait()
                yield _answer(item)
                room.release()
            await reading  # raises what ended the stream, if it was not the client
        finally:
            reading.cancel()
            await asyncio.wait([reading])
            if not reading.cancelled():
                reading.exception()  # told above, unless the log failed first and ended the stream with its own error

    async def _read(
        self, requests: AsyncIterator[bytes], written: asyncio.Queue[_Written | None], room: asyncio.Semaphore
    ) -> None:
        index = 0
        spans = FrameSpans(tracing.call()) if tracing.on() else None
        try:
            async for data in requests:
                await room.acquire()
                item = await self._take(index, data, spans)
                if item is None:
                    room.release()  # a clock is not answered
                else:
                    written.put_nowait(item)
                index += 1
        finally:
            written.put_nowait(None)

    async def _take(self, index: int, data: bytes, spans: FrameSpans | None) -> _Written | None:
        name, payload = self._payload_of(index, data)
        if name == _CLOCK:
            self._announce(index, payload)
            return None
        intake = self._intakes[name]
        try:
            frame = read_frame(intake.contract, payload, dictionaries=intake.dictionaries)
        except FrameTooLargeError as fault:
            raise resource_exhausted(f"{name}.{fault.field}", fault.value, fault.reason) from None
        except RowFault as fault:
            sequence, numbered = _number_of(intake, payload)
            problem = Problem(0, fault.field, fault.value, fault.reason)
            return _Written(index, sequence, numbered, intake.counted(Receipt(0, 1, (problem,))))
        span = spans.begin(intake.topic) if spans is not None else None
        return _Written(index, frame.sequence, frame.numbered, await intake.take(frame, span))

    def _announce(self, index: int, payload: bytes) -> None:
        try:
            clock = ReplayClock.FromString(payload)
        except DecodeError as error:
            raise invalid_field(f"requests[{index}].{_CLOCK}", f"{len(payload)} bytes", str(error)) from None
        self._clocks.announce(clock.city, clock.time_ms)

    def _payload_of(self, index: int, data: bytes) -> tuple[str, bytes]:
        """Name and bytes of what a request holds; protobuf's rules for pieces of messages are kept."""
        try:
            view = self._view.FromString(data)
            told = [(f.name, b"".join(chunks)) for f, chunks in view.ListFields()]
            if len(told) > 1:  # the last one on the wire counts; only the public message knows which that was
                public = self._request.FromString(data)
                name = public.WhichOneof("payload")
                told = [(name, getattr(public, name).SerializeToString())]
        except DecodeError as error:
            reason = f"no {self._request.DESCRIPTOR.name}: {error}"
            raise invalid_field(f"requests[{index}]", f"{len(data)} bytes", reason) from None
        if not told:
            raise invalid_field(
                f"requests[{index}].payload", "", f"must be one of {_CLOCK}, {', '.join(self._intakes)}"
            )
        return told[0]


def _number_of(intake: Intake, payload: bytes) -> tuple[int, bool]:
    """The number of a frame that is wrong as a whole, if it can be read: its sender knows it by that."""
    try:
        header = intake.contract.view.FromString(payload).header
    except DecodeError:
        return 0, False
    return header.sequence, bool(header.source_id and header.sequence)


def _answer(item: _Written) -> ReportFramesResponse:
    return ReportFramesResponse(
        index=item.request,
        sequence=item.sequence,
        accepted=item.receipt.accepted,
        rejected=item.receipt.rejected,
        rejections=rejections_of(item.receipt.problems),
        unnumbered=not item.numbered,
    )


def rejections_of(problems: Sequence[Problem]) -> list[Any]:
    """The first 1,000 as the answers list them."""
    return [
        Rejection(index=p.index, field=p.field, value=clip(p.value), reason=p.reason) for p in problems[:MAX_REJECTIONS]
    ]
