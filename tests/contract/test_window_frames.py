"""Windows on their way out: the frames on the topic and the rows of the table say what the engine said."""

from __future__ import annotations

import math

from services.core.frame import Frame
from services.core.partition import Partition
from services.core.windows import WindowBatch
from services.runtime.records import MAXIMUM_FRAME_ROWS, window_frames, windows_table
from tests.core.logs import KINDS, T0, fold_all, frame, heartbeat
from urban.common.v1.window_pb2 import WindowFrame


def read(batch: WindowBatch) -> list[tuple[str, str, int, int, int, float]]:
    """City, entity, start and end in ms, revision, mean speed of every row on the topic."""
    rows = []
    for value in window_frames("probe", "probe", 3, T0, batch):
        told = WindowFrame.FromString(value)
        (speed,) = (m.values for m in told.measures if m.name == "speed_mean")
        for row, place in enumerate(told.window):
            bounds = told.bounds[place]
            entity = told.entity_ids[told.entity[row]]
            rows.append((told.city, entity, bounds.start_ms, bounds.end_ms, told.revision[row], speed[row]))
    return rows


def stored(batch: WindowBatch) -> list[tuple[str, str, int, int, int, float]]:
    names = ("city", "entity_id", "start_time", "end_time", "revision", "speed_mean")
    columns = (windows_table(batch, 3).column(name) for name in names)
    lists = (c.cast("int64").to_pylist() if "time" in n else c.to_pylist() for n, c in zip(names, columns, strict=True))
    return list(zip(*lists, strict=True))


def batches(kind: str, *records: Frame) -> list[WindowBatch]:
    closings, _ = fold_all(Partition("probe", KINDS[kind], 0), records)
    return [batch for closing in closings for batch in closing.batches]


def test_a_session_carries_its_own_end_and_one_that_is_no_more_ends_where_it_begins():
    first, second = batches("sessions", frame([("a", 10, 3.0)]), heartbeat(20), frame([("a", 7, 1.0)]), heartbeat(26))
    assert read(first) == stored(first) == [("auckland", "a", T0 + 10_000, T0 + 16_000, 1, 3.0)]
    alive, gone = read(second)
    assert alive == ("auckland", "a", T0 + 7_000, T0 + 16_000, 2, 2.0)
    assert gone[:5] == ("auckland", "a", T0 + 10_000, T0 + 10_000, 2)
    assert math.isnan(gone[5])


def test_many_rows_are_cut_into_frames_of_one_city_that_a_broker_takes():
    rows = [(f"e{i}", float(s), float(i % 300)) for i in range(1_500) for s in (1, 11)]
    log = [frame(rows), frame(rows[:10], city="oslo"), heartbeat(60)]
    (batch,) = batches("tumbling", *log)
    assert len(batch) == 3_010
    assert sorted(read(batch)) == sorted(stored(batch))
    assert all(
        len(WindowFrame.FromString(v).entity) <= MAXIMUM_FRAME_ROWS for v in window_frames("d", "k", 0, T0, batch)
    )


def test_what_open_windows_hold_is_marked_and_what_closed_is_not():
    closings, _ = fold_all(Partition("probe", KINDS["mixed"], 0), [frame([("a", 12, 3.0)]), heartbeat(40)])
    for batches, early in (
        ([b for c in closings for b in c.early], True),
        ([b for c in closings for b in c.batches], False),
    ):
        assert batches
        told = [WindowFrame.FromString(v) for b in batches for v in window_frames("probe", "probe", 3, T0, b)]
        assert {frame.early for frame in told} == {early}
