"""deploy/Dockerfile and what it is built from, looked at without building: `make test-images` builds and runs it."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

from services.runtime.healthcheck import ANSWER_TIMEOUT_S
from services.runtime.settings import Settings
from tests.deploy.compose import ROOT, services
from tests.deploy.dockerfile import DOCKERFILE, environment_of_image, final, instructions


def test_hadolint_has_nothing_to_say():
    hadolint = Path(sys.executable).with_name("hadolint")
    found = subprocess.run([hadolint, str(DOCKERFILE)], capture_output=True, text=True)
    assert found.returncode == 0, found.stdout + found.stderr


def test_both_stages_start_from_the_one_base_that_an_argument_names():
    bases = [found.rest.split()[0] for found in instructions() if found.name == "FROM"]
    assert bases == ["${PYTHON_IMAGE}"] * 2
    (argument,) = [f.rest for f in instructions() if f.stage == -1 and f.name == "ARG"]
    assert argument == f"PYTHON_IMAGE={services()['migrate']['build']['args']['PYTHON_IMAGE']}"


def test_it_runs_as_a_numbered_user_that_is_not_root():
    assert final("USER") == ["10001:10001"]


def test_it_listens_where_others_can_reach_it_at_the_ports_that_it_tells():
    told = environment_of_image()
    settings = Settings.model_validate({name.removeprefix("URBAN_").lower(): value for name, value in told.items()})
    assert settings.grpc_host == settings.metrics_host == "0.0.0.0"
    assert final("EXPOSE") == [f"{settings.grpc_port} {settings.metrics_port}"]


def test_the_health_check_is_a_module_of_ours():
    (rest,) = final("HEALTHCHECK")
    python, option, module = json.loads(rest[rest.index("[") :])
    assert (python, option) == ("python", "-m")
    assert find_spec(module)
    (seconds,) = re.findall(r"--timeout=(\d+)s", rest)
    assert int(seconds) > 5 * ANSWER_TIMEOUT_S, "Python has to start, too"


def test_every_requirement_is_installed_by_its_hash():
    runs = [found.rest for found in instructions() if found.name == "RUN"]
    installs = re.findall(r"pip [^&]*install [^&]*", " && ".join(runs))
    assert len(installs) == 4
    # The last one installs the wheel that was made a line before.
    assert all("--require-hashes" in install for install in installs[:-1])
    assert "--no-deps dist/*.whl" in installs[-1]


def test_the_context_is_a_list_of_what_is_needed_so_that_no_secret_slips_in():
    lines = [line for line in (ROOT / ".dockerignore").read_text().splitlines() if line and not line.startswith("#")]
    assert lines[0] == "*"
    allowed = [line[1:] for line in lines if line.startswith("!")]
    assert [name for name in allowed if not any(ROOT.glob(name))] == []
    assert [name for name in allowed if name.startswith((".env", ".git", ".urban", "tests", "build"))] == []


def test_where_images_cannot_be_run_the_target_fails_and_says_why():
    """Here as one who is not root, or as root on a machine without podman and without Debian's packages."""
    command = [sys.executable, "-m", "tests.images"]
    ran = subprocess.run(command, env={"PATH": "/nonexistent"}, cwd=ROOT, capture_output=True, text=True, timeout=110)
    assert ran.returncode == 1
    why = "it needs root" if os.geteuid() else "it needs podman, .* there is no apt-get"
    assert re.match(f"make test-images cannot run here: {why}", ran.stderr), ran.stderr
