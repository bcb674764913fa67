"""Engines on the JVM: built by Maven into build/peers/java, and started with the JDK of this machine."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Sequence
from functools import cache
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[3]
SOURCES = Path(__file__).parent / "java"
BUILT = REPOSITORY / "build" / "peers" / "java"
STAMP = BUILT / ".made"

HEAP = "2g"
FLAGS = (f"-Xms{HEAP}", f"-Xmx{HEAP}", "-XX:+UseG1GC")
# The simple logger writes to stderr; a warning for each late observation would be work that nobody asked for.
LOG_FLAGS = ("-Dorg.slf4j.simpleLogger.defaultLogLevel=error",)


def build() -> None:
    """Build all modules, unless they are newer than their sources."""
    contracts = (REPOSITORY / "tests" / "benchmarks" / "job" / "proto", REPOSITORY / "proto" / "urban" / "common")
    sources = [f for folder in (SOURCES, *contracts) for f in folder.rglob("*") if f.is_file()]
    if STAMP.exists() and STAMP.stat().st_mtime >= max(f.stat().st_mtime for f in sources):
        return
    maven = shutil.which("mvn")
    if maven is None:
        raise RuntimeError("the peers on the JVM are built by Maven: mvn is not on the PATH")
    subprocess.run([maven, "-B", "-q", "-f", str(SOURCES / "pom.xml"), "package"], check=True)
    STAMP.touch()


def java() -> str:
    """The program `java` of JAVA_HOME or of the PATH."""
    home = os.environ.get("JAVA_HOME")
    found = str(Path(home, "bin", "java")) if home else shutil.which("java")
    if found is None:
        raise RuntimeError("the peers on the JVM need a JDK of version 17 or newer: no java on the PATH")
    return found


def argv(module: str, main: str, *arguments: str, flags: Sequence[str] = ()) -> tuple[str, ...]:
    """What starts a class of a module."""
    jars = os.pathsep.join((str(BUILT / module / f"{module}-1.jar"), str(BUILT / module / "lib" / "*")))
    return (java(), *FLAGS, *LOG_FLAGS, *flags, "-cp", jars, main, *arguments)


def write_properties(path: Path, properties: dict[str, str]) -> Path:
    """A file of properties, of values without special characters but backslashes."""
    lines = [f"{name}={value}".replace("\\", "\\\\") for name, value in properties.items()]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def versions(module: str, *libraries: str) -> str:
    """Versions of libraries of a module as built, and of Java."""
    found = [jar.stem for name in libraries for jar in (BUILT / module / "lib").glob(f"{name}-[0-9]*.jar")]
    return ", ".join([*found, f"Java {_java_version()}"])


@cache
def _java_version() -> str:
    told = subprocess.run([java(), "-version"], capture_output=True, text=True, check=True).stderr
    version = re.search(r'version "([^"]+)"', told)
    return version[1] if version else told.splitlines()[0]


if __name__ == "__main__":
    build()
