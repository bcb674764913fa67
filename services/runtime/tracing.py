"""Traces: the seam between those who do the work and what tells of it (otlp.py, which alone knows OpenTelemetry).

Off, which is the default, it costs a look at one variable, and nothing of OpenTelemetry is imported. On, a trace begins
at a gRPC call and nowhere else: there it is decided whether it is told of, by the caller (W3C Trace Context in the
metadata) or else by chance. Only what comes of a call that is told of is followed: by a header `traceparent` of its
records. Nothing that is computed, stored or committed depends on it.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterable, Iterator, Mapping, MutableMapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

Kind = Literal["server", "client", "producer", "consumer", "internal"]
Attributes = Mapping[str, str | int | float | bool | Sequence[str]]

TRACEPARENT, TRACESTATE = "traceparent", "tracestate"
# Causes of one span that are told, as OpenTelemetry bounds them by default.
MOST_LINKS = 128
# gRPC's status codes for which the server is to blame, by OpenTelemetry's conventions for RPC: UNKNOWN,
# DEADLINE_EXCEEDED, UNIMPLEMENTED, INTERNAL, UNAVAILABLE, DATA_LOSS.
SERVERS_FAULT = frozenset((2, 4, 12, 13, 14, 15))
_OK, _CANCELLED = 0, 1
# https://www.w3.org/TR/trace-context/#traceparent-header; a later version may add to the end.
_FORM = re.compile(r"(?!ff)([0-9a-f]{2})-(?!0{32})([0-9a-f]{32})-(?!0{16})([0-9a-f]{16})-([0-9a-f]{2})(?:-.*)?")
_SAMPLED = 0x01
_LONGEST = 512  # characters; W3C asks for no more to be carried on


@dataclass(frozen=True)
class Origin:
    """A span that is told of, by which it is named to what comes of it, in this process or another."""

    traceparent: str
    tracestate: str = ""
    known: Any = field(default=None, compare=False, repr=False)  # what otlp.py knows it by

    @property
    def headers(self) -> tuple[tuple[str, bytes], ...]:
        """As headers of a record."""
        return tuple((name, text.encode()) for name, text in self.texts.items())

    @property
    def texts(self) -> dict[str, str]:
        """As headers of a request."""
        told = {TRACEPARENT: self.traceparent}
        return {**told, TRACESTATE: self.tracestate} if self.tracestate else told


class Span(Protocol):
    """Something that is done, and told of when it has ended."""

    @property
    def origin(self) -> Origin: ...
    @property
    def trace_id(self) -> str: ...
    @property
    def span_id(self) -> str: ...
    def tell(self, attributes: Attributes) -> None: ...
    def fail(self, reason: str) -> None: ...
    def end(self) -> None: ...


class Tracer(Protocol):
    """Makes spans and sends them off."""

    def begin(
        self, name: str, kind: Kind, parent: Origin | None, links: Sequence[Origin], attributes: Attributes
    ) -> Span | None:
        """None where it is not told of. `parent` None: a trace begins, and chance decides."""
        ...

    def stop(self) -> None:
        """Sends off what has ended, if that does not take long."""


@dataclass(frozen=True)
class Call:
    """The call that the code at hand serves."""

    span: Span | None  # None: not told of
    decided: bool  # by the caller: it told the trace that the call belongs to


NO_CALL = Call(None, False)

_tracer: Tracer | None = None
_current: ContextVar[Span | None] = ContextVar("urban_span", default=None)
_call: ContextVar[Call] = ContextVar("urban_call", default=NO_CALL)


def use(tracer: Tracer | None) -> None:
    """From now on spans go there; None: there are none. Servers and clients that were made before may not notice."""
    global _tracer
    _tracer = tracer


def stop() -> None:
    """Sends off what has ended; from now on there are no spans."""
    global _tracer
    ended, _tracer = _tracer, None
    if ended is not None:
        ended.stop()


def on() -> bool:
    """Whether there may be spans. To be asked first by whoever has something to do for them."""
    return _tracer is not None


def current() -> Span | None:
    """The span of the code at hand."""
    return _current.get()


def call() -> Call:
    """The call that the code at hand serves."""
    return _call.get()


def begin(name: str, kind: Kind, parent: Origin | None, attributes: Attributes | None = None) -> Span | None:
    """A part of what `parent` is; None: nothing is told of it."""
    return None if _tracer is None or parent is None else _tracer.begin(name, kind, parent, (), attributes or {})


def begin_trace(
    name: str, kind: Kind, links: Sequence[Origin] = (), attributes: Attributes | None = None
) -> Span | None:
    """A trace of its own, if chance will have it so."""
    return None if _tracer is None else _tracer.begin(name, kind, None, links, attributes or {})


def begin_of(name: str, kind: Kind, causes: Sequence[Origin], attributes: Attributes | None = None) -> Span | None:
    """What came of several others: it stands in the trace of the first one, and is linked to each of them."""
    if _tracer is None or not causes:
        return None
    some = tuple(dict.fromkeys(causes))[:MOST_LINKS]
    return _tracer.begin(name, kind, some[0], some, attributes or {})


def begin_record(
    what: str, topic: str, partition: int, offset: int, headers: Iterable[tuple[str, bytes | None]]
) -> Span | None:
    """What is done with one record of the log; the span tells the place of the record, by which its rows are found."""
    attributes: Attributes = {
        "messaging.system": "kafka",
        "messaging.operation.type": "process",
        "messaging.operation.name": what,
        "messaging.destination.name": topic,
        "messaging.destination.partition.id": str(partition),
        "messaging.kafka.offset": offset,
    }
    return begin(f"{what} {topic}", "consumer", origin_in(headers), attributes)


@contextmanager
def within(span: Span | None) -> Iterator[Span | None]:
    """What is done here is a part of the span, which ends with it."""
    if span is None:
        yield None
        return
    before = _current.get()
    _current.set(span)
    try:
        yield span
    except Exception as error:
        span.fail(f"{type(error).__name__}: {error}")
        raise
    finally:
        # Not by a token: where a generator is closed, that may be in another context.
        _current.set(before)
        span.end()


@contextmanager
def serving(service: str, method: str, metadata: Iterable[tuple[str, Any]]) -> Iterator[None]:
    """A call of a client."""
    decided, origin = read_origin(metadata)
    name = f"{service}/{method}"
    attributes = {"rpc.system": "grpc", "rpc.service": service, "rpc.method": method}
    span = begin(name, "server", origin, attributes) if decided else begin_trace(name, "server", (), attributes)
    before, call_before = _current.get(), _call.get()
    _current.set(span)
    _call.set(Call(span, decided))
    try:
        yield
        tell_status(_OK)
    except asyncio.CancelledError:
        tell_status(_CANCELLED)
        raise
    finally:
        _current.set(before)
        _call.set(call_before)
        if span is not None:
            span.end()


def tell_status(code: int, reason: str = "") -> None:
    """How the call ends that the code at hand serves."""
    span = _call.get().span
    if span is not None:
        span.tell({"rpc.grpc.status_code": code})
        if code in SERVERS_FAULT:
            span.fail(reason)


@contextmanager
def asking_clickhouse(operation: str, target: str) -> Iterator[dict[str, str] | None]:
    """A request to ClickHouse, as a part of what is done; gives headers that make its own spans parts of this one."""
    span = _current.get()
    if span is None:
        yield None
        return
    attributes = {"db.system.name": "clickhouse", "db.operation.name": operation}
    # The text of a query is long, the name of a table is not.
    attributes["db.collection.name" if operation == "INSERT" else "db.query.text"] = target
    name = f"{operation} {target}" if operation == "INSERT" else operation
    with within(begin(name, "client", span.origin, attributes)) as asking:
        yield (asking or span).origin.texts


def end_after(span: Span, sent: Sequence[asyncio.Future[Any]]) -> None:
    """Ends the span when all of these are done; it failed where one of them did."""
    left = len(sent)
    if not left:
        span.end()

    def settle(future: asyncio.Future[Any]) -> None:
        nonlocal left
        left -= 1
        if future.cancelled():
            span.fail("cancelled")
        elif (error := future.exception()) is not None:
            span.fail(f"{type(error).__name__}: {error}")
        if not left:
            span.end()

    for future in sent:
        future.add_done_callback(settle)


def read_origin(metadata: Iterable[tuple[str, Any]]) -> tuple[bool, Origin | None]:
    """Whether a trace is told of, in the form of W3C, and what it is named by if it is sampled."""
    told = {name: value for name, value in metadata if name in (TRACEPARENT, TRACESTATE)}
    parent, state = (_text(told.get(name)) for name in (TRACEPARENT, TRACESTATE))
    found = _FORM.fullmatch(parent)
    if found is None or (found[1] == "00" and len(parent) > found.end(4)):
        return False, None
    sampled = int(found[4], 16) & _SAMPLED
    return True, Origin(parent[: found.end(4)], state) if sampled else None


def origin_in(headers: Iterable[tuple[str, bytes | None]]) -> Origin | None:
    """The span that a record came of, by its headers; None: there is none that is told of."""
    return read_origin(headers)[1] if any(name == TRACEPARENT for name, _ in headers) else None


def _text(value: object) -> str:
    if isinstance(value, bytes):
        value = value.decode("ascii", "replace")
    return value if isinstance(value, str) and len(value) <= _LONGEST and value.isascii() else ""


def add_ids(_logger: object, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """For structlog: a line of log tells the span that it was written in."""
    span = _current.get()
    if span is not None:
        event["trace_id"], event["span_id"] = span.trace_id, span.span_id
    return event
