"""What came of replaying a recording, for people and for programs."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any

from services.runtime.rows import time_text


@dataclass
class Outcome:
    """What came of a replay."""

    dry_run: bool
    observations: dict[str, int] = field(default_factory=dict)  # that were read and are fit, by kind
    frames: int = 0
    entities: int = 0
    accepted: int = 0
    refused: int = 0
    empty: int = 0  # rows or cells of tables in which nothing was measured
    files: dict[str, int] = field(default_factory=dict)  # refused, by file
    reasons: dict[str, int] = field(default_factory=dict)  # refused, by field and reason
    first_ms: int | None = None  # start of the first observation
    last_ms: int | None = None  # start of the last one
    registered: int = 0
    seconds: float = 0.0
    stopped: bool = False
    resume_ms: int | None = None  # where to go on

    def document(self) -> dict[str, Any]:
        """For programs."""
        told = asdict(self)
        for name in ("first", "last", "resume"):
            time_ms = told.pop(f"{name}_ms")
            told[name] = None if time_ms is None else time_text(time_ms)
        return told

    def text(self) -> str:
        """For people."""
        what = ", ".join(f"{count:,} {kind}" for kind, count in self.observations.items()) or "no observations"
        span = (
            f" from {time_text(self.first_ms)} to {time_text(self.last_ms)}" if self.first_ms and self.last_ms else ""
        )
        done = "would be sent" if self.dry_run else f"sent, {self.accepted:,} accepted"
        lines = [
            f"{what} of {self.entities:,} entities in {self.frames:,} frames{span}: {done}, {self.refused:,} refused"
        ]
        if self.registered:
            lines.append(f"  {self.registered:,} entities registered")
        if self.empty:
            lines.append(f"  {self.empty:,} rows or cells in which nothing was measured")
        for file, count in self.files.items():
            lines.append(f"  {count:,} refused of {file}")
        lines += [f"  {count:,} × {reason}" for reason, count in self.reasons.items()]
        if self.stopped and self.resume_ms is not None:
            lines.append(
                f"stopped: all before {time_text(self.resume_ms)} is in; go on with --from {time_text(self.resume_ms)}"
            )
        return "\n".join(lines)
