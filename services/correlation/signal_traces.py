"""Which signals came of sampled frames, so that the incidents they are part of can name them.

It lives in memory alone and decides nothing: who takes the partition over names no signal from before.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from aiokafka.structs import ConsumerRecord

from services.core.correlation.incident import Incident
from services.runtime import tracing
from services.runtime.tracing import Origin

# A signal is told again with each revision, and waits until event time has passed it.
MOST_REMEMBERED = 4_096
MOST_NAMED = 16  # incidents that a span names


class SignalTraces:
    """The sampled signals of one partition of the signal topic."""

    def __init__(self) -> None:
        self._origins: OrderedDict[str, Origin] = OrderedDict()  # by id, the latest last

    @contextmanager
    def taking(self, record: ConsumerRecord, signal_id: str) -> Iterator[None]:
        """The time in which a signal is taken."""
        span = tracing.begin_record("process", record.topic, record.partition, record.offset, record.headers)
        if span is not None:
            span.tell({"urban.signal": signal_id})
            self._origins[signal_id] = span.origin
            self._origins.move_to_end(signal_id)
            if len(self._origins) > MOST_REMEMBERED:
                self._origins.popitem(last=False)
        with tracing.within(span):
            yield

    @contextmanager
    def telling(self, incidents: Sequence[Incident]) -> Iterator[None]:
        """The time in which versions of incidents are told, linked to their sampled signals."""
        if not self._origins:
            yield
            return
        signals = (signal.id for incident in incidents for signal in incident.signals)
        causes = [self._origins[i] for i in signals if i in self._origins]
        named = list(dict.fromkeys(incident.id for incident in incidents))[:MOST_NAMED]
        with tracing.within(tracing.begin_of("tell incidents", "internal", causes, {"urban.incidents": named})):
            yield
