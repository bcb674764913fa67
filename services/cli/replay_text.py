"""Puts what became of a dead letter that was sent again into words, or into JSON."""

from __future__ import annotations

from typing import Any

from services.cli.replayer import Replayed
from services.runtime.dead_letters import LIMIT


def line_of(found: Replayed) -> str:
    """One letter for people: where its observations go, and what becomes of them."""
    letter = found.letter
    if not found.sendable:
        return f"{letter.id}: not sent: {found.reason}"
    assert found.verdict is not None
    frames = f" in {len(found.frames)} frames" if len(found.frames) > 1 else ""
    first = found.frames[0]
    what = f"sent at offset {found.offset}" if found.offset >= 0 else "would be sent"
    parts = [
        f"{count:,} {word}"
        for count, word in (
            (found.verdict.folded, "to be folded"),
            (found.verdict.late, "too late for their windows: to the late topic and the archive"),
            (found.verdict.duplicate, "sent before"),
            (found.verdict.refused, "refused again"),
            (len(found.left_out), "that cannot be read, and stay where they are"),
        )
        if count
    ]
    reasons = [str(problem) for problem in (*found.verdict.problems, *found.left_out)][:3]
    room = ["whether there is room for its entities now is not known here"] if letter.error_class == LIMIT else []
    return (
        f"{letter.id}: {found.observations:,} observations{frames} {what} ({letter.topic}[{letter.partition}], source "
        f"{first.source_id}, number {first.sequence}): {', '.join(parts)}"
        + "".join(f"; {text}" for text in (*reasons, *room))
    )


def document_of(found: Replayed) -> dict[str, Any]:
    """The same for JSON."""
    verdict = found.verdict
    return {
        "id": found.letter.id,
        "sendable": found.sendable,
        "reason": found.reason,
        "offset": found.offset if found.offset >= 0 else None,
        "frames": [
            {"source_id": f.source_id, "sequence": f.sequence, "observations": len(f), "clock_ms": f.clock_ms}
            for f in found.frames
        ],
        "folded": verdict.folded if verdict else 0,
        "late": verdict.late if verdict else 0,
        "duplicate": verdict.duplicate if verdict else 0,
        "refused": verdict.refused if verdict else 0,
        "problems": [vars(problem) for problem in (*(verdict.problems if verdict else ()), *found.left_out)],
    }
