"""Rows of security.camera_event from what one device tells: one camera, or several of an encoder or a recorder."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from services.feeds.onvif_camera import Camera, Columns
from services.feeds.onvif_messages import Notice, Scene, Sign
from services.feeds.onvif_topics import token_of
from services.security.indices.camera_topics import CameraTopic

Row = dict[str, Any]


class Device:
    """What has to be remembered of one device to make rows of what it tells next."""

    def __init__(self, city: str, name: str, *, per_source: bool = False) -> None:
        """`per_source`: each of its video sources (of an encoder, a recorder) is a camera, called name.token."""
        self._city = city
        self._name = name
        self._per_source = per_source
        self._cameras: dict[str, Camera] = {}

    def rows(self, message: Notice | Scene | Sign) -> list[Row]:
        """Observations in their proto JSON form; MetadataFault names what a message lacks."""
        camera = self._camera(message)
        # A device that answers a poll answers for all of its sources.
        heard = self._cameras.values() if isinstance(message, Sign) else (camera,)
        return [self._row(message.time, *told) for one in heard for told in one.tell(message)]

    def _camera(self, message: Notice | Scene | Sign) -> Camera:
        token = token_of(message) if self._per_source and isinstance(message, Notice) else ""
        name = f"{self._name}.{token}" if token else self._name
        return self._cameras.setdefault(name, Camera(name))

    def _row(self, time: datetime, entity_id: str, topic: CameraTopic, columns: Columns) -> Row:
        text = time.isoformat().replace("+00:00", "Z")
        about = {"city": self._city, "entity_id": entity_id, "time": text, "topic": f"CAMERA_TOPIC_{topic.name}"}
        return {**about, **columns}
