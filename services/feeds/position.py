"""Keeps how far a feed has come in a file, so that a restart goes on there and others can look."""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path

STARTING, HISTORY, REPLAY, ENDED = "starting", "history", "replay", "ended"


@dataclass(frozen=True)
class Progress:
    """How far a feed has come; event times in ms since 1970, UTC."""

    feed: str  # what is fed; a position belongs to one feed only
    phase: str = STARTING
    position_ms: int | None = None  # everything up to here is acknowledged; None: nothing yet
    clock_ms: int | None = None  # what was sent up to now
    sent: int = 0  # observations, since this process began
    accepted: int = 0
    rejected: int = 0
    speed: float = 0.0  # event seconds per second


def load(path: Path, feed: str) -> Progress:
    """What the file holds, or a beginning where there is none; ValueError where it is of another feed."""
    if not path.is_file():
        return Progress(feed)
    found = Progress(**json.loads(path.read_text()))
    if found.feed != feed:
        raise ValueError(f"{path} is the position of another feed ({found.feed}, not {feed}): start afresh")
    return found


def store(path: Path, progress: Progress) -> None:
    """Replace the file at once, so that whoever reads it sees all or nothing of a version."""
    draft = path.with_name(f"{path.name}.{os.getpid()}")
    draft.write_text(json.dumps(asdict(progress)) + "\n")
    draft.replace(path)
