"""The secret that raw ids of people are hashed with: read out of a file, and never shown."""

from __future__ import annotations

import re
from pathlib import Path

from services.core.pseudonym import LEAST_KEY_BYTES, ROTATION_DAYS, Pseudonyms

_HEX = re.compile(rb"(?:[0-9A-Fa-f]{2})+")
# Longer than any secret, shorter than a file that was named by mistake.
_LONGEST = 4_096


def read_pseudonyms(file: Path, city: str, rotation_days: int = ROTATION_DAYS) -> Pseudonyms:
    """What hashes the ids of a city's people with the secret in a file: hexadecimal digits (`openssl rand -hex 32`).

    OSError where it cannot be read; ValueError says what is wrong with it, and nothing of what it holds.
    """
    with file.open("rb") as opened:
        text = opened.read(_LONGEST).strip()
    if _HEX.fullmatch(text) is None:
        raise ValueError(
            f"{file} must hold {LEAST_KEY_BYTES} bytes or more as hexadecimal digits: openssl rand -hex 32"
        )
    try:
        return Pseudonyms(bytes.fromhex(text.decode()), city, rotation_days)
    except ValueError as error:
        raise ValueError(f"{file}: {error}") from None
