"""Frames of one observation give the same bytes one by one and in columns."""

from __future__ import annotations

import dataclasses
import random
from collections.abc import Sequence
from itertools import groupby

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.core.frame import Frame, Malformed, Singles
from services.core.partition import Partition
from tests.core.logs import KINDS, bytes_of_batches, bytes_of_state, fold_all, left_over, logs
from tests.examples import examples


def apart(log: Sequence[Frame | Malformed]) -> list[Frame | Malformed]:
    """The log with each observation in a frame of its own, all of an offset of their own."""
    found: list[Frame | Malformed] = []
    for record in log:
        if isinstance(record, Malformed) or record.heartbeat or not len(record):
            found.append(dataclasses.replace(record, offset=len(found)))
            continue
        for row in range(len(record)):
            inside = record.entity[row] < len(record.entity_ids)
            found.append(
                dataclasses.replace(
                    record,
                    entity_ids=(record.entity_ids[int(record.entity[row])] if inside else "not allowed",),
                    entity=np.zeros(1, np.uint32),
                    time_ms=record.time_ms[row : row + 1],
                    columns={name: values[row : row + 1] for name, values in record.columns.items()},
                    offset=len(found),
                )
            )
    return found


def together(log: Sequence[Frame | Malformed], chance: random.Random) -> list[Frame | Malformed | Singles]:
    """Neighbours of one city and period as columns, now and then cut; all with one dictionary."""
    cut = 0
    place_of: dict[str, int] = {}
    dictionary: list[str] = []

    def group(record: Frame | Malformed) -> tuple[str, int, int] | None:
        nonlocal cut
        cut += chance.random() < 0.1
        plain = isinstance(record, Frame) and len(record) == 1 and not record.heartbeat
        return (record.city, record.period_s, cut) if plain and isinstance(record, Frame) else None

    found: list[Frame | Malformed | Singles] = []
    for key, members in groupby(log, group):
        some = list(members)
        if key is None:
            found.extend(some)
            continue
        frames = [frame for frame in some if isinstance(frame, Frame)]
        entity = [place_of.setdefault(frame.entity_ids[0], len(place_of)) for frame in frames]
        dictionary.extend([*place_of][len(dictionary) :])
        found.append(
            Singles(
                city=key[0],
                period_s=key[1],
                entity_ids=dictionary,
                entity=np.array(entity),
                time_ms=np.concatenate([f.time_ms for f in frames]),
                columns={name: np.concatenate([f.columns[name] for f in frames]) for name in frames[0].columns},
                clock_ms=np.array([f.clock_ms for f in frames]),
                offsets=np.array([f.offset for f in frames]),
                sources=[(f.source_id, f.sequence) for f in frames],
            )
        )
    return found


@pytest.mark.parametrize("name", KINDS)
@examples(25)
@given(data=st.data(), seed=st.integers(0, 2**32))
def test_frames_of_one_observation_are_the_same_in_columns(name, data, seed):
    kind, chance = KINDS[name], random.Random(seed)
    if chance.random() < 0.3:
        kind = dataclasses.replace(kind, max_entities=4)
    log = apart(data.draw(logs(kind, 16)))
    one_by_one, in_columns = Partition("probe", kind, 0), Partition("probe", kind, 0)
    closings, signals = fold_all(one_by_one, log)
    found, found_signals = fold_all(in_columns, together(log, chance))
    assert bytes_of_batches(found) == bytes_of_batches(closings)
    assert left_over(found) == left_over(closings)
    assert repr(found_signals) == repr(signals)
    assert bytes_of_state(in_columns.snapshot()) == bytes_of_state(one_by_one.snapshot())
