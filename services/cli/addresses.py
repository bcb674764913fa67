"""Finds where the parts of a running city listen: in `.urban/endpoints.json`, or in URBAN_* variables."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

ROOT_NAME = ".urban"
ENDPOINTS_NAME = "endpoints.json"


class NothingRunsError(RuntimeError):
    """No city runs here, or the part that is asked for does not."""


@dataclass(frozen=True)
class ServiceAddress:
    """Where one service process listens."""

    grpc: str  # host:port
    metrics: str = ""  # http://host:port/metrics; empty: not known
    pid: int = 0  # 0: not known


@dataclass(frozen=True)
class Addresses:
    """Where the parts of a city listen."""

    kafka: str  # host:port[,host:port]
    clickhouse: str  # http://host:port
    services: Mapping[str, ServiceAddress] = field(default_factory=dict)

    def service(self, name: str) -> ServiceAddress:
        """Raises NothingRunsError where that service has no known address."""
        found = self.services.get(name)
        if found is None:
            known = ", ".join(sorted(self.services)) or "none"
            raise NothingRunsError(f"no address of the service {name!r} is known (known: {known})")
        return found


def find_root(given: Path | None) -> Path:
    """The folder of a city's data: the given one, else the nearest `.urban` from here upwards, else `.urban` here."""
    if given is not None:
        return given
    here = Path.cwd()
    for folder in (here, *here.parents):
        if (folder / ROOT_NAME / ENDPOINTS_NAME).is_file():
            return folder / ROOT_NAME
    return here / ROOT_NAME


def find_addresses(root: Path | None, environment: Mapping[str, str] | None = None) -> Addresses:
    """Addresses by URBAN_KAFKA, URBAN_CLICKHOUSE and URBAN_SERVICES ({"traffic": "host:port"}), else by the file.

    Raises NothingRunsError, whose text says what to do, where neither tells.
    """
    environment = os.environ if environment is None else environment
    path = find_root(root) / ENDPOINTS_NAME
    told = _from_environment(environment)
    if path.is_file():
        stored = json.loads(path.read_text())
        if not _lives(stored.get("pid", 0)):
            stored = {}
        told = {**stored, **told, "services": {**stored.get("services", {}), **told.get("services", {})}}
    if not told.get("kafka") or not told.get("clickhouse"):
        raise NothingRunsError(
            f"nothing runs here: start it with `urban up` (looked for {path}; "
            "another place: --root, or URBAN_KAFKA, URBAN_CLICKHOUSE and URBAN_SERVICES)"
        )
    return from_document(told)


def from_document(document: Mapping[str, Any]) -> Addresses:
    """From the content of endpoints.json; what is not known in it is passed over."""
    services = {
        name: ServiceAddress(value) if isinstance(value, str) else ServiceAddress(**value)
        for name, value in document.get("services", {}).items()
    }
    return Addresses(document["kafka"], document["clickhouse"], services)


def _from_environment(environment: Mapping[str, str]) -> dict[str, Any]:
    told: dict[str, Any] = {
        name: value for name in ("kafka", "clickhouse") if (value := environment.get(f"URBAN_{name.upper()}"))
    }
    if services := environment.get("URBAN_SERVICES"):
        try:
            told["services"] = json.loads(services)
        except json.JSONDecodeError as error:
            raise NothingRunsError(f"URBAN_SERVICES is no JSON object of addresses: {error}") from error
    return told


def _lives(pid: int) -> bool:
    """Whether the process that wrote the addresses still runs; 0: it did not say, so it is believed."""
    if not pid:
        return True
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
