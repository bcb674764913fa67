"""Holds what is committed to a few promises: nothing generated, no trace of a machine, every requirement pinned."""

from __future__ import annotations

import re
import subprocess
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parents[2]
LAYERS = ("", "-build", "-local", "-dev", "-feeds", "-sbom")

_FOLDERS = r"home/(?!nonroot\b)[a-z]\w*|Users/[a-z]\w*|root|work|tmp/bash_jobs|opt/wheels"
MACHINE_PATH = re.compile(rf"(?<![\w.~$}}/-])/(?:{_FOLDERS})/")
REGISTRY_HOST = re.compile(
    r"(?i)\b(?:pypi\.org|pythonhosted\.org|repo1?\.maven(?:\.apache)?\.org|registry\.(?:npmjs|yarnpkg)\.\w+"
    r"|crates\.io|proxy\.golang\.org|rubygems\.org|repo\.anaconda\.com)\b"
)
GENERATED = re.compile(r"_pb2(_grpc)?\.pyi?$")


def _tracked_files() -> list[str]:
    if not (ROOT / ".git").exists():
        pytest.skip("not a git checkout, so there is no list of what is committed")
    listing = subprocess.run(["git", "-C", str(ROOT), "ls-files", "-z"], check=True, capture_output=True, text=True)
    # A file that is deleted in the working tree and still in the index has no text to look at.
    return [name for name in listing.stdout.split("\0") if name and (ROOT / name).is_file()]


def _find_in_text(pattern: re.Pattern[str], names: list[str]) -> list[str]:
    found = []
    for name in names:
        content = (ROOT / name).read_bytes()
        if b"\0" in content:
            continue
        for number, line in enumerate(content.decode("utf-8").splitlines(), start=1):
            found += [f"{name}:{number}: {match.group()}" for match in pattern.finditer(line)]
    return found


def test_no_file_names_a_folder_of_somebodys_machine():
    assert _find_in_text(MACHINE_PATH, _tracked_files()) == []


def test_no_file_names_the_host_of_a_package_registry():
    assert _find_in_text(REGISTRY_HOST, _tracked_files()) == []


def test_no_generated_code_is_committed():
    assert [name for name in _tracked_files() if GENERATED.search(name) or name.startswith("build/")] == []


def test_every_file_that_the_code_reads_is_in_a_wheel():
    patterns = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]["package-data"]
    packed = {
        path for package in ("services", "deploy") for glob in patterns[package] for path in (ROOT / package).glob(glob)
    }
    data = [name for name in _tracked_files() if name.startswith(("services/", "deploy/local/"))]
    assert [name for name in data if not name.endswith((".py", ".md")) and ROOT / name not in packed] == []


@pytest.mark.parametrize("text", [f"see {'/'}{folder}/x" for folder in ("home/ann", "root", "work", "tmp/bash_jobs")])
def test_a_machine_path_is_recognised(text):
    assert MACHINE_PATH.search(text)


@pytest.mark.parametrize("text", ["at/work/x", "https://example.org/work/x", "~/root/x", "$HOME/work/x", "/tmp/x"])
def test_other_paths_are_no_machine_path(text):
    assert not MACHINE_PATH.search(text)


@pytest.mark.parametrize("host", ["pypi" + ".org", "files.python" + "hosted.org", "repo1.maven" + ".org"])
def test_a_registry_host_is_recognised(host):
    assert REGISTRY_HOST.search(f"https://{host}/simple")


def _read_pins(layer: str) -> dict[str, tuple[str, list[str]]]:
    """Gives version and hashes by name of one compiled requirement file; fails on a line that is neither."""
    text = (ROOT / f"requirements{layer}.txt").read_text().replace("\\\n", " ")
    pins: dict[str, tuple[str, list[str]]] = {}
    for line in filter(None, (line.partition(" #")[0].strip() for line in text.splitlines())):
        requirement, *options = map(str, re.split(r"\s+(?=--)", line))
        parsed = Requirement(requirement)
        (pin,) = parsed.specifier
        assert pin.operator == "==", line
        assert all(re.fullmatch(r"--hash=sha256:[0-9a-f]{64}", option) for option in options), line
        assert canonicalize_name(parsed.name) not in pins, f"{parsed.name} twice"
        pins[canonicalize_name(parsed.name)] = (pin.version, options)
    return pins


def _read_wishes(layer: str) -> list[Requirement]:
    lines = (line.strip() for line in (ROOT / f"requirements{layer}.in").read_text().splitlines())
    return [Requirement(line) for line in lines if line and not line.startswith("#")]


@pytest.mark.parametrize("layer", LAYERS)
def test_every_requirement_is_pinned_with_hashes(layer):
    pins = _read_pins(layer)
    assert pins
    assert [name for name, (_, hashes) in pins.items() if not hashes] == []


@pytest.mark.parametrize("layer", LAYERS)
def test_every_wish_is_pinned_within_its_range(layer):
    pins = _read_pins(layer)
    for wish in _read_wishes(layer):
        version, _ = pins[canonicalize_name(wish.name)]
        assert wish.specifier.contains(version), f"{wish} is pinned to {version}"


def test_the_layers_pin_what_they_share_alike():
    versions: dict[str, set[str]] = {}
    for layer in LAYERS:
        for name, (version, _) in _read_pins(layer).items():
            versions.setdefault(name, set()).add(version)
    assert {name: found for name, found in versions.items() if len(found) > 1} == {}


def test_a_build_elsewhere_uses_the_pinned_protoc():
    # Generated gRPC code refuses to run with a grpcio that is older than the protoc plugin which made it.
    build = tomllib.loads((ROOT / "pyproject.toml").read_text())["build-system"]["requires"]
    (protoc,) = (wish for wish in map(Requirement, build) if wish.name == "grpcio-tools")
    assert str(protoc.specifier) == f"=={_read_pins('-build')['grpcio-tools'][0]}"
    assert _read_pins("")["grpcio"][0] == _read_pins("-build")["grpcio-tools"][0]
