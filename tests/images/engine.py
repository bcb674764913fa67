"""Podman and buildah with a storage of their own, so that nothing here meets what else the machine may run."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from tests.images.machine import CACHE, HOME, ROOT

# The highest limits that a machine without CAP_SYS_RESOURCE may give; podman's own defaults ask for more. runc runs on
# every kind of cgroup, crun does not. Locks in files, as those in shared memory are one for all storages.
CONTAINERS = """[containers]
default_ulimits = ["nofile=4096:4096", "nproc=4096:4096"]
[engine]
runtime = "runc"
cgroup_manager = "cgroupfs"
events_logger = "file"
lock_type = "file"
tmp_dir = "{home}/run/libpod"
[network]
network_backend = "netavark"
network_config_dir = "{home}/networks"
"""
STORAGE = """[storage]
driver = "overlay"
graphroot = "{cache}/storage"
runroot = "{home}/run/storage"
"""
CERTIFICATES = Path("/etc/ssl/certs")
BUNDLE = CERTIFICATES / "ca-certificates.crt"


class EngineError(RuntimeError):
    """A command of podman or buildah failed; the message holds its last lines."""


class Engine:
    """Commands of podman, buildah and podman-compose on one storage below `home`."""

    def __init__(self, home: Path = HOME) -> None:
        self._home = home
        home.mkdir(parents=True, exist_ok=True)
        for name, text in (("containers.conf", CONTAINERS), ("storage.conf", STORAGE)):
            (home / name).write_text(text.format(home=home, cache=CACHE))
        # Where the machine trusts certificates of its own, a build has to trust them too.
        (home / "pip.conf").write_text(f"[global]\ncert = {BUNDLE}\n")
        own = {name: value for name, value in os.environ.items() if not name.startswith(_OTHER_CITIES)}
        self._environment = own | {
            "CONTAINERS_CONF": str(home / "containers.conf"),
            "CONTAINERS_STORAGE_CONF": str(home / "storage.conf"),
            # Without systemd there is no timer; a health check runs when it is asked for.
            "DISABLE_HC_SYSTEMD": "true",
        }

    def run(self, *command: str, check: bool = True, timeout_s: float = 600.0) -> subprocess.CompletedProcess[str]:
        """Run a command, `podman ps` for instance; EngineError with its last words where it fails and `check` holds."""
        done = subprocess.run(
            command, env=self._environment, capture_output=True, text=True, timeout=timeout_s, cwd=ROOT
        )
        if check and done.returncode:
            said = (done.stdout + done.stderr)[-4000:]
            raise EngineError(f"{' '.join(command)} ended with status {done.returncode}:\n{said}")
        return done

    def has(self, image: str) -> bool:
        """Whether an image is there."""
        return self.run("podman", "image", "exists", image, check=False).returncode == 0

    def build(
        self, name: str, dockerfile: Path, context: Path, target: str = "", arguments: Mapping[str, str] | None = None
    ) -> None:
        """Build an image from what is there: a base that is missing is an error, not a download."""
        options = ["--isolation", "chroot", "--network", "host", "--pull=never", "--format", "docker", "--tag", name]
        options += ["--volume", f"{CERTIFICATES}:{CERTIFICATES}:ro"]
        options += ["--volume", f"{self._home}/pip.conf:/etc/pip.conf:ro"]
        # What several targets share is built once, and what did not change since images were kept is not built again.
        options += ["--layers", *(["--target", target] if target else [])]
        options += [f"--build-arg={key}={value}" for key, value in (arguments or {}).items()]
        self.run("buildah", "bud", *options, "--file", str(dockerfile), str(context), timeout_s=3000.0)

    def build_from_text(self, name: str, dockerfile: str) -> None:
        """Build an image that needs no context."""
        with tempfile.TemporaryDirectory(prefix="urban-image-") as folder:
            path = Path(folder, "Dockerfile")
            path.write_text(dockerfile)
            self.build(name, path, path.parent)

    def save_into(self, images: Sequence[str], command: Sequence[str]) -> None:
        """Write images as one archive into a command; EngineError with its last words where it fails."""
        save = ["podman", "save", "--quiet", "--multi-image-archive", *images]
        with subprocess.Popen(save, env=self._environment, stdout=subprocess.PIPE) as saving:
            done = subprocess.run(command, stdin=saving.stdout, capture_output=True, text=True, timeout=1200.0)
        if done.returncode or saving.returncode:
            raise EngineError(f"{' '.join(command)} ended with status {done.returncode}:\n{done.stderr[-4000:]}")

    def inspect(self, kind: str, name: str) -> dict[str, Any]:
        """What podman knows of an image or a container."""
        found: list[dict[str, Any]] = json.loads(self.run("podman", kind, "inspect", name).stdout)
        return found[0]

    def state(self, container: str) -> dict[str, Any]:
        """The state of a container: Running, ExitCode, OOMKilled and so on."""
        found: dict[str, Any] = self.inspect("container", container)["State"]
        return found

    def healthy(self, container: str) -> bool:
        """Run the health check of the container's image now."""
        return self.run("podman", "healthcheck", "run", container, check=False).returncode == 0

    def logs(self, container: str) -> str:
        """The last lines of a container, for a message."""
        done = self.run("podman", "logs", "--tail", "40", container, check=False)
        return done.stdout + done.stderr

    def clean(self, *, keep_images: bool = False) -> None:
        """Remove containers, volumes and networks, and the storage itself unless the images are to be kept."""
        for command in (("rm", "--all", "--force", "--time", "1"), ("pod", "rm", "--all", "--force")):
            self.run("podman", *command, check=False)
        for kind in ("volume", "network"):
            self.run("podman", kind, "prune", "--force", check=False)
        # Of images, those without a name that the next build cannot use any more.
        self.run("podman", "image", "prune", "--force", "--filter", "until=24h", check=False)
        if not keep_images:
            self.run("podman", "rmi", "--all", "--force", check=False)
            self.run("buildah", "rm", "--all", check=False)
        # Podman leaves a mount behind, on whose account the folder could not be removed.
        subprocess.run(["umount", "--lazy", str(CACHE / "storage" / "overlay")], capture_output=True)
        for folder in (self._home / "run", self._home / "networks", *([] if keep_images else [CACHE / "storage"])):
            shutil.rmtree(folder, ignore_errors=True)


# A .env of the shell that runs the tests must not decide what they run.
_OTHER_CITIES = ("URBAN_", "CITY_", "COMPOSE_", "CLICKHOUSE_", "GRAFANA_")


def wait_for(what: str, ready: Callable[[], bool], timeout_s: float, told: Sequence[Callable[[], str]] = ()) -> float:
    """Ask `ready()` twice a second until it is true; the seconds that it took.

    AssertionError after `timeout_s`, with what `told` have to say then.
    """
    began = time.monotonic()
    while not ready():
        if time.monotonic() - began > timeout_s:
            raise AssertionError("\n".join([f"{what}: not within {timeout_s:.0f} s", *(tell() for tell in told)]))
        time.sleep(0.5)
    return time.monotonic() - began
