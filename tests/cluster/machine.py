"""What a machine needs to run a cluster: Debian's packages, and Kubernetes itself built from its published modules."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
from pathlib import Path

from tests.images.machine import ROOT, CannotRunError, install
from tests.images.machine import prepare as prepare_images

HOME = ROOT / "build" / "cluster"
SOURCES = Path(__file__).parent / "kube"
DNS_SOURCES = Path(__file__).parent / "dns"
CACHE = ROOT / ".urban" / "cache" / "kube"
VERSION = "1.37.2"

# Program -> package of Debian.
PROGRAMS = {"ip": "iproute2", "openssl": "openssl", "unshare": "util-linux", "nsenter": "util-linux"}
# Of a node that runs pods, beside what runs images at all.
NODE_PROGRAMS = {
    "containerd": "containerd",
    "conntrack": "conntrack",
    "/usr/lib/cni/bridge": "containernetworking-plugins",
}
NEW_GO = (1, 26)
# Six minutes alone on two cores; a machine that is busy took half an hour.
BUILD_TIMEOUT_S = 5400.0


def prepare() -> Path:
    """Install what is missing and build Kubernetes if it is not there yet; CannotRunError if it cannot.

    Returns:
        The program `kube`, which is etcd, API server, controllers, scheduler, kubelet, proxy and kwok.
    """
    if os.geteuid() != 0:
        raise CannotRunError("it needs root, to install packages and to make namespaces")
    if missing := _missing(PROGRAMS):
        install(missing)
    if still := _missing(PROGRAMS):
        raise CannotRunError(f"{', '.join(still)} are installed and yet not where they are looked for")
    _check_namespaces()
    return kube()


def prepare_node() -> Path:
    """What a node needs beside that: packages, and CoreDNS, which is returned; CannotRunError if it cannot."""
    prepare_images()
    if missing := _missing(NODE_PROGRAMS):
        install(missing)
    if still := _missing(NODE_PROGRAMS):
        raise CannotRunError(f"{', '.join(still)} are installed and yet not where they are looked for")
    program = CACHE / _key(DNS_SOURCES) / "dns"
    if not program.is_file():
        _build(DNS_SOURCES, program, "building CoreDNS (once; four minutes of one core)", ["-s", "-w"])
    return program


def kube() -> Path:
    """The program, built once for each content of the folder kube; its modules are held to the hashes of go.sum."""
    program = CACHE / _key(SOURCES, VERSION) / "kube"
    if not program.is_file():
        major, minor, _ = VERSION.split(".")
        told = {"gitVersion": f"v{VERSION}", "gitMajor": major, "gitMinor": minor, "gitTreeState": "clean"}
        named = [f"-X k8s.io/component-base/version.{name}={value}" for name, value in told.items()]
        said = f"building Kubernetes {VERSION} (once; 12 minutes of one core, 1 GB to download)"
        _build(SOURCES, program, said, ["-s", "-w", *named])
    if not stages_of(program).is_file():
        stages_of(program).write_text(_read_stages())
    return program


def stages_of(program: Path) -> Path:
    """How kwok's nodes and pods become ready and end: a file beside the program."""
    return program.with_name("stages.yaml")


def _read_stages() -> str:
    """The stages that come with kwok's module."""
    found = _go("list", "-m", "-f", "{{.Dir}}", "sigs.k8s.io/kwok")
    folder = Path(found.stdout.strip()) / "kustomize" / "stage"
    names = ["node/fast/node-initialize", "node/heartbeat/node-heartbeat"]
    names += ["pod/fast/pod-ready", "pod/fast/pod-complete", "pod/fast/pod-delete"]
    return "\n---\n".join((folder / f"{name}.yaml").read_text() for name in names)


def _key(sources: Path, version: str = "") -> str:
    names = ("go.mod", "go.sum", "main.go")
    content = b"".join((sources / name).read_bytes() for name in names)
    return hashlib.sha256(content + version.encode()).hexdigest()[:16]


def _build(sources: Path, program: Path, said: str, linked: list[str]) -> None:
    """Build the program of a folder; it is there whole or not at all."""
    _check_go()
    print(said, flush=True)
    draft = program.with_name("draft")
    program.parent.mkdir(parents=True, exist_ok=True)
    # What a debugger needs is stripped in the end, so it is not made in the first place.
    options = ["-trimpath", "-gcflags=all=-dwarf=false", "-ldflags", " ".join(linked)]
    jobs = os.environ.get("CLUSTER_BUILD_JOBS")
    _go("build", *(["-p", jobs] if jobs else []), *options, "-o", str(draft), ".", sources=sources)
    draft.replace(program)


def _go(*arguments: str, sources: Path = SOURCES) -> subprocess.CompletedProcess[str]:
    environment = os.environ | {"CGO_ENABLED": "0", "GOFLAGS": "-mod=readonly", "GOWORK": "off"}
    command = ["go", *arguments]
    done = subprocess.run(
        command, cwd=sources, env=environment, capture_output=True, text=True, timeout=BUILD_TIMEOUT_S
    )
    if done.returncode:
        raise CannotRunError(f"go {arguments[0]} failed:\n{done.stderr[-3000:]}")
    return done


def _check_go() -> None:
    if shutil.which("go") is None:
        raise CannotRunError("it builds Kubernetes and needs Go 1.26 or newer for it: there is no go on PATH")
    said = subprocess.run(["go", "env", "GOVERSION"], capture_output=True, text=True, cwd=SOURCES).stdout.strip()
    numbers = said.removeprefix("go").split(".")
    if tuple(int(number) for number in numbers[:2] if number.isdigit()) < NEW_GO:
        raise CannotRunError(f"it builds Kubernetes and needs Go 1.26 or newer for it: this is {said or 'unknown'}")


def _check_namespaces() -> None:
    """A cluster runs in namespaces of its own, which a container without privileges may not make."""
    apart = ["unshare", "--net", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc", "true"]
    done = subprocess.run(apart, capture_output=True, text=True)
    if done.returncode:
        raise CannotRunError(f"it needs namespaces for network, mounts and processes: {done.stderr.strip()}")


def _missing(programs: dict[str, str]) -> list[str]:
    """Packages of programs that are not there."""
    return sorted({package for program, package in programs.items() if shutil.which(program) is None})
