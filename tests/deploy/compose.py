"""Reads docker-compose.yml and .env.example as Compose would: variables replaced, nothing started."""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping
from functools import lru_cache
from io import StringIO
from pathlib import Path
from typing import Any

import yaml
from dotenv import dotenv_values

ROOT = Path(__file__).resolve().parents[2]
COMPOSE = ROOT / "docker-compose.yml"
EXAMPLE = ROOT / ".env.example"

# ${NAME}, ${NAME:-default} and ${NAME:?message}: the forms that the file uses.
VARIABLE = re.compile(r"\$\{(\w+)(?::-([^}]*)|:\?[^}]*)?\}")
_COMMENTED = re.compile(r"(?m)^# ?(?=[A-Z_]+=)")


def read_example(*, commented: bool = False) -> dict[str, str]:
    """The variables of .env.example; with `commented`, those only that stand there as a comment."""
    text = EXAMPLE.read_text()
    told = dotenv_values(stream=StringIO(text))
    if commented:
        every = dotenv_values(stream=StringIO(_COMMENTED.sub("", text)))
        return {name: value or "" for name, value in every.items() if name not in told}
    return {name: value or "" for name, value in told.items()}


def defaults() -> dict[str, str]:
    """Every variable that docker-compose.yml refers to, with its default; empty where there is none."""
    return dict(VARIABLE.findall(COMPOSE.read_text()))


def resolve(text: str, environment: Mapping[str, str]) -> str:
    """The text with its variables replaced, by the environment or by their own defaults."""
    return VARIABLE.sub(lambda found: environment.get(found[1]) or found[2] or "", text)


@lru_cache(maxsize=1)
def read_compose() -> dict[str, Any]:
    """docker-compose.yml with the variables of .env.example."""
    document: dict[str, Any] = yaml.safe_load(resolve(COMPOSE.read_text(), read_example()))
    return document


def services() -> dict[str, dict[str, Any]]:
    """The services of docker-compose.yml by name."""
    found: dict[str, dict[str, Any]] = read_compose()["services"]
    return found


def ours() -> dict[str, dict[str, Any]]:
    """The services that run the image of this repository."""
    image = read_compose()["x-service"]["image"]
    return {name: service for name, service in services().items() if service["image"] == image}


def words_of(service: Mapping[str, Any]) -> list[str]:
    """The command of a service as a list of words."""
    command = service["command"]
    return shlex.split(command) if isinstance(command, str) else command
