"""Observations that came too late for their windows, as records of a late topic: frames like those they came in.

Those of one moment share records, as one in a hundred observations would else cost as much as all others together. A
header tells each one's place in the log, so that who reads the topic knows what was produced again after a crash.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from services.core.frame import Frame, Late
from services.runtime.codec import encode_frame, select_rows
from services.runtime.contracts import FrameContract
from services.runtime.log import Headers

# A record stays below a broker's default limit of 1 MiB with some fifty columns.
MOST_ROWS = 2_000


def late_records(contract: FrameContract, late: Late) -> Iterator[tuple[bytes, bytes, Headers]]:
    """Key, value and headers of each record. Whoever made the frames that they came in is not told."""
    whole = Frame(late.city, late.entity_ids, late.entity, late.time_ms, late.period_s, late.columns)
    for begin in range(0, len(late), MOST_ROWS):
        rows = np.arange(begin, min(begin + MOST_ROWS, len(late)))
        frame, offsets = select_rows(whole, rows), late.offsets[rows]
        headers = [("urban_offset", str(offsets[0]).encode()), ("urban_offsets", _places(offsets).encode())]
        yield frame.entity_ids[int(frame.entity[0])].encode(), encode_frame(contract, frame), headers


def _places(offsets: np.ndarray[tuple[int], np.dtype[np.int64]]) -> str:
    """Offset and number of observations of each record that they came in: "17*3,18*1"."""
    pairs = zip(*(part.tolist() for part in np.unique(offsets, return_counts=True)), strict=True)
    return ",".join(f"{offset}*{count}" for offset, count in pairs)


def read_places(text: str) -> list[int]:
    """The offset of each observation that the header `urban_offsets` tells. ValueError: it is none."""
    pairs = [part.split("*") for part in text.split(",")]
    return [int(offset) for offset, count in pairs for _ in range(int(count))]
