"""Puts one dead letter into words: where it came from, what was refused and why, and what the record holds."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from services.core.frame import Frame, Problem
from services.core.kind import ColumnType
from services.runtime.contracts import FrameContract
from services.runtime.replay import Letter, NotReplayableError, Opened, open_letter, why_refused
from services.runtime.rows import time_text

HEX_BYTES = 256
BYTES_PER_LINE = 16
SHOWN_OBSERVATIONS = 20


def document_of(contract: FrameContract, letter: Letter) -> dict[str, Any]:
    """All that is known of a letter, for JSON: its record, the reasons, each refused observation."""
    told: dict[str, Any] = {
        "id": letter.id,
        "error_class": letter.error_class,
        "error": letter.error,
        "observations": letter.observations,
        "timestamp_ms": letter.timestamp_ms,
        "key": None if letter.key is None else letter.key.decode("utf-8", "replace"),
        "headers": [[name, (value or b"").decode("utf-8", "replace")] for name, value in letter.headers],
        "size_bytes": letter.left_out_bytes or len(letter.value or b""),
        "refused": [],
        "unreadable": [],
        "head": "",
        "not_replayable": "",
    }
    try:
        opened = open_letter(contract, letter)
    except NotReplayableError as error:
        return told | {"not_replayable": str(error)}
    told["refused"] = _refused(contract, letter, opened)
    told["unreadable"] = [vars(problem) for problem in opened.unreadable]
    if not opened.frames:
        told["head"] = (letter.value or b"")[:HEX_BYTES].hex()
    return told


def _refused(contract: FrameContract, letter: Letter, opened: Opened) -> list[dict[str, Any]]:
    reasons = why_refused(contract, opened)
    found: list[dict[str, Any]] = []
    for frame in opened.frames:
        for row in range(len(frame)):
            place = int(opened.rows[frame.index + row])
            found.append(
                {"index": place, **_reason(reasons, place, letter), "row": observation_of(contract, frame, row)}
            )
    return found


def _reason(reasons: Mapping[int, Problem], place: int, letter: Letter) -> dict[str, str]:
    problem = reasons.get(place)
    if problem is None:
        # There was no room for its entity, or it is beyond the first hundred that are told one by one.
        return {"field": "", "value": "", "reason": letter.error}
    return {"field": problem.field, "value": problem.value, "reason": problem.reason}


def observation_of(contract: FrameContract, frame: Frame, row: int) -> dict[str, Any]:
    """One observation of a frame in the form of the kind's row message; numbers that are not told are left out."""
    told: dict[str, Any] = {
        "city": frame.city,
        "entity_id": frame.entity_ids[int(frame.entity[row])],
        "time": _time(int(frame.time_ms[row])),
        "period_s": frame.period_s,
    }
    for column in contract.kind.columns:
        values = frame.columns[column.name]
        if len(values) and not (column.type is not ColumnType.CODE and np.isnan(values[row])):
            told[column.name] = int(values[row]) if column.type is ColumnType.CODE else float(str(values[row]))
    return told


def _time(time_ms: int) -> str:
    try:
        return time_text(time_ms)
    except OverflowError:
        return f"{time_ms} ms"


def lines_of(told: Mapping[str, Any], everything: bool = False) -> list[str]:
    """The same for people."""
    shown = told["refused"] if everything else told["refused"][:SHOWN_OBSERVATIONS]
    lines = [
        f"dead letter  {told['id']}",
        f"  refused    {told['observations']:,} observations, {told['error_class']}: {told['error']}",
        f"  time       {_time(told['timestamp_ms'])}, in Kafka",
        f"  size       {told['size_bytes']:,} bytes",
        f"  key        {'none' if told['key'] is None else told['key']}",
        *(f"  header     {name}: {value}" for name, value in told["headers"]),
    ]
    lines += [f"  lost       {told['not_replayable']}"] if told["not_replayable"] else []
    for refused in shown:
        lines.append(f"  observation {refused['index']}: {_because(refused)}")
        lines.append("    " + " ".join(f"{name}={value}" for name, value in refused["row"].items()))
    if len(shown) < len(told["refused"]):
        lines.append(f"  … and {len(told['refused']) - len(shown):,} more (--all)")
    lines += [f"  unreadable {problem['index']}: {_because(problem)}" for problem in told["unreadable"]]
    return lines + [f"  {line}" for line in hex_lines(bytes.fromhex(told["head"]))]


def _because(problem: Mapping[str, Any]) -> str:
    what = f"{problem['field']} = {problem['value']}" if problem["value"] else problem["field"]
    return f"{what}: {problem['reason']}" if what else str(problem["reason"])


def hex_lines(data: bytes) -> list[str]:
    """Bytes as people read them: offset, numbers, letters."""
    return [
        f"{begin:06x}  {part.hex(' '):<{BYTES_PER_LINE * 3}} "
        + "".join(chr(byte) if 32 <= byte < 127 else "." for byte in part)
        for begin in range(0, len(data), BYTES_PER_LINE)
        for part in (data[begin : begin + BYTES_PER_LINE],)
    ]
