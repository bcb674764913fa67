"""From a dead letter to the frames that bring its refused observations in again, and what would become of them.

Of a record that was refused in part, the others were folded: so only the refused observations are sent, in frames of
their own. Their source and number come from the letter's place, so that a letter that is sent twice is folded once.
What of them is refused again becomes a letter of another place, which can be sent again in its turn.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from services.core.frame import Frame, Malformed, Problem, announcement
from services.core.kind import UnknownEntities
from services.core.partition import Partition
from services.core.sources import SPAN
from services.core.validation import InvalidFrame, check_frame
from services.runtime.codec import decode_record, select_rows
from services.runtime.contracts import FrameContract
from services.runtime.dead_letters import ALL_ROWS, read_rows
from services.runtime.log import Headers, LogRecord

# The header of a frame that was sent again: the place of the letter's record.
REPLAY_OF = "urban_replay_of"


class NotReplayableError(ValueError):
    """Why nothing of a letter can be sent again."""


@dataclass(frozen=True)
class Letter:
    """A record of a dead-letter topic, taken apart: the record that was refused, and what was told about it."""

    topic: str
    partition: int
    offset: int
    timestamp_ms: int
    key: bytes | None
    value: bytes | None
    headers: Headers  # its own
    error_class: str
    error: str
    observations: int  # refused
    rows: NDArray[np.int64] | None  # which, as indices in the record; None: all that it holds
    left_out_bytes: int  # 0: it was put aside whole

    @classmethod
    def of(cls, record: LogRecord) -> Letter | None:
        """None: nobody of ours wrote this record."""
        names = [name for name, _ in record.headers]
        if "urban_topic" not in names:
            return None
        # Ours stand behind those of the record, which may have had such names itself.
        first = len(names) - 1 - names[::-1].index("urban_topic")
        told = {name: (value or b"").decode("utf-8", "replace") for name, value in record.headers[first:]}
        try:
            rows = told["urban_rows"]
            return cls(
                topic=told["urban_topic"],
                partition=int(told["urban_partition"]),
                offset=int(told["urban_offset"]),
                timestamp_ms=int(told["urban_timestamp_ms"]),
                key=record.key,
                value=record.value,
                headers=record.headers[:first],
                error_class=told["urban_error_class"],
                error=told["urban_error"],
                observations=int(told["urban_observations"]),
                rows=None if rows == ALL_ROWS else read_rows(rows),
                left_out_bytes=int(told.get("urban_left_out_bytes", 0)),
            )
        except (KeyError, ValueError):
            return None

    @property
    def id(self) -> str:
        return f"{self.topic}/{self.partition}/{self.offset}"


@dataclass(frozen=True)
class Opened:
    """What a letter holds: the frames of its refused observations, and what of them no frame can hold."""

    frames: tuple[Frame, ...]  # as they came, each with the observations that were refused of it; none is empty
    rows: NDArray[np.int64]  # where these stand in the record; a frame's `index` is where its own begin here
    unreadable: tuple[Problem, ...]


def open_letter(contract: FrameContract, letter: Letter) -> Opened:
    """The refused observations of a letter. NotReplayableError: it was not put aside whole."""
    if letter.left_out_bytes:
        text = f"the record of {letter.left_out_bytes:,} bytes was too large to be put aside: only its place is known"
        raise NotReplayableError(text)
    frames: list[Frame] = []
    places: list[NDArray[np.int64]] = [np.empty(0, np.int64)]
    problems: list[Problem] = []
    for part in decode_record(contract, letter.value, letter.headers, letter.timestamp_ms, letter.offset):
        if isinstance(part, Malformed):
            if letter.rows is None or part.index in letter.rows:
                problems.append(Problem(part.index, part.field, "", part.reason))
            continue
        try:
            check_frame(contract.kind, part)
        except InvalidFrame as fault:
            problems.append(Problem(part.index, fault.field, fault.value, fault.reason))
            continue
        rows = _rows_of(part, letter.rows)
        outside = part.entity[rows] >= len(part.entity_ids)
        problems += [
            Problem(part.index + row, "entity", str(part.entity[row]), "is outside the frame's dictionary")
            for row in rows[outside].tolist()
        ]
        if len(kept := rows[~outside]):
            frames.append(replace(select_rows(part, kept), index=sum(map(len, frames))))
            places.append(part.index + kept)
    return Opened(tuple(frames), np.concatenate(places), tuple(problems))


def _rows_of(frame: Frame, refused: NDArray[np.int64] | None) -> NDArray[np.int64]:
    """Which observations of a frame were refused, where those of its record are known by their indices there."""
    if refused is None:
        return np.arange(len(frame))
    rows = refused - frame.index
    return rows[(rows >= 0) & (rows < len(frame))]


def number_frames(letter: Letter, opened: Opened, clock_ms: int) -> list[Frame]:
    """The frames to be sent, with the city's clock of now. The same letter gives the same sources and numbers again.

    A source has as many numbers as a processor tells apart in any order, so that letters may be sent in any order.
    """
    block, place = divmod(letter.offset, SPAN)
    return [
        replace(
            frame,
            source_id=f"dlq:{letter.topic}/{letter.partition}/{block}.{number}",
            sequence=place + 1,
            clock_ms=clock_ms,
            offset=-1,
        )
        for number, frame in enumerate(opened.frames)
    ]


@dataclass(frozen=True)
class Verdict:
    """What would become of frames, had they been sent now."""

    folded: int
    duplicate: int
    late: int
    refused: int
    problems: tuple[Problem, ...]  # of the refused ones, the first 100 of each frame

    @property
    def taken(self) -> int:
        """Observations that would be neither refused nor known already."""
        return self.folded + self.late


class Rehearsal:
    """A partition of the engine that has read the last records of a real one: it judges as the processor does.

    Not known to it: repetitions of what came before these records, and whether there is room for more entities.
    """

    def __init__(
        self,
        contract: FrameContract,
        partition: int,
        tail: Sequence[Frame | Malformed],
        known: Mapping[str, Sequence[str]] | None = None,
    ) -> None:
        """`known`: ids of the entities of each city, where others are to be refused; None: nobody asks for them."""
        kind = contract.kind
        self._disorder_ms = kind.disorder_ms
        if known is not None:
            kind = replace(kind, unknown_entities=UnknownEntities.REFUSE)
            tail = [*(announcement(city, ids) for city, ids in known.items()), announcement("", ()), *tail]
        self._partition = Partition(contract.domain, kind, partition)
        for _ in _fold(self._partition, [replace(part, offset=-1) for part in tail]):
            continue

    @property
    def reached_ms(self) -> int | None:
        """Event time that the partition has come to, by heartbeats and by what was taken; None: it does not tell.

        What is sent again is given this as the city's clock: that of a replay of old days is not the wall clock, and
        the clocks of other frames may be as wrong as the one that a letter is here for.
        """
        watermark_ms = self._partition.watermark_ms
        return None if watermark_ms is None else watermark_ms + self._disorder_ms

    def judge(self, frames: Sequence[Frame]) -> Verdict:
        """What would become of these frames next."""
        before = replace(self._partition.counters)
        problems = tuple(_fold(self._partition, frames))
        now = self._partition.counters
        return Verdict(
            folded=now.folded - before.folded,
            duplicate=now.duplicate - before.duplicate,
            late=now.late - before.late,
            refused=now.dead_lettered - before.dead_lettered,
            problems=problems,
        )


def _fold(partition: Partition, frames: Sequence[Frame | Malformed]) -> Iterator[Problem]:
    for closing in partition.fold(frames):
        for refused in closing.refused:
            yield from refused.problems


def why_refused(contract: FrameContract, opened: Opened) -> dict[int, Problem]:
    """Why each refused observation was refused when it came, by its index in the record, as far as it can be told.

    Not told: those for which there was no room.
    """
    found = {problem.index: problem for problem in opened.unreadable}
    for frame in opened.frames:
        alone = Partition(contract.domain, contract.kind, 0)
        for problem in _fold(alone, [replace(frame, offset=-1)]):
            place = int(opened.rows[problem.index])
            found[place] = replace(problem, index=place)
    return found
