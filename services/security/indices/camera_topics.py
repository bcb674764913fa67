"""What a camera can tell: the topics of ONVIF that are taken, by the number of urban.security.v1.CameraTopic."""

from __future__ import annotations

from enum import IntEnum


class CameraTopic(IntEnum):
    """ONVIF Analytics, Imaging, Access Control, Door Control and Credential, as of July 2026; numbers never change."""

    LINE_CROSSED = 1
    OBJECTS_INSIDE = 2
    LOITERING = 3
    OCCUPANCY_COUNTER = 4
    SIGNAL_LOSS = 5
    GLOBAL_SCENE_CHANGE = 6
    IMAGE_TOO_DARK = 7
    IMAGE_TOO_BLURRY = 8
    DURESS = 9
    DOOR_TAMPER = 10
    APB_VIOLATION = 11
    HEARTBEAT = 12  # no topic of ONVIF
    OBJECT_ABANDONED = 13
    LINE_COUNTER = 14
    IMAGE_TOO_BRIGHT = 15
    SCENE = 16  # a frame of the scene description


# The tamper alarms of ONVIF Imaging: the camera is unplugged, moved, covered, blended or out of focus.
TAMPER_TOPICS = frozenset(
    {
        CameraTopic.SIGNAL_LOSS,
        CameraTopic.GLOBAL_SCENE_CHANGE,
        CameraTopic.IMAGE_TOO_DARK,
        CameraTopic.IMAGE_TOO_BRIGHT,
        CameraTopic.IMAGE_TOO_BLURRY,
    }
)
