"""What a machine needs to build and run images, and how it comes by it: Debian's packages and a root file system."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
HOME = ROOT / "build" / "images"
# What the next run need not do again: what was downloaded, and the layers of images.
CACHE = ROOT / ".urban" / "cache" / "images"
ROOT_FS = CACHE / "python.tar"

# Program -> package of Debian. Netavark and aardvark-dns let containers find each other by name; catatonit is what
# `init: true` starts.
PROGRAMS = {
    "podman": "podman",
    "buildah": "buildah",
    "runc": "runc",
    "mmdebstrap": "mmdebstrap",
    "catatonit": "catatonit",
    "newuidmap": "uidmap",
    "iptables": "iptables",
}
LIBRARIES = {"/usr/lib/podman/netavark": "netavark", "/usr/lib/podman/aardvark-dns": "aardvark-dns"}
# The server itself, out of its package: nothing of it is installed here.
PROMETHEUS = CACHE / "prometheus" / "usr" / "bin" / "prometheus"
# The suite whose Python is the one of the Dockerfile's base.
SUITE = "bookworm"
CONTENT = "python3,python3-pip,python3-venv,ca-certificates"


class CannotRunError(RuntimeError):
    """This machine cannot run images; the message says why, and what would help."""


def prepare() -> None:
    """Install what is missing, make what stands in for images that are not here; CannotRunError if it cannot."""
    if os.geteuid() != 0:
        raise CannotRunError("it needs root, to install packages, mount layers and make networks")
    if missing := _missing():
        install(missing)
    if not ROOT_FS.is_file():
        _make_root_fs()
    if not PROMETHEUS.is_file():
        _fetch_prometheus()


def _missing() -> list[str]:
    programs = [package for program, package in PROGRAMS.items() if shutil.which(program) is None]
    return programs + [package for path, package in LIBRARIES.items() if not Path(path).is_file()]


def install(packages: list[str]) -> None:
    """Install packages of Debian; CannotRunError where that fails."""
    if shutil.which("apt-get") is None:
        raise CannotRunError(f"it needs {', '.join(packages)}, and there is no apt-get to install them (Debian only)")
    print(f"installing {', '.join(packages)}", flush=True)
    _do("apt-get", "-qq", "update")
    _do("apt-get", "-qq", "install", "-y", "--no-install-recommends", *packages)
    if still := _missing():
        raise CannotRunError(f"{', '.join(still)} are installed and yet not where they are looked for")


def _make_root_fs() -> None:
    print("making a root file system with Python (once; 250 MB, one to two minutes)", flush=True)
    ROOT_FS.parent.mkdir(parents=True, exist_ok=True)
    draft = ROOT_FS.with_name("draft.tar")
    _do("mmdebstrap", "--variant=minbase", f"--include={CONTENT}", SUITE, str(draft))
    draft.replace(ROOT_FS)


def _fetch_prometheus() -> None:
    """Debian's package, opened beside the root file system."""
    CACHE.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        _do("apt-get", "-qq", "update")
        _do("apt-get", "-qq", "download", "prometheus", folder=folder)
        (package,) = Path(folder).glob("prometheus_*.deb")
        _do("dpkg", "-x", str(package), str(CACHE / "prometheus"), folder=folder)


def _do(*command: str, folder: str | None = None) -> None:
    environment = os.environ | {"DEBIAN_FRONTEND": "noninteractive"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, cwd=folder)
    if done.returncode:
        raise CannotRunError(f"{' '.join(command)} failed:\n{done.stdout[-2000:]}{done.stderr[-2000:]}")
