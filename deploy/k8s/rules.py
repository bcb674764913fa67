"""components/rules: the correlation's rules as a ConfigMap, which may be changed while the services run.

They begin as those that are shipped. The ConfigMap keeps its name when it changes, so that no pod is started anew: the
processor sees the new files within a minute or two, and takes them when they are whole.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from deploy.k8s.objects import Object, resource
from deploy.k8s.roles import Role
from services.cli.domains import CORRELATION
from services.correlation.rules import FOLDER, read_texts

CONFIG_MAP = "urban-rules"
MOUNTED = "/etc/urban/rules"
# The one correlates by them; the other has plans that may name them.
READERS = (Role(CORRELATION, "processor"), Role(CORRELATION, "responder"))


def shipped() -> dict[str, str]:
    """The rules of the image, by file."""
    return read_texts(FOLDER)


def component(files: Sequence[str]) -> Object:
    """The kustomization of the component."""
    generated = {"name": CONFIG_MAP, "files": list(files), "options": {"disableNameSuffixHash": True}}
    return {
        "apiVersion": "kustomize.config.k8s.io/v1alpha1",
        "kind": "Component",
        "configMapGenerator": [generated],
        "patches": [{"path": "mounts.yaml"}],
    }


def mounts() -> list[Object]:
    """Patches: who reads rules finds them in a folder. A folder, no single files: those would never change."""
    return [_mount(role) for role in READERS]


def _mount(role: Role) -> Object:
    container: dict[str, Any] = {
        "name": role.role,
        "env": [{"name": "URBAN_RULES", "value": MOUNTED}],
        "volumeMounts": [{"name": "rules", "mountPath": MOUNTED, "readOnly": True}],
    }
    spec = {"containers": [container], "volumes": [{"name": "rules", "configMap": {"name": CONFIG_MAP}}]}
    return resource("apps/v1", "StatefulSet", role.name, {"spec": {"template": {"spec": spec}}})
