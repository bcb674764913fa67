"""The steps of services/README.md as they stand there: files to write, commands to run, and what they print."""

from __future__ import annotations

import re
from pathlib import Path
from typing import NamedTuple

REPOSITORY = Path(__file__).resolve().parents[3]

_STEP = re.compile(r"^\*\*(\d)\. (.*?)(?=^\*\*\d\. |^## )", re.MULTILINE | re.DOTALL)
_BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_FILE = re.compile(r"`(services/plant/\w+\.py)`:\n\n```python\n(.*?)^```$", re.MULTILINE | re.DOTALL)


class Block(NamedTuple):
    """One fenced block."""

    language: str
    text: str


def read_steps() -> dict[int, list[Block]]:
    """The blocks of every step, by its number."""
    text = (REPOSITORY / "services" / "README.md").read_text(encoding="utf-8")
    return {int(number): [Block(*block) for block in _BLOCK.findall(step)] for number, step in _STEP.findall(text)}


def read_files() -> dict[str, str]:
    """Text by path, of the files that people write by hand."""
    return dict(_FILE.findall((REPOSITORY / "services" / "README.md").read_text(encoding="utf-8")))
