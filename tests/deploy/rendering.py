"""What kustomize makes of the overlays, and of the base with any components; each is rendered once a process."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from functools import lru_cache
from pathlib import Path
from typing import Any

import yaml

Object = dict[str, Any]

ROOT = Path(__file__).resolve().parents[2]
K8S = ROOT / "deploy" / "k8s"
KUBECTL = Path(sys.executable).parent / "kubectl"
OVERLAYS = ("dev", "prod")
COMPONENTS = tuple(sorted(path.parent.name for path in K8S.glob("components/*/kustomization.yaml")))
# It changes what the other one brings.
NEEDS = {"tls": ("gateway",)}
WORKLOADS = ("Deployment", "StatefulSet", "Job")


@lru_cache
def overlay(name: str) -> tuple[Object, ...]:
    """The objects of an overlay."""
    return _render(K8S / "overlays" / name)


@lru_cache
def combination(components: tuple[str, ...]) -> tuple[Object, ...]:
    """The objects of the base with some components."""
    with tempfile.TemporaryDirectory(prefix="urban-kustomize-") as folder:
        # It takes no absolute path.
        up = Path(os.path.relpath(K8S, Path(folder).resolve()))
        told = {
            "apiVersion": "kustomize.config.k8s.io/v1beta1",
            "kind": "Kustomization",
            "resources": [str(up / "base")],
            "components": [str(up / "components" / name) for name in components],
        }
        Path(folder, "kustomization.yaml").write_text(yaml.safe_dump(told), encoding="utf-8")
        return _render(Path(folder).resolve())


def combinations() -> list[tuple[str, ...]]:
    """None, each alone, and all but each: what one component breaks shows in one of them."""
    wholes = [(), *((name,) for name in COMPONENTS), *(tuple(c for c in COMPONENTS if c != n) for n in COMPONENTS)]
    return sorted({_whole(names) for names in wholes})


def everything() -> tuple[Object, ...]:
    """Every object of every rendering, each once."""
    found = {repr(one): one for name in OVERLAYS for one in overlay(name)}
    found |= {repr(one): one for names in combinations() for one in combination(names)}
    return tuple(found.values())


def of_kind(objects: tuple[Object, ...], *kinds: str) -> list[Object]:
    return [one for one in objects if one["kind"] in kinds]


def named(objects: tuple[Object, ...], kind: str, name: str) -> Object:
    """The one object of that kind and name."""
    (found,) = (one for one in of_kind(objects, kind) if one["metadata"]["name"] == name)
    return found


def containers(workload: Object) -> list[Object]:
    """All containers of a workload's pods."""
    pod = workload["spec"]["template"]["spec"]
    return [*pod.get("initContainers", ()), *pod["containers"]]


def label(one: Object) -> str:
    """How a test names it."""
    return f"{one['kind']} {one['metadata']['name']}"


def _whole(names: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(name for name in names if all(needed in names for needed in NEEDS.get(name, ())))


def _render(folder: Path) -> tuple[Object, ...]:
    made = subprocess.run([KUBECTL, "kustomize", folder], capture_output=True, text=True, timeout=100)
    assert made.returncode == 0, made.stderr
    return tuple(one for one in yaml.load_all(made.stdout, Loader=yaml.CSafeLoader) if one)
