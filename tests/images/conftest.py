"""The image of this commit and the stand-ins beside it, built once for all tests."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from deploy.local.kafka_jars import classpath
from tests.deploy.compose import services
from tests.images.engine import Engine
from tests.images.machine import PROMETHEUS, ROOT, ROOT_FS, prepare

BASE: str = services()["migrate"]["build"]["args"]["PYTHON_IMAGE"]
IMAGE = "localhost/urban-brain:test"
VERSION = "0.1.0+test"
STANDINS = Path(__file__).parent / "standins"
# What the official image of Python has and Debian's does not: `python` and `pip` on the path, and no guard of Debian's.
BASE_DOCKERFILE = """FROM localhost/python-root-fs
RUN rm -f /usr/lib/python3*/EXTERNALLY-MANAGED \\
 && ln -s /usr/bin/python3 /usr/local/bin/python && ln -s /usr/bin/pip3 /usr/local/bin/pip
"""


@pytest.fixture(scope="session")
def engine() -> Engine:
    """Podman, on a machine that has all it needs: a failure where it has not."""
    prepare()
    return Engine()


@pytest.fixture(scope="session")
def base(engine: Engine, tmp_path_factory: pytest.TempPathFactory) -> str:
    """Debian's Python under the name of the official image, as that cannot be downloaded everywhere."""
    if not engine.has(BASE):
        path = "PATH=/usr/local/bin:/usr/local/sbin:/usr/bin:/usr/sbin:/bin:/sbin"
        engine.run("podman", "import", "-c", 'CMD ["python3"]', "-c", f"ENV {path}", str(ROOT_FS), "python-root-fs")
        context = tmp_path_factory.mktemp("base")
        (context / "Dockerfile").write_text(BASE_DOCKERFILE)
        engine.build(BASE, context / "Dockerfile", context)
    return BASE


@pytest.fixture(scope="session")
def revision() -> str:
    """The commit that is built; empty where this is no checkout."""
    done = subprocess.run(["git", "-C", str(ROOT), "rev-parse", "HEAD"], capture_output=True, text=True)
    return done.stdout.strip() or "unknown"


@pytest.fixture(scope="session")
def image(engine: Engine, base: str, revision: str) -> str:
    """The image, from the repository's own Dockerfile and context."""
    arguments = {"VERSION": VERSION, "REVISION": revision}
    engine.build(IMAGE, ROOT / "deploy" / "Dockerfile", ROOT, arguments=arguments)
    return IMAGE


@pytest.fixture(scope="session")
def standins(engine: Engine, base: str, tmp_path_factory: pytest.TempPathFactory) -> None:
    """Servers under the names that docker-compose.yml gives to the official images."""
    wanted = {name: services()[name]["image"] for name in ("kafka", "clickhouse", "prometheus")}
    if all(engine.has(name) for name in wanted.values()):
        return
    context = tmp_path_factory.mktemp("standins")
    classpath(ROOT / ".urban" / "cache", print)
    shutil.copytree(ROOT / ".urban" / "cache" / "jars", context / "jars")
    shutil.copytree(ROOT / "deploy", context / "deploy", ignore=shutil.ignore_patterns("__pycache__"))
    for path in (*STANDINS.iterdir(), ROOT / "requirements-local.txt", PROMETHEUS):
        if path.is_file():
            shutil.copy(path, context)
    # The one thing that the servers need of what every service needs.
    pins = (ROOT / "requirements.txt").read_text()
    (context / "requirements-uvloop.txt").write_text("".join(re.findall(r"(?m)^uvloop==(?:.*\\\n)*.*\n", pins)))
    for target, name in wanted.items():
        engine.build(name, context / "Dockerfile", context, target)


@pytest.fixture
def container(engine: Engine, image: str) -> Iterator[Callable[..., str]]:
    """Starts a locked-down container of the image that is removed after the test: (command, options) -> its id."""
    made: list[str] = []

    def start(*command: str, options: tuple[str, ...] = ()) -> str:
        locked = ["--read-only", "--read-only-tmpfs=false", "--cap-drop=ALL", "--security-opt=no-new-privileges"]
        limited = ["--memory=512m", "--pids-limit=200"]
        run = engine.run("podman", "run", "--detach", *locked, *limited, *options, image, *command)
        made.append(run.stdout.strip())
        return made[-1]

    yield start
    for name in made:
        engine.run("podman", "rm", "--force", "--time", "1", name, check=False)
