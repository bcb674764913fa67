"""Reads deploy/Dockerfile as a list of instructions; nothing is built."""

from __future__ import annotations

import re
import shlex
from typing import NamedTuple

from tests.deploy.compose import ROOT

DOCKERFILE = ROOT / "deploy" / "Dockerfile"


class Instruction(NamedTuple):
    """One instruction: its stage (counted from 0, -1 before the first FROM), its name and the rest of it."""

    stage: int
    name: str
    rest: str


def instructions() -> list[Instruction]:
    """All instructions, continued lines joined and comments left out."""
    lines = [line for line in DOCKERFILE.read_text().splitlines() if not line.lstrip().startswith("#")]
    found: list[Instruction] = []
    stage = -1
    for line in re.sub(r"\\\n\s*", "", "\n".join(lines)).splitlines():
        if line.strip():
            name, _, rest = line.partition(" ")
            stage += name == "FROM"
            found.append(Instruction(stage, name, rest.strip()))
    return found


def final(name: str) -> list[str]:
    """What the instructions of this name say in the last stage."""
    last = max(found.stage for found in instructions())
    return [found.rest for found in instructions() if found.stage == last and found.name == name]


def environment_of_image() -> dict[str, str]:
    """The URBAN_* variables that the image sets."""
    pairs = [word.partition("=") for rest in final("ENV") for word in shlex.split(rest)]
    return {name: value for name, _, value in pairs if name.startswith("URBAN_")}
