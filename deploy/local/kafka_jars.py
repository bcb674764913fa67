"""Gets Apache Kafka's jars once, checks every one against the committed checksums, and names the classpath."""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from xml.sax.saxutils import escape

from deploy.local.process import Child

KAFKA_VERSION = "4.4.0"
# Kafka's own dependencies lack a binding for slf4j: without one the server would be silent.
COORDINATES = (("org.apache.kafka", "kafka_2.13", KAFKA_VERSION), ("org.slf4j", "slf4j-simple", "1.7.36"))
CHECKSUMS = Path(__file__).with_name("kafka-jars.sha256")
FETCH_SCRIPT = Path(__file__).with_name("kafka_jars_fetch.py")
FETCH_TIMEOUT_S = 900.0
PROGRESS_INTERVAL_S = 2.0

Progress = Callable[[str], None]


class JarError(RuntimeError):
    """Kafka's jars could not be had, or one of them is not what it should be."""


def classpath(cache: Path, progress: Progress) -> str:
    """Java classpath of Apache Kafka, downloaded into `cache`/jars when incomplete.

    With every jar in place this reads local files only: no network, no jgo, no Maven. `URBAN_KAFKA_CLASSPATH` overrides
    it all. Raises `JarError` for a jar whose SHA-256 is not the committed one, and when no download worked.
    """
    if override := os.environ.get("URBAN_KAFKA_CLASSPATH"):
        return override
    wanted = read_checksums()
    jars = cache.absolute() / "jars"
    jars.mkdir(parents=True, exist_ok=True)
    if _missing(jars, wanted):
        with _only_one(cache / "jars.lock", progress):
            if missing := _missing(jars, wanted):
                progress(f"kafka: fetching {len(missing)} jars of Kafka {KAFKA_VERSION} (first start only, 43 MB)")
                _download(cache.absolute(), jars, wanted, progress)
    for name, sha256 in wanted.items():
        _check(jars / name, sha256)
    return os.pathsep.join(str(jars / name) for name in wanted)


def read_checksums() -> dict[str, str]:
    """File name → SHA-256 (hex) of every jar, in the order of the list."""
    pairs = (line.split() for line in CHECKSUMS.read_text().splitlines() if line.strip())
    return {name: sha256 for sha256, name in pairs}


def _missing(jars: Path, wanted: dict[str, str]) -> list[str]:
    return [name for name in wanted if not (jars / name).is_file()]


def _check(jar: Path, sha256: str) -> None:
    with jar.open("rb") as file:
        found = hashlib.file_digest(file, "sha256").hexdigest()
    if found != sha256:
        raise JarError(
            f"{jar} is not the jar it should be: its SHA-256 is {found}, expected {sha256} ({CHECKSUMS.name}). "
            "It will not be run. Delete the file to have it fetched again."
        )


@contextmanager
def _only_one(lock: Path, progress: Progress) -> Iterator[None]:
    """Let one process at a time fill the cache, which several checkouts or test runs may share."""
    with lock.open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            progress("kafka: another process is fetching the jars, waiting for it")
            fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _download(cache: Path, jars: Path, wanted: dict[str, str], progress: Progress) -> None:
    """Fetch into a folder aside, check, and only then move the jars to where they are used from."""
    failures: list[str] = []
    for way in (_fetch_with_jgo, _fetch_with_maven):
        with tempfile.TemporaryDirectory(prefix="fetch-", dir=cache) as aside:
            failure = way(cache, Path(aside), progress)
            if failure is None and (missing := _missing(Path(aside), wanted)):
                failure = f"{way.__name__[1:]}: resolved, but without {', '.join(missing)}"
            if failure is not None:
                failures.append(failure)
                progress(f"kafka: {failure}")
                continue
            for name, sha256 in wanted.items():
                _check(Path(aside, name), sha256)
            for name in wanted:
                Path(aside, name).replace(jars / name)
            # The working copies of the resolvers are of no further use and as large as the jars themselves.
            for scratch in ("jgo", "maven"):
                shutil.rmtree(cache / scratch, ignore_errors=True)
            return
    raise JarError("Apache Kafka's jars could not be fetched:\n" + "\n".join(failures))


def _fetch_with_jgo(cache: Path, target: Path, progress: Progress) -> str | None:
    scratch = cache / "jgo"
    scratch.mkdir(exist_ok=True)
    coordinates = "+".join(":".join(parts) for parts in COORDINATES)
    environment = os.environ | {
        "HOME": str(scratch),
        "M2_REPO": str(scratch / "m2"),
        "JGO_CACHE_DIR": str(scratch),
        "JGO_CONFIG_FILE": str(scratch / "none"),
    }
    argv = [sys.executable, str(FETCH_SCRIPT), coordinates, str(scratch), str(target)]
    return _run_fetch("jgo", argv, environment, target, scratch, progress)


def _fetch_with_maven(cache: Path, target: Path, progress: Progress) -> str | None:
    """Maven reads the machine's settings, mirrors and proxies, which jgo does not."""
    maven = shutil.which("mvn")
    if maven is None:
        return "mvn: not on the PATH"
    scratch = cache / "maven"
    scratch.mkdir(exist_ok=True)
    (scratch / "pom.xml").write_text(_pom())
    argv = [maven, "-B", "-q", "-f", str(scratch / "pom.xml"), f"-Dmaven.repo.local={scratch / 'm2'}"]
    argv += ["dependency:copy-dependencies", "-DincludeScope=runtime", f"-DoutputDirectory={target}"]
    return _run_fetch("mvn", argv, dict(os.environ), target, scratch, progress)


def _pom() -> str:
    dependencies = "".join(
        f"<dependency><groupId>{escape(group)}</groupId><artifactId>{escape(artifact)}</artifactId>"
        f"<version>{escape(version)}</version></dependency>"
        for group, artifact, version in COORDINATES
    )
    return (
        '<project xmlns="http://maven.apache.org/POM/4.0.0"><modelVersion>4.0.0</modelVersion><groupId>local</groupId>'
        f"<artifactId>kafka-jars</artifactId><version>1</version><packaging>pom</packaging><dependencies>{dependencies}"
        "</dependencies></project>"
    )


def _run_fetch(
    tool: str, argv: list[str], environment: dict[str, str], target: Path, scratch: Path, progress: Progress
) -> str | None:
    """Run a resolver to its end, saying how far it is; returns what went wrong, or None."""
    child = Child.start(tool, argv, target.parent / f"fetch-{tool}.log", env=environment)
    deadline = time.monotonic() + FETCH_TIMEOUT_S
    said = time.monotonic()
    try:
        while (status := child.poll()) is None:
            if time.monotonic() > deadline:
                return f"{tool}: gave up after {FETCH_TIMEOUT_S:.0f} s\n{child.tail(5)}"
            if time.monotonic() - said > PROGRESS_INTERVAL_S:
                said = time.monotonic()
                progress(f"kafka: {tool} {_progress(scratch, target)}")
            time.sleep(0.1)
    finally:
        child.stop(1.0)
    return None if status == 0 else f"{tool}: exit status {status}\n{child.tail(5)}"


def _progress(*folders: Path) -> str:
    wanted = read_checksums().keys()
    if here := wanted & {jar.name for folder in folders for jar in folder.rglob("*.jar")}:
        return f"has {len(here)} of {len(wanted)} jars"
    return f"reads what Kafka depends on ({sum(1 for folder in folders for _ in folder.rglob('*.pom'))} descriptions)"
