"""Judges custom resources by their definitions, as an API server does: also what no schema knows is refused."""

from __future__ import annotations

import os
from functools import lru_cache
from pathlib import Path
from typing import Any

import yaml
from jsonschema import Draft202012Validator

OPEN = "x-kubernetes-preserve-unknown-fields"
# Kinds whose definitions are not at hand everywhere; what is wrong with such an object shows where they are.
NOT_EVERYWHERE = {
    ("cert-manager.io/v1", "Certificate"): "certificates",
    ("cert-manager.io/v1", "Issuer"): "issuers",
    ("gateway.networking.k8s.io/v1", "BackendTLSPolicy"): "backendtlspolicies",
}


def folder() -> Path | None:
    """Where the definitions of other projects lie; None: not at hand."""
    given = os.environ.get("URBAN_REAL_DATA")
    found = Path(given) / "crds" if given else None
    return found if found is not None and found.is_dir() else None


@lru_cache
def validators(definitions: Path) -> dict[tuple[str, str], Draft202012Validator]:
    """By apiVersion and kind."""
    found = {}
    for path in sorted(definitions.glob("*.yaml")):
        for one in yaml.load_all(path.read_text(encoding="utf-8"), Loader=yaml.CSafeLoader):
            if one and one["kind"] == "CustomResourceDefinition":
                spec = one["spec"]
                for version in spec["versions"]:
                    key = (f"{spec['group']}/{version['name']}", spec["names"]["kind"])
                    found[key] = Draft202012Validator(closed(version["schema"]["openAPIV3Schema"], top=True))
    return found


def closed(schema: Any, *, top: bool = False) -> Any:
    """The schema with no other properties than the declared ones, where it does not keep unknown ones on purpose."""
    if isinstance(schema, list):
        return [closed(one) for one in schema]
    if not isinstance(schema, dict):
        return schema
    made = {key: _closed_part(key, value) for key, value in schema.items()}
    if schema.get("x-kubernetes-int-or-string"):
        made.pop("type", None)
    if "properties" in schema and not schema.get(OPEN) and "additionalProperties" not in schema:
        made["additionalProperties"] = False
        if top:
            # The server knows these of every object.
            made["properties"] |= {"apiVersion": {}, "kind": {}, "metadata": {}}
    return made


def _closed_part(key: str, value: Any) -> Any:
    if key == "properties":
        return {name: closed(one) for name, one in value.items()}
    if key in ("items", "additionalProperties"):
        return closed(value)
    # What is in allOf and the like adds to the properties beside it, and must not close them again.
    return value


def stand_in(version: str, kind: str) -> dict[str, Any]:
    """A definition that takes anything under this name, so that a server judges all that is beside it."""
    group, _, number = version.partition("/")
    plural = NOT_EVERYWHERE[version, kind]
    names = {"kind": kind, "listKind": f"{kind}List", "plural": plural, "singular": kind.lower()}
    schema = {"openAPIV3Schema": {"type": "object", OPEN: True}}
    served = {"name": number, "served": True, "storage": True, "schema": schema}
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {
            "name": f"{plural}.{group}",
            # The server asks for the word of who keeps the group, or that there is none.
            "annotations": {"api-approved.kubernetes.io": "unapproved, a stand-in in a test"},
        },
        "spec": {"group": group, "names": names, "scope": "Namespaced", "versions": [served]},
    }
