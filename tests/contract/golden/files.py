"""The files of kept messages, one for each version of the software that was ever deployed."""

from __future__ import annotations

import base64
import json
import tomllib
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from tests.contract.golden.reading import Kept

FOLDER = Path(__file__).resolve().parent
REPOSITORY = FOLDER.parents[2]


def versions() -> list[Path]:
    """The oldest first."""
    return sorted(FOLDER.glob("*.json"), key=lambda path: tuple(map(int, path.stem.split("."))))


def read(path: Path) -> list[tuple[Kept, Any]]:
    """Each message with what was understood of it then."""
    return [(Kept.of(document), document["means"]) for document in json.loads(path.read_text(encoding="utf-8"))]


def current() -> Path:
    """The file of this version."""
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    return FOLDER / f"{project['version']}.json"


def add(path: Path, kept: Iterable[Kept]) -> list[str]:
    """Adds what the file does not have yet, by topic and name; what it has is never written anew. Names of the new."""
    documents = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else []
    there = {(document["topic"], document["name"]) for document in documents}
    new = [one for one in kept if (one.topic, one.name) not in there]
    documents += [_document(one) for one in new]
    documents.sort(key=lambda document: (document["topic"], document["name"]))
    lines = ",\n".join(json.dumps(document, ensure_ascii=False) for document in documents)
    path.write_text(f"[\n{lines}\n]\n", encoding="utf-8")
    return [f"{one.topic}: {one.name}" for one in new]


def _document(kept: Kept) -> dict[str, Any]:
    return {
        "topic": kept.topic,
        "name": kept.name,
        "reader": kept.reader,
        "headers": [[name, value.decode()] for name, value in kept.headers],
        "value": base64.b64encode(kept.value).decode(),
        "means": kept.meaning(),
    }
