"""The rulebook's state as a checkpoint: named arrays and texts in a record of the compacted state topic.

The signals that its rules hold lie in parts that many checkpoints share (`held_signals`).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import islice
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from services.core.correlation.action import Action, ActionKind
from services.core.correlation.event_time import EventTimeState
from services.core.correlation.planned import PlannedEvent
from services.core.correlation.rulebook import RulebookState
from services.core.correlation.state import (
    CorrelatorCounters,
    CorrelatorState,
    IncidentRecord,
    LedgerState,
    PassedIncident,
)
from services.core.signals import Signal
from services.core.state import NO_WATERMARK
from services.correlation.held_signals import Held, HeldSignals, held_in
from services.correlation.rules import RuleFile, read_rule_file
from services.runtime.packing import pack, unpack
from urban.common.v1.checkpoint_pb2 import Checkpoint

# Raise it when the arrays or texts below change.
LAYOUT = 5
# Those of versions before it that are read: in 4 all signals are in the checkpoint.
READ_LAYOUTS = frozenset({4, LAYOUT})
DOMAIN, KIND = "correlation", "signals"
# Stands for None in an array of numbers.
_NONE = NO_WATERMARK
_COUNTERS = ("taken", "repeated", "unmatched", "settled", "reports", "overflow")


class Saved(NamedTuple):
    """What a checkpoint holds. What is to be written leaves out the signals: they are told apart."""

    state: RulebookState
    next_offset: int  # of the signal topic
    actions_offset: int  # of the topic of incident actions
    planned_offset: int  # of the topic of planned events
    refused: int  # records that could not be used
    rules: tuple[RuleFile, ...]  # of each rule of the state
    coming: tuple[RuleFile, ...] | None = None  # rules that come into force at `next_offset`; None: as they are
    places: Sequence[tuple[int, int]] = ()  # see SignalPlaces
    shadows: tuple[RuleFile, ...] = ()  # rules that are only tried
    shadow_states: tuple[CorrelatorState, ...] = ()  # of each of them
    told_offset: int = 0  # of the topic of incidents: versions before it are of this state


def checkpoint_of(partition: int, saved: Saved, held: Held) -> Checkpoint:
    """The message of a state. `held`: the signals of its rules, and behind them of those that are only tried."""
    arrays: dict[str, NDArray[Any]] = {}
    texts: dict[str, list[str]] = {"rules": _files(saved.rules), "coming": _files(saved.coming or ())}
    held.put(_names_of_held(saved.rules, saved.shadows), arrays)
    for number, state in enumerate(saved.state.rules):
        _put(f"{number}.", state, arrays, texts)
    texts["shadows"] = _files(saved.shadows)
    for number, state in enumerate(saved.shadow_states):
        prefix = f"shadow.{number}."
        _put(prefix, state, arrays, texts)
        _put_ledger(state.ledger, arrays, texts, prefix)
    arrays["counters"] = _counters(saved.state.counters)
    _put_ledger(saved.state.ledger, arrays, texts)
    position = saved.actions_offset, saved.planned_offset, saved.refused, int(saved.coming is not None)
    arrays["position"] = _numbers([position], 4)
    arrays["places"] = _numbers(saved.places, 2)
    arrays["told"] = _numbers([[saved.told_offset]], 1)
    events = [state.event_time.event_ms for state in saved.state.rules]
    return Checkpoint(
        layout=LAYOUT,
        domain=DOMAIN,
        kind=KIND,
        partition=partition,
        next_offset=saved.next_offset,
        watermark_ms=_or_none(min((event_ms for event_ms in events if event_ms is not None), default=None)),
        body=pack(arrays, texts),
    )


def _files(files: Sequence[RuleFile]) -> list[str]:
    return [text for file in files for text in (file.name, file.text)]


def saved_in(checkpoint: Checkpoint, parts: Mapping[int, bytes]) -> tuple[Saved, HeldSignals]:
    """The state that a checkpoint with its parts holds, signals included, and where those lie.

    RuleFileError: of a rule that this version of the software does not read.
    """
    arrays, texts = unpack(checkpoint.body)
    actions_offset, planned_offset, refused, is_coming = arrays["position"][0].tolist()
    rules, coming, shadows = (
        tuple(read_rule_file(name, text) for name, text in _told(texts.get(key, ()), 2))
        for key in ("rules", "coming", "shadows")
    )
    held, signals = held_in(arrays, _names_of_held(rules, shadows), parts)
    states = [_state(f"{number}.", signals[number], arrays, texts) for number in range(len(rules))]
    shadow_states = []
    for number in range(len(shadows)):
        prefix = f"shadow.{number}."
        alone = _state(prefix, signals[len(rules) + number], arrays, texts)
        shadow_states.append(replace(alone, ledger=_ledger(arrays, texts, prefix)))
    counters = CorrelatorCounters(*arrays["counters"][0].tolist())
    state = RulebookState(tuple(states), counters, _ledger(arrays, texts))
    saved = Saved(
        state=state,
        next_offset=checkpoint.next_offset,
        actions_offset=actions_offset,
        planned_offset=planned_offset,
        refused=refused,
        rules=rules,
        coming=coming if is_coming else None,
        places=[(step, offset) for step, offset in arrays["places"].tolist()],
        shadows=shadows,
        shadow_states=tuple(shadow_states),
        # A checkpoint of before does not say it: then all versions are looked through once.
        told_offset=int(arrays["told"][0][0]) if "told" in arrays else 0,
    )
    return saved, held


def _names_of_held(rules: Sequence[RuleFile], shadows: Sequence[RuleFile]) -> list[str]:
    names = [f"{number}.held" for number in range(len(rules))]
    return [*names, *(f"shadow.{number}.held" for number in range(len(shadows)))]


def _put(prefix: str, state: CorrelatorState, arrays: dict[str, NDArray[Any]], texts: dict[str, list[str]]) -> None:
    """Adds what one rule knows beside its signals."""
    time = state.event_time
    arrays[f"{prefix}event_time"] = _numbers([(_or_none(time.event_ms), _or_none(time.log_ms), time.clock_ms)], 3)
    arrays[f"{prefix}report_numbers"] = _numbers([(source[2], mark, heard) for source, mark, heard in time.reports], 3)
    arrays[f"{prefix}counters"] = _counters(state.counters)
    arrays[f"{prefix}closed"] = np.array([state.closed], "u1")
    texts[f"{prefix}reports"] = [text for source, _, _ in time.reports for text in source[:2]]


def _state(
    prefix: str, signals: tuple[Signal, ...], arrays: Mapping[str, NDArray[Any]], texts: Mapping[str, Sequence[str]]
) -> CorrelatorState:
    event_ms, log_ms, clock_ms = arrays[f"{prefix}event_time"][0].tolist()
    reports = zip(_told(texts[f"{prefix}reports"], 2), arrays[f"{prefix}report_numbers"].tolist(), strict=True)
    return CorrelatorState(
        event_time=EventTimeState(
            event_ms=None if event_ms == _NONE else event_ms,
            log_ms=None if log_ms == _NONE else log_ms,
            clock_ms=clock_ms,
            reports=tuple(((domain, kind, p), mark, heard) for (domain, kind), (p, mark, heard) in reports),
        ),
        signals=signals,
        counters=CorrelatorCounters(*arrays[f"{prefix}counters"][0].tolist()),
        closed=bool(arrays[f"{prefix}closed"][0]),
    )


def _put_ledger(
    state: LedgerState, arrays: dict[str, NDArray[Any]], texts: dict[str, list[str]], prefix: str = ""
) -> None:
    """Adds what is remembered of incidents, what people did with them, and what they plan."""
    incidents, actions, planned = state.incidents, state.actions, state.planned
    places = [(e.latitude, e.longitude, e.radius_m) for e in planned]
    arrays[f"{prefix}incident_numbers"] = _numbers([(i.revision, i.settled_ms, int(i.standing)) for i in incidents], 3)
    arrays[f"{prefix}action_numbers"] = _numbers([(a.time_ms, int(a.kind), a.seen_ms, a.place) for a in actions], 4)
    arrays[f"{prefix}planned_times"] = _numbers([(e.start_ms, e.end_ms) for e in planned], 2)
    arrays[f"{prefix}planned_places"] = np.array(places, "<f8").reshape(-1, 3)
    texts[f"{prefix}incidents"] = [text for i in incidents for text in (i.id, i.rule, i.superseded_by)]
    inhibited = [i for i in incidents if i.inhibited_by]
    texts[f"{prefix}inhibited"] = [text for i in inhibited for text in (i.id, i.inhibited_by)]
    arrays[f"{prefix}passed_numbers"] = _numbers([(p.version, p.start_ms, len(p.entities)) for p in state.passed], 3)
    texts[f"{prefix}passed"] = [text for p in state.passed for text in (p.rule, p.city, p.id)]
    texts[f"{prefix}passed_entities"] = [t for p in state.passed for entity in p.entities for t in entity]
    texts[f"{prefix}actions"] = [t for a in actions for t in (a.incident_id, a.request_id, a.actor, a.note, a.about)]
    texts[f"{prefix}planned_events"] = [
        text for e in planned for text in (e.id, e.city, e.title, " ".join(sorted(e.kinds)))
    ]
    texts[f"{prefix}planned_actors"] = [e.actor for e in planned]
    arrays[f"{prefix}planned_told"] = _numbers([[e.told_ms] for e in planned], 1)


def _ledger(arrays: Mapping[str, NDArray[Any]], texts: Mapping[str, Sequence[str]], prefix: str = "") -> LedgerState:
    incidents = zip(_told(texts[f"{prefix}incidents"], 3), arrays[f"{prefix}incident_numbers"].tolist(), strict=True)
    actions = zip(_told(texts[f"{prefix}actions"], 5), arrays[f"{prefix}action_numbers"].tolist(), strict=True)
    # A checkpoint of the version before has nothing that is muted.
    inhibitors = {pair[0]: pair[1] for pair in _told(texts.get(f"{prefix}inhibited", ()), 2)}
    return LedgerState(
        incidents=tuple(
            IncidentRecord(id_, rule, revision, settled_ms, heir, bool(standing), inhibitors.get(id_, ""))
            for (id_, rule, heir), (revision, settled_ms, standing) in incidents
        ),
        actions=tuple(
            Action(i, request, actor, time_ms, note, ActionKind(kind), about, seen_ms, place)
            for (i, request, actor, note, about), (time_ms, kind, seen_ms, place) in actions
        ),
        planned=tuple(_planned_events(arrays, texts, prefix)),
        passed=tuple(_passed(arrays, texts, prefix)) if f"{prefix}passed" in texts else (),
    )


def _passed(
    arrays: Mapping[str, NDArray[Any]], texts: Mapping[str, Sequence[str]], prefix: str
) -> Iterator[PassedIncident]:
    entities = iter(_told(texts[f"{prefix}passed_entities"], 3))
    words, numbers = _told(texts[f"{prefix}passed"], 3), arrays[f"{prefix}passed_numbers"].tolist()
    for (rule, city, id_), (version, start_ms, count) in zip(words, numbers, strict=True):
        about = tuple((domain, kind, entity) for domain, kind, entity in islice(entities, count))
        yield PassedIncident(rule, version, city, start_ms, id_, about)


def _planned_events(
    arrays: Mapping[str, NDArray[Any]], texts: Mapping[str, Sequence[str]], prefix: str
) -> Iterator[PlannedEvent]:
    words = _told(texts[f"{prefix}planned_events"], 4)
    times, places = arrays[f"{prefix}planned_times"].tolist(), arrays[f"{prefix}planned_places"].tolist()
    # A checkpoint of before does not say who told of an event, and when.
    actors: Sequence[str] = texts.get(f"{prefix}planned_actors", [""] * len(words))
    told = arrays[f"{prefix}planned_told"][:, 0].tolist() if f"{prefix}planned_told" in arrays else [0] * len(words)
    numbers = zip(words, times, places, actors, told, strict=True)
    for (id_, city, title, kinds), (start_ms, end_ms), (latitude, longitude, radius_m), actor, told_ms in numbers:
        explained = frozenset(kinds.split())
        yield PlannedEvent(
            id_, city, title, start_ms, end_ms, latitude, longitude, radius_m, explained, actor=actor, told_ms=told_ms
        )


def _counters(counters: CorrelatorCounters) -> NDArray[np.int64]:
    return _numbers([[getattr(counters, name) for name in _COUNTERS]], len(_COUNTERS))


def _or_none(value: int | None) -> int:
    return _NONE if value is None else value


def _numbers(rows: Sequence[Sequence[int]], width: int) -> NDArray[np.int64]:
    return np.array(rows, "<i8").reshape(-1, width)


def _told(texts: Sequence[str], width: int) -> list[tuple[str, ...]]:
    """Texts that belong together, so many each."""
    return list(zip(*(texts[i::width] for i in range(width)), strict=True))
