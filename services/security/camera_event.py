"""Kind camera_event of security: what cameras tell of what they see and of themselves (metadata, never pixels)."""

from __future__ import annotations

from services.core.anomaly.detector import unusual
from services.core.kind import MINUTE_MS, OBSERVATIONS, Aggregate, Column, ColumnType, Detector, Kind, Measure, Window
from services.security.detectors.camera_doors import (
    find_door_duress,
    find_door_passback,
    find_door_tamper,
    may_be_told,
)
from services.security.detectors.camera_health import (
    HEARTBEAT,
    HEARTBEAT_S,
    TAMPERED_BY,
    find_tamper,
    may_be_tampered,
)
from services.security.detectors.camera_scene import (
    AREA,
    GUARDED,
    LOITERING,
    find_abandoned_object,
    find_crossing,
    find_crowd,
    find_loitering,
    may_be_abandoned,
    may_be_crossed,
    may_be_crowd,
    may_be_loitering,
)
from services.security.detectors.topic_counts import TOPIC_PLACES
from services.security.indices.camera_topics import CameraTopic

_WEEK_S = 7 * 86_400
# With the moment, as a state holds from then on.
_STATE = (Aggregate.LAST, Aggregate.LAST_MS)

CAMERA_EVENT = Kind(
    name="camera_event",
    columns=(
        Column(
            *("topic", "CameraTopic", 1, len(CameraTopic)),
            required=True,
            type=ColumnType.CODE,
            codes=tuple((topic.value, topic.name) for topic in CameraTopic),
        ),
        Column("value", "1", 0, 1_000_000),
        Column("confidence", "1", 0, 1),
        Column("tampered", "1", 0, 1),
        Column("tamper_s", "s", 0, _WEEK_S),
        Column("people", "people", 0, 1_000_000),
        Column("loitering_s", "s", 0, _WEEK_S),
        Column("crossings", "objects", 0, 1_000_000),
    ),
    # Five minutes step on by one: what a camera told holds for a while.
    windows=(Window("1m", MINUTE_MS), Window("5m", 5 * MINUTE_MS, MINUTE_MS)),
    measures=(
        Measure("topic", (Aggregate.DISTINCT, Aggregate.LAST_MS, Aggregate.TOP), tops=TOPIC_PLACES),
        Measure("value", (Aggregate.COUNT, Aggregate.MAX, Aggregate.LAST)),
        Measure("confidence", (Aggregate.MIN, Aggregate.MEAN)),
        Measure("tampered", _STATE),
        Measure("tamper_s", (Aggregate.MAX, *_STATE)),
        Measure("people", (Aggregate.MAX, Aggregate.LAST)),
        Measure("loitering_s", (Aggregate.MAX,)),
        Measure("crossings", (Aggregate.SUM,)),
    ),
    disorder_ms=10_000,
    lateness_ms=5 * MINUTE_MS,
    detectors=(
        Detector("camera_offline", "2", "5m", heartbeat=HEARTBEAT, attributes=HEARTBEAT_S),
        Detector("camera_tamper", "1", "5m", find_tamper, previous=TAMPERED_BY, may_find=may_be_tampered),
        Detector("camera_crowd", "1", "5m", find_crowd, attributes=AREA, may_find=may_be_crowd),
        Detector("loitering", "1", "1m", find_loitering, attributes=LOITERING, may_find=may_be_loitering),
        Detector("object_abandoned", "1", "1m", find_abandoned_object, may_find=may_be_abandoned),
        Detector("line_crossed", "1", "1m", find_crossing, attributes=GUARDED, may_find=may_be_crossed),
        Detector("duress", "1", "1m", find_door_duress, may_find=may_be_told(CameraTopic.DURESS)),
        Detector("reader_tamper", "1", "1m", find_door_tamper, may_find=may_be_told(CameraTopic.DOOR_TAMPER)),
        Detector("anti_passback", "1", "1m", find_door_passback, may_find=may_be_told(CameraTopic.APB_VIOLATION)),
        *unusual("1m", MINUTE_MS, OBSERVATIONS),
    ),
)
