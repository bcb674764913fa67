"""Objects of Kubernetes as plain dictionaries, and as the text of a file."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import yaml

Object = dict[str, Any]

PART_OF = "urban-brain"
PART_OF_LABEL = {"app.kubernetes.io/part-of": PART_OF}
HEADER = (
    "# Generated from the catalogue by `make manifests`: change deploy/k8s/*.py or the domains' declarations instead.\n"
)
WIDTH = 120


class _Dumper(yaml.SafeDumper):
    """Lists lie deeper than their key, and nothing is written once and referred to later."""

    def increase_indent(self, flow: bool = False, indentless: bool = False) -> None:
        super().increase_indent(flow, False)

    def ignore_aliases(self, data: Any) -> bool:
        return True


def text_of(objects: Iterable[Object]) -> str:
    """The objects as one file of YAML."""
    return HEADER + documents(objects)


def documents(objects: Iterable[Object]) -> str:
    """The objects as YAML."""
    return "---\n".join(
        yaml.dump(one, Dumper=_Dumper, sort_keys=False, width=WIDTH, allow_unicode=True) for one in objects
    )


def resource(
    version: str, kind: str, name: str, body: Mapping[str, Any], labels: Mapping[str, str] = PART_OF_LABEL
) -> Object:
    """One object; `body` is what comes after its metadata."""
    return {
        "apiVersion": version,
        "kind": kind,
        "metadata": {"name": name, "labels": dict(labels)},
        **body,
    }


def kustomization(resources: Iterable[str]) -> Object:
    """One that only lists files beside it."""
    return {
        "apiVersion": "kustomize.config.k8s.io/v1beta1",
        "kind": "Kustomization",
        "resources": list(resources),
    }
