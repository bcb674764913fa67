"""What is kept of cities that were run, so that many can be run in slices, and rules be tried on them again.

A file is taken for what it is only where it was made by the same programs from the same options: its first line says
so. Two files a city: its figures (JSON), and all that its detectors told (pickled, for this machine), on which another
version of a rule is tried in seconds.
"""

from __future__ import annotations

import gzip
import hashlib
import json
import os
import pickle
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from tests.benchmarks.quality.course import Heard

ROOT = Path(__file__).resolve().parents[3]
# What the figures follow from; what detectors tell follows from a part of it, as they do not see the rules' side.
_PROGRAMS = ("services/**/*.py", "tests/benchmarks/quality/*.py")
_OF_DETECTORS = ("services/", "tests/benchmarks/quality/engine.py", "tests/benchmarks/quality/normal.py")
_BESIDE_DETECTORS = (
    "services/cli/",
    "services/correlation/",
    "services/core/correlation/",
    "services/core/response/",
    "services/core/scan/",
    "services/runtime/",
)

Facts = Mapping[str, Any]


def digest_of(folder: Path, files: Iterable[Path]) -> str:
    """Of the contents of files of a folder, and of their names in it."""
    digest = hashlib.sha256()
    for path in sorted(files):
        digest.update(f"{path.relative_to(folder).as_posix()}\x1f".encode())
        digest.update(path.read_bytes())
    return digest.hexdigest()[:32]


def programs(*, detectors_only: bool) -> str:
    """Digest of the programs that figures are made by; or of those that what detectors tell is made by."""
    found = [path for pattern in _PROGRAMS for path in ROOT.glob(pattern)]
    if detectors_only:
        names = {path: path.relative_to(ROOT).as_posix() for path in found}
        found = [p for p in found if names[p].startswith(_OF_DETECTORS) and not names[p].startswith(_BESIDE_DETECTORS)]
    return digest_of(ROOT, found)


def read_figures(path: Path, made_of: Facts) -> Any:
    """The figures in a file; None where there are none, or others than of this."""
    if not path.exists():
        return None
    document = json.loads(path.read_text(encoding="utf-8"))
    return document["figures"] if document["made_of"] == json.loads(json.dumps(made_of)) else None


def write_figures(path: Path, made_of: Facts, figures: Any) -> None:
    """Keeps figures, whole or not at all."""
    text = json.dumps({"made_of": made_of, "figures": figures}, indent=1) + "\n"
    _write(path, text.encode())


def read_heard(path: Path, made_of: Facts) -> Heard | None:
    """What detectors told; None where it was not kept, or is of something else."""
    if not path.exists():
        return None
    with gzip.open(path) as file:
        if file.readline() != _line(made_of):
            return None
        heard: Heard = pickle.load(file)  # of this program's own folder
        return heard


def write_heard(path: Path, made_of: Facts, heard: Heard) -> None:
    """Keeps what detectors told, whole or not at all."""
    _write(path, gzip.compress(_line(made_of) + pickle.dumps(heard), 1))


def _line(made_of: Facts) -> bytes:
    return json.dumps(made_of, sort_keys=True).encode() + b"\n"


def _write(path: Path, content: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_name(f"{path.name}.{os.getpid()}")
    unfinished.write_bytes(content)
    os.replace(unfinished, path)
