"""Which frames of a ReportFrames call are told of as traces: such a call may be open for days, and frames are many."""

from __future__ import annotations

from services.runtime import tracing
from services.runtime.tracing import Call, Span

# Then each frame is a trace of its own, by chance. So are all frames of a call whose caller told no trace.
MOST_OF_A_TRACE = 1_000


class FrameSpans:
    """Begins the spans of one call's frames."""

    def __init__(self, call: Call) -> None:
        self._call, self._told = call, 0

    def begin(self, topic: str) -> Span | None:
        """A span that ends when Kafka has the frame; None: it is not told of."""
        origin = self._call.span.origin if self._call.span is not None else None
        if self._call.decided and self._told < MOST_OF_A_TRACE:
            self._told += 1
            return tracing.begin(f"send {topic}", "producer", origin, sending(topic))
        links = (origin,) if origin is not None else ()
        return tracing.begin_trace(f"send {topic}", "producer", links, sending(topic))


def sending(topic: str) -> tracing.Attributes:
    """What the span of a frame tells from the start."""
    return {
        "messaging.system": "kafka",
        "messaging.operation.type": "send",
        "messaging.operation.name": "send",
        "messaging.destination.name": topic,
    }
