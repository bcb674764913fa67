"""Cuts a recording into frames whose source and number follow from what it holds: what is sent twice counts once.

Event time is cut into steps. The frames of 64 steps have a source of their own, whose name is that of the recording and
of these 64 steps, and their number is that of the step: a partition tells 64 numbers of a source apart in whatever
order they come (services/core/sources.py). So any part of a recording may be sent at any time, before or after any
other part, and whatever was there before is known as a repetition.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from services.core.frame import Frame, Int64Array
from services.core.kind import MINUTE_MS, Kind
from services.core.sources import SPAN
from services.core.validation import InvalidFrame, check_header, validate
from services.feeds.recordings.block import Block, Names, Refusal, Refuse, join
from services.runtime.rows import time_text

FRAME_ROWS = 8_192
# What is said of a moment before it comes may be so far ahead of the city's clock, so a frame spans no more.
_LONGEST_STEP_MS = 5 * MINUTE_MS
_BEGINNING_MS = np.iinfo(np.int64).min


@dataclass(frozen=True)
class Recording:
    """Observations of one kind and city out of one file, or out of several that belong together."""

    city: str
    kind: Kind
    name: str  # the file's
    identity: str  # follows from what it holds and how it is read
    names: Names
    blocks: Iterable[Block]  # by time, but for the kind's disorder


@dataclass(frozen=True)
class NumberedFrame:
    """A frame, the beginning of its step (UTC ms), and where its observations stand in the file."""

    step_ms: int
    kind: str
    frame: Frame
    file: str
    line: Int64Array


@dataclass(frozen=True)
class Span:
    """Event time that is wanted, [from, to) in UTC ms."""

    from_ms: int = _BEGINNING_MS
    to_ms: int = np.iinfo(np.int64).max


def step_of(kind: Kind) -> int:
    """Length of the steps of a kind in ms: a window of it is at least as long, so that steps close windows in order."""
    return min(_LONGEST_STEP_MS, kind.skew_ms, *(window.step_ms for window in kind.windows))


def identify(*parts: str) -> str:
    """A name out of everything that decides what the frames of a recording hold."""
    return hashlib.sha256("\x1f".join(parts).encode()).hexdigest()[:20]


def check_span(span: Span, kind: Kind) -> None:
    """ValueError where a step would be cut in two: its parts would have the same number."""
    step_ms = step_of(kind)
    for option, time_ms in (("--from", span.from_ms), ("--to", span.to_ms)):
        if abs(time_ms) < np.iinfo(np.int64).max and time_ms % step_ms:
            before = time_text(time_ms - time_ms % step_ms)
            raise ValueError(
                f"{option} {time_text(time_ms)} must be a multiple of {step_ms // 60_000} min of {kind.name}: {before}"
            )


def number_frames(recording: Recording, span: Span, refuse: Refuse) -> Iterator[NumberedFrame]:
    """Its frames by time. Told to `refuse`: what is not fit, and what comes after its step was told."""
    kind, step_ms = recording.kind, step_of(recording.kind)
    fit = (_take_fit(recording, block, refuse) for block in recording.blocks)
    parts = 0
    last_ms = _BEGINNING_MS
    for slot_ms, rows in _steps(recording, fit, refuse):
        parts = parts + 1 if slot_ms == last_ms else 0
        last_ms = slot_ms
        if not span.from_ms <= slot_ms < span.to_ms:
            continue
        chunk, place = divmod(slot_ms // step_ms, SPAN)
        source = f"recording-{recording.identity}.{chunk}"
        used, entity = np.unique(rows.entity, return_inverse=True)
        frame = Frame(
            city=recording.city,
            entity_ids=tuple(recording.names.ids[number] for number in used.tolist()),
            entity=entity.astype(np.uint32),
            time_ms=rows.time_ms,
            period_s=int(rows.period_s[0]),
            columns=rows.columns,
            source_id=f"{source}.{parts}" if parts else source,
            sequence=place + 1,
        )
        yield NumberedFrame(slot_ms, kind.name, frame, recording.name, rows.line)


def _take_fit(recording: Recording, block: Block, refuse: Refuse) -> Block:
    """Those that the service would take; the same words say why it would not take the others."""
    good = np.ones(len(block), np.bool_)
    told: list[Refusal] = []
    for period in np.unique(block.period_s).tolist():
        rows = np.flatnonzero(block.period_s == period)
        part = block.take(rows)
        frame = Frame(recording.city, recording.names.ids, part.entity, part.time_ms, period, part.columns)
        try:
            check_header(recording.kind, replace(frame, entity_ids=()))
            ok, problems = validate(recording.kind, frame)
        except InvalidFrame as fault:
            good[rows] = False
            lines = part.line.tolist()
            told += [Refusal(recording.name, line, fault.field, fault.value, fault.reason) for line in lines]
            continue
        good[rows] = ok
        told += [Refusal(recording.name, int(part.line[p.index]), p.field, p.value, p.reason) for p in problems]
    for refusal in sorted(told, key=lambda refusal: refusal.line):
        refuse(refusal)
    return block if good.all() else block.take(good)


def _steps(recording: Recording, blocks: Iterable[Block], refuse: Refuse) -> Iterator[tuple[int, Block]]:
    """Observations of one step and period each, in the order of steps; a step of many comes in several parts."""
    kind, step_ms = recording.kind, step_of(recording.kind)
    held: list[Block] = []
    newest_ms = _BEGINNING_MS
    for block in blocks:
        if not len(block):
            continue
        reached = np.maximum.accumulate(np.maximum(block.time_ms, newest_ms))
        newest_ms = int(reached[-1])
        behind = block.time_ms < reached - kind.disorder_ms
        for row in np.flatnonzero(behind).tolist():
            reason = (
                f"is earlier than others before it by more than {kind.disorder_ms // 1000} s: --sort puts it in order"
            )
            told = time_text(int(block.time_ms[row]))
            refuse(Refusal(recording.name, int(block.line[row]), "time", told, reason))
        held.append(block.take(~behind))
        # What comes next is not earlier.
        border_ms = (newest_ms - kind.disorder_ms) // step_ms * step_ms
        if any(len(b) and int(b.time_ms.min()) < border_ms for b in held):
            whole = join(held)
            ready = whole.time_ms < border_ms
            yield from _groups(whole.take(ready), step_ms)
            held = [whole.take(~ready)]
    if held:
        yield from _groups(join(held), step_ms)


def _groups(rows: Block, step_ms: int) -> Iterator[tuple[int, Block]]:
    slot = rows.time_ms // step_ms
    order = np.lexsort((rows.line, rows.time_ms, rows.period_s, slot))
    rows, slot = rows.take(order), slot[order]
    borders = _borders(slot, rows.period_s)
    for first, end in pairwise(borders):
        for start in range(first, end, FRAME_ROWS):
            yield int(slot[start]) * step_ms, rows.take(slice(start, min(start + FRAME_ROWS, end)))


def _borders(slot: Int64Array, period_s: NDArray[np.int32]) -> list[int]:
    """Where another step or period begins, and the end."""
    if not len(slot):
        return []
    changes = np.flatnonzero((np.diff(slot) != 0) | (np.diff(period_s) != 0)) + 1
    return [0, *changes.tolist(), len(slot)]
