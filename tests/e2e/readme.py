"""Runs the examples of the README as they stand there, on a city that runs."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

from tests.e2e.conftest import PATIENCE_S, REPOSITORY, Urban

_EXAMPLE = re.compile(r"^\*\*(Send|Subscribe|Query)\.\*\*.*?^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_SHELLS = {"sh": ["sh", "-c"], "python": [sys.executable, "-c"]}


def run_examples(urban: Urban, folder: Path) -> dict[str, subprocess.CompletedProcess[str]]:
    """What came of each example, by its name in lower case. `folder`: an empty one to run them in."""
    (folder / ".urban").symlink_to(urban.root)
    programs = str(Path(sys.executable).parent)
    environment = urban.environment | {"PATH": programs + os.pathsep + os.environ["PATH"]}
    text = (REPOSITORY / "README.md").read_text(encoding="utf-8")
    return {
        name.lower(): subprocess.run(
            [*_SHELLS[language], code],
            cwd=folder,
            env=environment,
            capture_output=True,
            text=True,
            timeout=PATIENCE_S,
        )
        for name, language, code in _EXAMPLE.findall(text)
    }
