"""The first incident of a city: a camera is covered, and somebody is forced to open the door beside it."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path

from tests.cluster.real import RealCity

PLACE = {"latitude": -36.8485, "longitude": 174.7633}
CAMERA, DOOR = "camera-1", "door-1"
RULE = "tampered_entry"
INCIDENT_TIMEOUT_S = 600.0


def first_incident(city: RealCity, folder: Path) -> float:
    """Register both, send what they observe, and wait; the seconds from there to the incident."""
    for name in (CAMERA, DOOR):
        file = folder / f"{name}.csv"
        file.write_text(f"entity_id,type,latitude,longitude\n{name},thing,{PLACE['latitude']},{PLACE['longitude']}\n")
        imported = city.urban("entities", "import", "security", str(file), "--city", "auckland")
        assert imported.returncode == 0, imported.stderr
    covered = {"topic": "CAMERA_TOPIC_GLOBAL_SCENE_CHANGE", "tampered": 1, "tamper_s": 30}
    forced = {"outcome": "CREDENTIAL_OUTCOME_DURESS"}
    for kind, entity, row in (("camera_event", CAMERA, covered), ("credential_event", DOOR, forced)):
        told = {"entity_id": entity, "time": datetime.now(UTC).isoformat(), **row}
        sent = city.urban("send", f"security.{kind}", "-", "--city", "auckland", typed=json.dumps(told) + "\n")
        assert sent.stdout == "1 accepted, 0 rejected\n", sent.stderr
    return city.plane.wait("the incident", lambda: RULE in _rules(city), INCIDENT_TIMEOUT_S, lambda: _signals(city))


def _rules(city: RealCity) -> set[str]:
    """Of the incidents that there are."""
    listed = city.urban("incidents", "list", "--json").stdout
    return {one["rule"]["name"] for one in json.loads(listed or "[]")}


def _signals(city: RealCity) -> str:
    return str(city.rows("SELECT domain, kind, type, entity_id, state, start_time, end_time FROM urban.v_signals"))
