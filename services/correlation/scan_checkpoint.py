"""The state of the scans as a checkpoint: the signals once, and a document of what was seen in them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, fields
from typing import Any, NamedTuple

import numpy as np
import orjson

from services.core.correlation.event_time import EventTimeState
from services.core.scan import Finding, FindingState, LookoutState, WatchPlan
from services.core.scan.chain import Chain
from services.core.scan.finding import Sight
from services.core.scan.lookout import LookoutCounters
from services.core.signals import Signal
from services.correlation.intake import read_signal
from services.runtime.packing import pack, unpack
from services.runtime.records import signal_message
from urban.common.v1.checkpoint_pb2 import Checkpoint
from urban.common.v1.signal_pb2 import Signal as SignalMessage

DOMAIN, KIND = "correlation", "findings"
# Raise it when the document below changes.
LAYOUT = 1

Document = dict[str, Any]


class SavedScans(NamedTuple):
    """What a checkpoint holds."""

    state: LookoutState
    next_offset: int  # of the signal topic
    plan: str  # that the state was made with, as text: state of one is of no use to another
    refused: int  # records that could not be used


def plan_text(plan: WatchPlan) -> str:
    """Tells one plan from another."""
    return repr(plan)


def checkpoint_of_scans(partition: int, saved: SavedScans) -> Checkpoint:
    """The message of a state."""
    state, places = saved.state, _Places()
    document = {
        "event_time": asdict(state.event_time),
        "held": [places.of(signal) for signal in state.signals],
        "last_ms": state.last_ms,
        "dirty_ms": state.dirty_ms,
        "scans": [(ms, city, [places.sight(sight) for sight in sights]) for ms, city, sights in state.scans],
        "base": [{**_plain(chain), "best": places.sight(chain.best)} for chain in state.base],
        "told": [{**_plain(finding), "sight": places.sight(finding.sight)} for finding in state.told],
        "counters": asdict(state.counters),
        "plan": saved.plan,
        "refused": saved.refused,
    }
    messages = list(places.messages)
    arrays = {
        "signals": np.frombuffer(b"".join(messages), np.uint8),
        "sizes": np.array([len(message) for message in messages], "<u4"),
    }
    return Checkpoint(
        layout=LAYOUT,
        domain=DOMAIN,
        kind=KIND,
        partition=partition,
        next_offset=saved.next_offset,
        body=pack(arrays, {"document": [orjson.dumps(document).decode()]}),
    )


def scans_in(checkpoint: Checkpoint) -> SavedScans:
    """The state that a checkpoint holds."""
    arrays, texts = unpack(checkpoint.body)
    data, ends = arrays["signals"].tobytes(), np.cumsum(arrays["sizes"]).tolist()
    signals = [
        read_signal(SignalMessage.FromString(data[start:end]))
        for start, end in zip([0, *ends[:-1]], ends, strict=False)
    ]
    document: Document = orjson.loads(texts["document"][0])
    state = LookoutState(
        event_time=_event_time(document["event_time"]),
        signals=tuple(signals[place] for place in document["held"]),
        last_ms=document["last_ms"],
        dirty_ms=document["dirty_ms"],
        scans=tuple((ms, city, tuple(_sight(s, signals) for s in sights)) for ms, city, sights in document["scans"]),
        base=tuple(
            Chain(**{**chain, "cases": tuple(chain["cases"]), "best": _sight(chain["best"], signals)})
            for chain in document["base"]
        ),
        told=tuple(
            Finding(**{**told, "state": FindingState(told["state"]), "sight": _sight(told["sight"], signals)})
            for told in document["told"]
        ),
        counters=LookoutCounters(**document["counters"]),
    )
    return SavedScans(state, checkpoint.next_offset, document["plan"], document["refused"])


class _Places:
    """Signals by their place in the checkpoint; versions of one that differ have places of their own."""

    def __init__(self) -> None:
        self.messages: dict[bytes, int] = {}

    def of(self, signal: Signal) -> int:
        message = signal_message(signal).SerializeToString(deterministic=True)
        return self.messages.setdefault(message, len(self.messages))

    def sight(self, sight: Sight) -> Document:
        return {**_plain(sight), "signals": [self.of(signal) for signal in sight.signals]}


def _plain(value: Sight | Chain | Finding) -> Document:
    """The fields of a value, as they are."""
    return {field.name: getattr(value, field.name) for field in fields(value)}


def _sight(document: Mapping[str, Any], signals: Sequence[Signal]) -> Sight:
    listed = tuple(signals[place] for place in document["signals"])
    return Sight(**{**document, "cases": tuple(document["cases"]), "signals": listed})


def _event_time(document: Document) -> EventTimeState:
    reports = tuple((tuple(source), mark, heard) for source, mark, heard in document["reports"])
    return EventTimeState(**{**document, "reports": reports})
