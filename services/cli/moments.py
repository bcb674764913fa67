"""Moments as people write them on a command line."""

from __future__ import annotations

from datetime import UTC, datetime


def read_utc(text: str) -> datetime:
    """A moment by RFC 3339; without an offset it is UTC. ValueError where it is none: say which option, and how."""
    moment = datetime.fromisoformat(text)
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
