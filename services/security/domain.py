"""The domain security: what cameras tell (metadata, never pixels), emergency calls, and the use of credentials."""

from __future__ import annotations

from services.core.kind import Domain
from services.security.camera_event import CAMERA_EVENT
from services.security.credential_event import CREDENTIAL_EVENT
from services.security.emergency_call import EMERGENCY_CALL

SECURITY = Domain(
    "security",
    "Security",
    kinds=(CAMERA_EVENT, EMERGENCY_CALL, CREDENTIAL_EVENT),
    unheard=("access_system", "camera_zone", "emergency_area"),
)
