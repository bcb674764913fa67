"""How often a topic came in windows, from the most frequent ones that they tell."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from services.security.indices.camera_topics import CameraTopic

# So many places: a rule of a camera tells one topic, a camera its heartbeat and its tamper alarms.
TOPIC_PLACES = 6


def count_topic(measures: Mapping[str, NDArray[np.float64]], topic: CameraTopic) -> NDArray[np.float64]:
    """Observations of that topic in each window, 0 where it is not among the six most frequent. Shape: (rows,)."""
    times = np.zeros(len(measures["topic_top1"]))
    for place in range(1, TOPIC_PLACES + 1):
        rows = np.flatnonzero(measures[f"topic_top{place}"] == topic)
        if len(rows):  # most topics are rare
            times[rows] += measures[f"topic_top{place}_count"][rows]
    return times
