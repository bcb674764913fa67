"""Frames of windows as a subscriber gets them: in responses of a bounded size."""

from __future__ import annotations

from collections.abc import Iterator

from urban.common.v1.service_pb2 import WatchWindowsResponse
from urban.common.v1.window_pb2 import Window, WindowFrame

WINDOWS_PER_RESPONSE = 500
# About: a slow line takes one in the time that a subscriber is given, and every gRPC client takes it at all.
RESPONSE_BYTES = 256 << 10
# What a window and a measure need on the wire beside their texts.
_WINDOW_BYTES = 64
_MEASURE_BYTES = 16


def window_responses(frame: WindowFrame, sent: int) -> Iterator[tuple[WatchWindowsResponse, int]]:
    """The rows behind the first `sent`, each response with the rows sent with it; 0 behind the last."""
    rows, most = len(frame.entity), _rows_per_response(frame)
    for first in range(sent, rows, most):
        end = min(rows, first + most)
        found = [_window_of(frame, row) for row in range(first, end)]
        yield WatchWindowsResponse(windows=found), end % rows


def _rows_per_response(frame: WindowFrame) -> int:
    texts = len(frame.city) + len(frame.kind) + max(map(len, frame.entity_ids), default=0)
    row_bytes = _WINDOW_BYTES + texts + sum(_MEASURE_BYTES + len(measure.name) for measure in frame.measures)
    return max(1, min(WINDOWS_PER_RESPONSE, RESPONSE_BYTES // row_bytes))


def _window_of(frame: WindowFrame, row: int) -> Window:
    bounds = frame.bounds[frame.window[row]]
    window = Window(
        city=frame.city,
        kind=frame.kind,
        window=bounds.window,
        entity_id=frame.entity_ids[frame.entity[row]],
        revision=frame.revision[row],
        early=frame.early,
    )
    window.start_time.FromMilliseconds(bounds.start_ms)
    window.end_time.FromMilliseconds(bounds.end_ms)
    for measure in frame.measures:
        value = measure.values[row]
        if value == value:  # NaN: none
            window.measures[measure.name] = value
    return window
