"""The image of this commit and the stand-ins beside it, built once for all tests."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from tests.images import images
from tests.images.engine import Engine
from tests.images.machine import prepare


@pytest.fixture(scope="session")
def engine() -> Engine:
    """Podman, on a machine that has all it needs: a failure where it has not."""
    prepare()
    return Engine()


@pytest.fixture(scope="session")
def base(engine: Engine) -> str:
    """What stands in for the official image of Python."""
    return images.make_base(engine)


@pytest.fixture(scope="session")
def image(engine: Engine, base: str) -> str:
    """The image of this commit."""
    return images.make_image(engine)


@pytest.fixture(scope="session")
def standins(engine: Engine, base: str) -> None:
    """What stands in for the servers of docker-compose.yml."""
    images.make_standins(engine)


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
