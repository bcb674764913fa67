"""The next version of this tree, as a copy with an expanding change: road flow is also measured by its queue."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from services.runtime.wire import packed_field
from tests.integration.processor.city import REPOSITORY

# (file, the line that stands before, what comes behind it)
CHANGES = (
    (
        "proto/urban/traffic/v1/road_flow.proto",
        "  optional float heavy_share = 19;\n",
        "  // Length of the queue in m, 0 to 5,000. Absent: not measured.\n  optional float queue_m = 20;\n",
    ),
    (
        "proto/urban/traffic/v1/road_flow.proto",
        "  repeated float heavy_share = 19;\n",
        "  // Length of the queue in m, 0 to 5,000. NaN: not measured.\n  repeated float queue_m = 20;\n",
    ),
    (
        "services/traffic/domain.py",
        '        Column("heavy_share", "1", 0, 1),\n',
        '        Column("queue_m", "m", 0, 5_000),\n',
    ),
    (
        "services/traffic/domain.py",
        '        Measure("heavy_share", (Aggregate.MEAN,)),\n',
        '        Measure("queue_m", (Aggregate.MAX, Aggregate.QUANTILE), percents=(50,)),\n',
    ),
)
MIGRATION = """\
-- Length of the queue.

ALTER TABLE road_flow ADD COLUMN IF NOT EXISTS queue_m Float32 DEFAULT nan COMMENT 'Queue in m' AFTER heavy_share;

ALTER TABLE road_flow_windows
    ADD COLUMN IF NOT EXISTS queue_m_max Float64 DEFAULT nan COMMENT 'Queue in m: greatest' AFTER heavy_share_mean,
    ADD COLUMN IF NOT EXISTS queue_m_p50 Float64 DEFAULT nan COMMENT 'Queue in m: median' AFTER queue_m_max;
"""
_FIELD = 20


def make_next_version(folder: Path) -> Path:
    """Makes it in this folder, its contracts as code included; the folder."""
    for part in ("services", "proto"):
        shutil.copytree(REPOSITORY / part, folder / part, ignore=shutil.ignore_patterns("__pycache__"))
    for name, before, added in CHANGES:
        text = (folder / name).read_text()
        assert text.count(before) == 1, (name, before)
        (folder / name).write_text(text.replace(before, before + added))
    (folder / "services" / "traffic" / "schema" / "900_queue.up.sql").write_text(MIGRATION)
    subprocess.run([sys.executable, str(folder / "proto" / "generate.py")], check=True, cwd=folder)
    return folder


def queue_column(queues_m: Sequence[float]) -> bytes:
    """What a sender of the next version writes behind a frame as this one makes it: one packed column more."""
    return packed_field(_FIELD, np.array(queues_m, "<f4"))
