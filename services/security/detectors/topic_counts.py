"""How often a topic came in windows, from the most frequent ones that they tell."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial

import numpy as np
from numpy.typing import NDArray

from services.core.windows import WindowBatch
from services.security.indices.camera_topics import CameraTopic

# So many places: a rule of a camera tells one topic, a camera its heartbeat and its tamper alarms.
TOPIC_PLACES = 6


def tells_topic(batch: WindowBatch, topic: CameraTopic) -> bool:
    """Whether any of these windows tells of that topic."""
    return bool((batch.once(tells_topic, partial(_all_topics, batch)) == int(topic)).any())


def _all_topics(batch: WindowBatch) -> NDArray[np.float64]:
    """Shape: (places, rows)."""
    return np.stack([batch.measures[f"topic_top{place}"] for place in range(1, TOPIC_PLACES + 1)])


def count_topic(measures: Mapping[str, NDArray[np.float64]], topic: CameraTopic) -> NDArray[np.float64]:
    """Observations of that topic in each window, 0 where it is not among the six most frequent. Shape: (rows,)."""
    times = np.zeros(len(measures["topic_top1"]))
    for place in range(1, TOPIC_PLACES + 1):
        # An array is held against a number several times as fast as against a member of an enum.
        told = measures[f"topic_top{place}"] == int(topic)
        if told.any():  # most topics are rare
            times[told] += measures[f"topic_top{place}_count"][told]
    return times
