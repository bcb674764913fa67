"""The image of this commit and the stand-ins beside it; what did not change since the last time is not built again."""

from __future__ import annotations

import re
import shutil
import subprocess
import tempfile
from functools import cache
from pathlib import Path

from deploy.local.kafka_jars import classpath
from tests.deploy.compose import services
from tests.images.engine import Engine
from tests.images.machine import PROMETHEUS, ROOT, ROOT_FS

BASE: str = services()["migrate"]["build"]["args"]["PYTHON_IMAGE"]
IMAGE = "localhost/urban-brain:test"
VERSION = "0.1.0+test"
REVISION_LABEL = "org.opencontainers.image.revision"
STANDINS = Path(__file__).parent / "standins"
SERVERS = ("kafka", "clickhouse", "prometheus")
# What the official image of Python has and Debian's does not: `python` and `pip` on the path, and no guard of Debian's.
BASE_DOCKERFILE = """FROM localhost/python-root-fs
RUN rm -f /usr/lib/python3*/EXTERNALLY-MANAGED \\
 && ln -s /usr/bin/python3 /usr/local/bin/python && ln -s /usr/bin/pip3 /usr/local/bin/pip
"""


@cache
def revision() -> str:
    """The commit that is built, as of its first call; "unknown" where this is no checkout."""
    done = subprocess.run(["git", "-C", str(ROOT), "rev-parse", "HEAD"], capture_output=True, text=True)
    return done.stdout.strip() or "unknown"


def make_base(engine: Engine) -> str:
    """Debian's Python under the name of the official image, as that cannot be downloaded everywhere."""
    if not engine.has(BASE):
        path = "PATH=/usr/local/bin:/usr/local/sbin:/usr/bin:/usr/sbin:/bin:/sbin"
        engine.run("podman", "import", "-c", 'CMD ["python3"]', "-c", f"ENV {path}", str(ROOT_FS), "python-root-fs")
        engine.build_from_text(BASE, BASE_DOCKERFILE)
    return BASE


def make_image(engine: Engine) -> str:
    """The image, from the repository's own Dockerfile and context."""
    arguments = {"VERSION": VERSION, "REVISION": revision()}
    # Buildah 1.28 knows a layer again by its instruction, whatever the arguments in it are: where nothing else changed
    # since the last commit, the labels would be those of that one.
    if engine.has(IMAGE):
        built = engine.inspect("image", IMAGE)
        if built["Labels"].get(REVISION_LABEL) != arguments["REVISION"]:
            engine.run("podman", "rmi", "--force", built["Id"])
    engine.build(IMAGE, ROOT / "deploy" / "Dockerfile", ROOT, arguments=arguments)
    return IMAGE


def make_standins(engine: Engine) -> None:
    """Servers under the names that docker-compose.yml gives to the official images."""
    with tempfile.TemporaryDirectory(prefix="urban-standins-") as folder:
        context = Path(folder)
        classpath(ROOT / ".urban" / "cache", print)
        shutil.copytree(ROOT / ".urban" / "cache" / "jars", context / "jars")
        shutil.copytree(ROOT / "deploy", context / "deploy", ignore=shutil.ignore_patterns("__pycache__"))
        for path in (*STANDINS.iterdir(), ROOT / "requirements-local.txt", PROMETHEUS):
            if path.is_file():
                shutil.copy(path, context)
        # The one thing that the servers need of what every service needs.
        pins = (ROOT / "requirements.txt").read_text()
        (context / "requirements-uvloop.txt").write_text("".join(re.findall(r"(?m)^uvloop==(?:.*\\\n)*.*\n", pins)))
        for target in SERVERS:
            engine.build(services()[target]["image"], context / "Dockerfile", context, target)
