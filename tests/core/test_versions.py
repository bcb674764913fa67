"""Two versions of a kind, of which one has a column more, take over from each other."""

from __future__ import annotations

import dataclasses
import random
from collections.abc import Iterable, Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.core.frame import Frame, Malformed
from services.core.kind import Aggregate, Column, Kind, Measure, Window
from services.core.partition import Closing, Partition
from services.core.windows import WindowBatch
from tests.core.logs import EVERY, KINDS, bytes_of_batches, fold_all, frame, heartbeat, left_over, logs
from tests.examples import examples

NEW_COLUMN = "exact"


def before(kind: Kind) -> Kind:
    """The kind as it was when the column was not there yet."""
    columns = tuple(c for c in kind.columns if c.name != NEW_COLUMN)
    return measuring(kind, columns, tuple(m for m in kind.measures if m.column != NEW_COLUMN))


def with_quantiles(kind: Kind) -> Kind:
    """The kind with every way of folding the new column."""
    new = Measure(NEW_COLUMN, (*EVERY, Aggregate.QUANTILE), percents=(50,))
    return measuring(kind, kind.columns, (*before(kind).measures, new))


def measuring(kind: Kind, columns: tuple[Column, ...], measures: tuple[Measure, ...]) -> Kind:
    """The kind with other columns and measures; its detectors look at what is left of what they looked at."""
    told = {name for name in kind.measure_names() if not name.startswith(NEW_COLUMN)}
    told |= {name for measure in measures for name in measure.names()}
    kept = (dataclasses.replace(d, previous=tuple(n for n in d.previous if n in told)) for d in kind.detectors)
    return dataclasses.replace(kind, columns=columns, measures=measures, detectors=tuple(kept))


def read_by(kind: Kind, log: Sequence[Frame | Malformed]) -> list[Frame | Malformed]:
    """The log as a version decodes it: a column that it does not know is not there."""
    names = [column.name for column in kind.columns]
    return [
        dataclasses.replace(r, columns={n: r.columns[n] for n in names}) if isinstance(r, Frame) else r for r in log
    ]


def of_old_columns(closings: Iterable[Closing]) -> list[Closing]:
    def old(batches: tuple[WindowBatch, ...]) -> tuple[WindowBatch, ...]:
        return tuple(
            dataclasses.replace(
                b,
                measures={n: v for n, v in b.measures.items() if not n.startswith(NEW_COLUMN)},
                previous={n: v for n, v in b.previous.items() if not n.startswith(NEW_COLUMN)},
            )
            for b in batches
        )

    return [dataclasses.replace(c, batches=old(c.batches), early=old(c.early)) for c in closings]


@pytest.mark.parametrize("name", KINDS)
@examples(15)
@given(data=st.data(), seed=st.integers(0, 2**32))
def test_the_old_columns_are_the_same_whichever_version_folded_what(name, data, seed):
    new, chance = with_quantiles(KINDS[name]), random.Random(seed)
    old = before(new)
    log = data.draw(logs(new, 24))
    whole = Partition("probe", old, 0)
    closings, signals = fold_all(whole, read_by(old, log))

    kind = chance.choice((old, new))
    mixed = Partition("probe", kind, 0)
    mixed_closings, mixed_signals, first = [], [], 0
    while first < len(log):
        end = first + chance.randint(1, 6)
        found, told = fold_all(mixed, read_by(kind, log[first:end]))
        mixed_closings += found
        mixed_signals += told
        first = end
        kind = chance.choice((old, new))
        mixed = Partition.restore("probe", kind, mixed.snapshot())

    assert bytes_of_batches(of_old_columns(mixed_closings)) == bytes_of_batches(closings)
    assert left_over(mixed_closings) == left_over(closings)
    assert repr(mixed_signals) == repr(signals)
    assert mixed.counters == whole.counters


def test_a_new_column_has_numbers_from_the_observations_behind_the_upgrade_on():
    new = with_quantiles(KINDS["tumbling"])
    partition = Partition("probe", before(new), 0)
    fold_all(partition, read_by(before(new), [frame([("a", 1, 50.0), ("b", 2, 50.0)], offset=0)]))
    partition = Partition.restore("probe", new, partition.snapshot())
    closings, _ = fold_all(partition, [frame([("a", 3, 100.0)], offset=2), heartbeat(60, offset=3)])
    (batch,) = (b for c in closings for b in c.batches)
    by_entity = {batch.entity_ids[slot]: row for row, slot in enumerate(batch.slot.tolist())}
    measures = {name: values for name, values in batch.measures.items() if name.startswith(NEW_COLUMN)}
    assert batch.revision[by_entity["a"]] == 2
    assert {measures[f"{NEW_COLUMN}_{a}"][by_entity["a"]] for a in ("min", "max", "mean", "last")} == {1.0}
    assert measures[f"{NEW_COLUMN}_count"].tolist() == [1.0, 0.0]
    counts = (f"{NEW_COLUMN}_count", f"{NEW_COLUMN}_distinct")
    assert [measures[name][by_entity["b"]] for name in counts] == [0.0, 0.0]
    assert all(np.isnan(values[by_entity["b"]]) for name, values in measures.items() if name not in counts)


PLAIN = before(KINDS["tumbling"])
OTHERS = {
    "another window": (
        dataclasses.replace(PLAIN, windows=(*PLAIN.windows, Window("20s", 20_000))),
        "less of ring than is needed",
    ),
    "another name": (dataclasses.replace(PLAIN, name="other"), "it is of"),
    "other bounds": (
        dataclasses.replace(
            PLAIN, columns=tuple(Column("speed", "km/h", -50, 3000) if c.name == "speed" else c for c in PLAIN.columns)
        ),
        "speed.numbers <u4, grid",
    ),
    "one aggregate more": (
        dataclasses.replace(PLAIN, measures=(Measure("count", (Aggregate.MIN,)), *PLAIN.measures)),
        "less of count than is needed",
    ),
    "a required column more": (
        dataclasses.replace(
            PLAIN,
            columns=(*PLAIN.columns, Column("axles", "1", 0, 20, required=True)),
            measures=(*PLAIN.measures, Measure("axles", (Aggregate.MEAN,))),
        ),
        "axles: a column that every observation must have cannot begin later",
    ),
}


@pytest.mark.parametrize("name", OTHERS)
def test_a_state_whose_numbers_would_mean_something_else_is_refused(name: str):
    other, reason = OTHERS[name]
    with pytest.raises(ValueError, match=f"^the state of partition 0 does not fit probe.{other.name}: {reason}"):
        Partition.restore("probe", other, Partition("probe", PLAIN, 0).snapshot())
