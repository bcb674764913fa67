"""The same log gives the same bytes, whatever a fetch held, whoever took over, and in whatever order it came."""

from __future__ import annotations

import dataclasses
import math
import random
import tracemalloc
from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.core.frame import Frame, Malformed
from services.core.kind import Aggregate, Column, Kind, Measure, Window
from services.core.partition import Partition
from services.core.signals import Signal
from services.traffic.domain import ROAD_FLOW
from tests.core.logs import (
    KINDS,
    T0,
    bytes_of_batches,
    bytes_of_state,
    emissions_of,
    fold_all,
    frame,
    heartbeat,
    left_over,
    logs,
)
from tests.examples import examples


@pytest.mark.parametrize("name", KINDS)
@examples(20)
@given(data=st.data(), seed=st.integers(0, 2**32))
def test_any_cut_and_any_restart_give_the_same_bytes(name, data, seed):
    kind, chance = KINDS[name], random.Random(seed)
    log = data.draw(logs(kind, 24))
    whole = Partition("probe", kind, 0)
    closings, signals = fold_all(whole, log)

    cut = Partition("probe", kind, 0)
    cut_closings, cut_signals, first = [], [], 0
    while first < len(log):
        end = first + chance.randint(1, 6)
        new_closings, new_signals = fold_all(cut, log[first:end])
        cut_closings += new_closings
        cut_signals += new_signals
        first = end
        if chance.random() < 0.7:
            cut = Partition.restore("probe", kind, cut.snapshot())

    assert bytes_of_batches(cut_closings) == bytes_of_batches(closings)
    assert left_over(cut_closings) == left_over(closings)
    assert repr(cut_signals) == repr(signals)
    assert bytes_of_state(cut.snapshot()) == bytes_of_state(whole.snapshot())


def _final_windows(kind: Kind, log: Sequence[Frame | Malformed]) -> tuple[dict[object, str], dict[str, str]]:
    """The last that was said of every window, and of every signal by revision, once all windows are final."""
    end = [heartbeat(3_600)]
    windows: dict[object, str] = {}
    signals: dict[str, Signal] = {}
    partition = Partition("probe", kind, 0)
    for records in (log, end):
        closings, new = fold_all(partition, records)
        for e in (e for c in closings for b in c.batches for e in emissions_of(b)):
            windows[e.window, e.city, e.entity, e.start_ms] = repr((e.revision, e.end_ms, e.measures, e.previous))
            if e.end_ms == e.start_ms:  # a session that was joined to another one
                del windows[e.window, e.city, e.entity, e.start_ms]
        for signal in new:
            known = signals.get(signal.id)
            rank = (signal.revision, signal.retracted)
            if known is None or rank >= (known.revision, known.retracted):
                signals[signal.id] = signal
    assert partition.counters.late == 0
    return windows, {i: repr(s) for i, s in signals.items() if not s.retracted}


@pytest.mark.parametrize("name", ["tumbling", "hopping", "nested", "sessions", "mixed", "followed"])
@examples(12)
@given(data=st.data(), seed=st.integers(0, 2**32))
def test_the_order_of_arrival_does_not_change_what_is_final(name, data, seed):
    # All within the lateness, and every frame with a clock of its own that is not ahead.
    kind = dataclasses.replace(KINDS[name], lateness_ms=600_000, disorder_ms=0)
    log = [f for f in data.draw(logs(kind, 10)) if isinstance(f, Frame)]
    log = [dataclasses.replace(f, sequence=0, clock_ms=T0 + 3_600_000, offset=-1) for f in log if not f.heartbeat]
    shuffled = [_shuffle(f, seed) for f in log]
    random.Random(seed).shuffle(shuffled)
    windows, signals = _final_windows(kind, log)
    other_windows, other_signals = _final_windows(kind, shuffled)
    assert other_windows == windows
    assert other_signals == signals


def _shuffle(frame: Frame, seed: int) -> Frame:
    order = np.random.default_rng(seed).permutation(len(frame))
    columns = {name: values[order] for name, values in frame.columns.items()}
    return dataclasses.replace(frame, entity=frame.entity[order], time_ms=frame.time_ms[order], columns=columns)


def _road_frame(chance: np.random.Generator, second: int, n: int = 200) -> Frame:
    columns = {c.name: chance.uniform(c.minimum, c.maximum, n).astype("<f4") for c in ROAD_FLOW.columns}
    columns["heavy_share"][chance.random(n) < 0.3] = math.nan
    return Frame(
        city="auckland",
        entity_ids=tuple(f"segment-{i}" for i in range(30)),
        entity=chance.integers(0, 30, n).astype(np.uint32),
        time_ms=T0 + second * 1000 + chance.integers(0, 60_000, n),
        period_s=60,
        columns=columns,
        clock_ms=T0 + 10**7,
    )


def test_sums_of_any_numbers_do_not_depend_on_order_or_cut():
    chance = np.random.default_rng(3)
    frames = [_road_frame(chance, second) for second in (0, 30, 60, 90)]
    rows = [(f, i) for f in frames for i in range(len(f))]
    chance.shuffle(rows)
    single = [
        dataclasses.replace(
            f,
            entity_ids=(f.entity_ids[f.entity[i]],),
            entity=np.zeros(1, np.uint32),
            time_ms=f.time_ms[i : i + 1],
            columns={name: values[i : i + 1] for name, values in f.columns.items()},
        )
        for f, i in rows
    ]
    told = []
    for log in (frames, single):
        partition = Partition("traffic", dataclasses.replace(ROAD_FLOW, detectors=()), 0)
        closings = list(partition.fold([*log, heartbeat(7_200)]))
        final = {
            (e.window, e.entity, e.start_ms): repr(e) for c in closings for b in c.batches for e in emissions_of(b)
        }
        assert partition.counters.folded == 800
        told.append(final)
    assert told[0] == told[1]


def test_what_vanished_makes_room_and_comes_back_as_new():
    kind = KINDS["tumbling"]
    partition = Partition("probe", kind, 0)
    for minute in range(60):
        log = [
            dataclasses.replace(f, offset=-1)
            for f in (_visitors(minute, "car"), _visitors(minute, "again" if minute % 20 == 0 else f"once-{minute}"))
        ]
        fold_all(partition, log)
    state = partition.snapshot()
    # 61 names came; those of the last minutes are kept.
    assert len(state.texts["entity_ids"]) < 12
    assert len(state.arrays["cells.slot"]) < 12


def _visitors(minute: int, name: str) -> Frame:
    return frame([(name, minute * 60), (name, minute * 60 + 30)])


def test_a_state_of_another_kind_is_refused():
    state = Partition("probe", KINDS["tumbling"], 0).snapshot()
    with pytest.raises(ValueError, match="does not fit probe"):
        Partition.restore("probe", KINDS["hopping"], state)


def _sensors(ids: tuple[str, ...], second: int) -> Frame:
    """One observation of each sensor."""
    return Frame(
        city="auckland",
        entity_ids=ids,
        entity=np.arange(len(ids), dtype=np.uint32),
        time_ms=np.full(len(ids), T0 + second * 1000, np.int64),
        period_s=0,
        columns={"value": np.ones(len(ids), np.float32)},
        clock_ms=T0 + 10**7,
    )


def test_one_million_window_keys_take_at_most_64_mb():
    kind = Kind(
        name="memory",
        columns=(Column("value", "1", 0, 1000),),
        windows=(Window("60s", 60_000, 10_000),),
        measures=(Measure("value", (Aggregate.COUNT, Aggregate.SUM, Aggregate.MIN, Aggregate.MAX)),),
        disorder_ms=3_600_000,  # so that nothing closes
        lateness_ms=0,
    )
    ids = tuple(f"sensor-{i:05d}" for i in range(20_000))
    tracemalloc.start()
    try:
        partition = Partition("memory", kind, 0)
        for pane in range(50):
            assert list(partition.fold([_sensors(ids, pane * 10)])) == []
        taken, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert len(partition.snapshot().arrays["cells.slot"]) == 1_000_000
    assert taken <= 64 * 10**6
