"""The correlator's state as a checkpoint: named arrays and texts in a record of the compacted state topic."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from services.core.correlation.action import Action, ActionKind
from services.core.correlation.event_time import EventTimeState
from services.core.correlation.planned import PlannedEvent
from services.core.correlation.state import CorrelatorCounters, CorrelatorState, IncidentRecord
from services.core.state import NO_WATERMARK
from services.correlation.intake import read_signal
from services.correlation.wire import IncidentWriter
from services.runtime.packing import pack, unpack
from urban.common.v1.checkpoint_pb2 import Checkpoint
from urban.common.v1.signal_pb2 import Signal as SignalMessage

# Raise it when the arrays or texts below change.
LAYOUT = 2
DOMAIN, KIND = "correlation", "signals"
# Stands for None in an array of numbers.
_NONE = NO_WATERMARK
_COUNTERS = ("taken", "repeated", "unmatched", "settled", "reports")


class Saved(NamedTuple):
    """What a checkpoint holds."""

    state: CorrelatorState
    next_offset: int  # of the signal topic
    actions_offset: int  # of the topic of incident actions
    planned_offset: int  # of the topic of planned events
    rules: str  # fingerprint of the rules that the state was made with
    refused: int  # records that could not be used


def checkpoint_of(partition: int, saved: Saved, writer: IncidentWriter) -> Checkpoint:
    """The message of a state."""
    state, time = saved.state, saved.state.event_time
    signals = [writer.signal(signal) for signal in state.signals]
    arrays = {
        "signals": np.frombuffer(b"".join(signals), np.uint8),
        "signal_sizes": np.array([len(s) for s in signals], "<u4"),
        "incident_numbers": _numbers([(i.revision, i.settled_ms, int(i.standing)) for i in state.incidents], 3),
        "action_numbers": _numbers([(a.time_ms, int(a.kind), a.seen_ms, a.place) for a in state.actions], 4),
        "event_time": _numbers([(_or_none(time.event_ms), _or_none(time.log_ms), time.clock_ms)], 3),
        "planned_times": _numbers([(e.start_ms, e.end_ms) for e in state.planned], 2),
        "planned_places": np.array([(e.latitude, e.longitude, e.radius_m) for e in state.planned], "<f8").reshape(
            -1, 3
        ),
        "report_numbers": _numbers([(source[2], mark, heard) for source, mark, heard in time.reports], 3),
        "counters": _numbers([[getattr(state.counters, name) for name in _COUNTERS]], len(_COUNTERS)),
        "position": _numbers([(saved.actions_offset, saved.planned_offset, saved.refused)], 3),
    }
    texts = {
        "rules": [saved.rules],
        "incidents": [text for i in state.incidents for text in (i.id, i.superseded_by)],
        "actions": [t for a in state.actions for t in (a.incident_id, a.request_id, a.actor, a.note, a.about)],
        "planned_events": [text for e in state.planned for text in (e.id, e.city, e.title, " ".join(sorted(e.kinds)))],
        "reports": [text for source, _, _ in time.reports for text in source[:2]],
    }
    return Checkpoint(
        layout=LAYOUT,
        domain=DOMAIN,
        kind=KIND,
        partition=partition,
        next_offset=saved.next_offset,
        watermark_ms=_or_none(time.event_ms),
        body=pack(arrays, texts),
    )


def saved_in(checkpoint: Checkpoint) -> Saved:
    """The state that a checkpoint holds."""
    arrays, texts = unpack(checkpoint.body)
    data, ends = arrays["signals"].tobytes(), np.cumsum(arrays["signal_sizes"]).tolist()
    signals = [
        read_signal(SignalMessage.FromString(data[start:end]))
        for start, end in zip([0, *ends[:-1]], ends, strict=False)
    ]
    event_ms, log_ms, clock_ms = arrays["event_time"][0].tolist()
    reports = zip(_pairs(texts["reports"]), arrays["report_numbers"].tolist(), strict=True)
    incidents = zip(_pairs(texts["incidents"]), arrays["incident_numbers"].tolist(), strict=True)
    told = texts["actions"]
    actions = zip(*(told[i::5] for i in range(5)), arrays["action_numbers"].tolist(), strict=True)
    state = CorrelatorState(
        event_time=EventTimeState(
            event_ms=None if event_ms == _NONE else event_ms,
            log_ms=None if log_ms == _NONE else log_ms,
            clock_ms=clock_ms,
            reports=tuple(((domain, kind, p), mark, heard) for (domain, kind), (p, mark, heard) in reports),
        ),
        signals=tuple(signals),
        incidents=tuple(
            IncidentRecord(id_, revision, settled_ms, heir, bool(standing))
            for (id_, heir), (revision, settled_ms, standing) in incidents
        ),
        actions=tuple(
            Action(i, r, actor, time_ms, note, ActionKind(kind), about, seen_ms, place)
            for i, r, actor, note, about, (time_ms, kind, seen_ms, place) in actions
        ),
        planned=tuple(_planned_events(arrays, texts["planned_events"])),
        counters=CorrelatorCounters(*arrays["counters"][0].tolist()),
    )
    actions_offset, planned_offset, refused = arrays["position"][0].tolist()
    return Saved(state, checkpoint.next_offset, actions_offset, planned_offset, texts["rules"][0], refused)


def _planned_events(arrays: Mapping[str, NDArray[Any]], texts: Sequence[str]) -> Iterator[PlannedEvent]:
    told = zip(*(texts[i::4] for i in range(4)), strict=True)
    numbers = zip(arrays["planned_times"].tolist(), arrays["planned_places"].tolist(), strict=True)
    for (id_, city, title, kinds), ((start_ms, end_ms), (latitude, longitude, radius_m)) in zip(
        told, numbers, strict=True
    ):
        kinds_set = frozenset(kinds.split())
        yield PlannedEvent(id_, city, title, start_ms, end_ms, latitude, longitude, radius_m, kinds_set)


def _or_none(value: int | None) -> int:
    return _NONE if value is None else value


def _numbers(rows: Sequence[Sequence[int]], width: int) -> NDArray[np.int64]:
    return np.array(rows, "<i8").reshape(-1, width)


def _pairs(texts: Sequence[str]) -> list[tuple[str, str]]:
    return list(zip(texts[::2], texts[1::2], strict=True))
