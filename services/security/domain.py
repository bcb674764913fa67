"""The domain security: its kinds, each declared in a file of its own."""

from __future__ import annotations

from services.core.kind import Domain
from services.security.camera_event import CAMERA_EVENT

SECURITY = Domain("security", "Security", kinds=(CAMERA_EVENT,))
