"""The domain security: what cameras tell (metadata, never pixels). Small until its own kinds and detectors come."""

from __future__ import annotations

from services.core.anomaly.detector import unusual
from services.core.kind import MINUTE_MS, OBSERVATIONS, Aggregate, Column, ColumnType, Domain, Kind, Measure, Window

CAMERA_TOPICS = (
    (1, "LINE_CROSSED"),
    (2, "OBJECTS_INSIDE"),
    (3, "LOITERING"),
    (4, "OCCUPANCY_COUNTER"),
    (5, "SIGNAL_LOSS"),
    (6, "GLOBAL_SCENE_CHANGE"),
    (7, "IMAGE_TOO_DARK"),
    (8, "IMAGE_TOO_BLURRY"),
    (9, "DURESS"),
    (10, "DOOR_TAMPER"),
    (11, "APB_VIOLATION"),
)

CAMERA_EVENT = Kind(
    name="camera_event",
    columns=(
        Column("topic", "CameraTopic", 1, 11, required=True, type=ColumnType.CODE, codes=CAMERA_TOPICS),
        Column("value", "1", 0, 1_000_000),
        Column("confidence", "1", 0, 1),
    ),
    windows=(Window("1m", MINUTE_MS),),
    measures=(
        Measure("topic", (Aggregate.DISTINCT, Aggregate.TOP), tops=3),
        Measure("value", (Aggregate.COUNT, Aggregate.MAX, Aggregate.LAST)),
        Measure("confidence", (Aggregate.MIN, Aggregate.MEAN)),
    ),
    disorder_ms=10_000,
    lateness_ms=5 * MINUTE_MS,
    detectors=unusual("1m", MINUTE_MS, OBSERVATIONS),
)

SECURITY = Domain("security", "Security", kinds=(CAMERA_EVENT,))
