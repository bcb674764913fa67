"""Every domain of the deployment, found as folders, and observations of its kinds for tests."""

from __future__ import annotations

import random
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from hypothesis import strategies as st

from services.cli.domains import find_domains
from services.core.frame import Frame
from services.core.kind import Column, ColumnType, Kind
from services.runtime.contracts import FrameContract

SERVICES = Path(__file__).resolve().parents[2] / "services"
DOMAINS = find_domains()
CONTRACTS = [FrameContract.of(domain.name, kind) for domain in DOMAINS for kind in domain.kinds]
BY_KIND = {contract.kind.name: contract for contract in CONTRACTS}

# 2024-06-03T10:00:00Z, a Monday
MONDAY_MS = 1_717_408_800_000


def good_value(column: Column, chance: random.Random) -> float:
    """A value inside the bounds, exact in single precision; for optional numbers now and then none."""
    if column.codes:
        return chance.choice(column.codes)[0]
    if not column.required and chance.random() < 0.2:
        return float("nan")
    return float(np.float32(column.minimum + (column.maximum - column.minimum) * chance.randrange(0, 65) / 64))


def make_frame(
    kind: Kind,
    entity_ids: Sequence[str],
    times_ms: Sequence[int],
    *,
    seed: int = 0,
    period_s: int = 60,
    city: str = "auckland",
    source_id: str = "",
    sequence: int = 0,
) -> Frame:
    """A good frame: one row per time, entities in turn, values by chance of that seed."""
    chance = random.Random(seed)
    rows = len(times_ms)
    columns = {}
    for column in kind.columns:
        values = [good_value(column, chance) for _ in range(rows)]
        if column.name in kind.any_of[:1]:
            values = [column.minimum if value != value else value for value in values]
        columns[column.name] = np.array(values, column.type.value)
    return Frame(
        city=city,
        entity_ids=tuple(entity_ids),
        entity=np.array([i % len(entity_ids) for i in range(rows)], np.uint32),
        time_ms=np.array(times_ms, np.int64),
        period_s=period_s,
        columns=columns,
        source_id=source_id,
        sequence=sequence,
    )


_ENTITY_IDS = st.lists(st.text("abcXYZ019._~:-", min_size=1, max_size=12), min_size=1, max_size=6, unique=True)


@st.composite
def frames(draw: st.DrawFn, kind: Kind) -> Frame:
    """Frames with any float in the columns, NaN included: decoding does not judge values."""
    entity_ids = draw(_ENTITY_IDS)
    rows = draw(st.integers(1, 12))
    base = draw(st.integers(-(2**40), 2**45))
    offsets = draw(st.lists(st.integers(0, 2**32 - 1), min_size=rows, max_size=rows))
    columns = {}
    for column in kind.columns:
        code = column.type is ColumnType.CODE
        values = st.integers(0, 2**32 - 1) if code else st.floats(width=64 if column.type is ColumnType.DOUBLE else 32)
        columns[column.name] = np.array(draw(st.lists(values, min_size=rows, max_size=rows)), column.type.value)
    return Frame(
        city=draw(st.text(max_size=8)),
        entity_ids=tuple(entity_ids),
        entity=np.array(draw(st.lists(st.integers(0, 2**32 - 1), min_size=rows, max_size=rows)), np.uint32),
        time_ms=base + np.array(offsets, np.int64),
        period_s=draw(st.integers(0, 2**32 - 1)),
        columns=columns,
        source_id=draw(st.text(max_size=8)),
        sequence=draw(st.integers(0, 2**64 - 1)),
        clock_ms=draw(st.integers(0, 2**45)),
    )


def assert_same(one: Frame, other: Frame) -> None:
    """Equal to the bit, NaN included."""
    for name in ("city", "period_s", "source_id", "sequence", "clock_ms", "heartbeat"):
        assert getattr(one, name) == getattr(other, name), name
    assert tuple(one.entity_ids) == tuple(other.entity_ids)
    assert one.entity.tolist() == other.entity.tolist()
    assert one.time_ms.tolist() == other.time_ms.tolist()
    assert one.columns.keys() == other.columns.keys()
    for name, values in one.columns.items():
        # One NaN is as good as another, and a missing number is all that it says.
        np.testing.assert_array_equal(values, other.columns[name])
