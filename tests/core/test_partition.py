"""The engine against the oracle: the same windows at the same moments, the same leftovers, the same counters."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.core.circular import angle_between_deg
from services.core.partition import Partition
from services.core.sketch import RELATIVE_ERROR
from tests.core.logs import KINDS, emissions_of, fold_all, left_over, logs
from tests.core.oracle import Emission, Oracle
from tests.examples import examples


def assert_same(told: list[Emission], expected: list[Emission]) -> None:
    def order(e: Emission) -> tuple[str, int, str, str]:
        return e.window, e.start_ms, e.city, e.entity

    assert [order(e) for e in sorted(told, key=order)] == [order(e) for e in sorted(expected, key=order)]
    for a, b in zip(sorted(told, key=order), sorted(expected, key=order), strict=True):
        assert (a.revision, a.end_ms) == (b.revision, b.end_ms)
        assert_same_numbers(a.measures, b.measures)
        assert_same_numbers(a.previous, b.previous)
        assert set(a.history) == set(b.history)
        for name, values in b.history.items():
            assert repr(a.history[name]) == repr(values), name


def assert_same_numbers(told: dict[str, float], expected: dict[str, float]) -> None:
    assert set(told) == set(expected)
    for name, value in expected.items():
        if "_p" in name and not math.isnan(value):
            assert told[name] == pytest.approx(value, rel=RELATIVE_ERROR, abs=1e-30), name
        elif name.endswith("_variance") and not math.isnan(value):
            # The oracle's fractions are rounded once, the engine's whole numbers three times.
            assert told[name] == pytest.approx(value, rel=2**-50, abs=0), name
        elif name.endswith("_energy_mean") and not math.isnan(value):
            assert told[name] == pytest.approx(value, abs=1e-12), name
        elif name.endswith("_mean_direction") and not math.isnan(value):
            # Lengths of up to 1000 are on a grid of 2**-25; a dozen vectors may nearly cancel.
            assert angle_between_deg(told[name], value) < 1e-3, name
        else:
            assert told[name] == value or (math.isnan(told[name]) and math.isnan(value)), (name, told[name], value)


@pytest.mark.parametrize("name", KINDS)
@examples(30)
@given(data=st.data())
def test_what_leaves_at_each_record_is_what_plain_loops_tell(name, data):
    kind = KINDS[name]
    log = data.draw(logs(kind))
    partition, oracle = Partition("probe", kind, 0), Oracle(kind)
    closings = []
    for record in log:
        expected = oracle.fold(record)
        new, _ = fold_all(partition, [record])
        closings += new
        assert_same([e for c in new for b in c.batches for e in emissions_of(b)], expected)
        assert partition.watermark_ms == oracle.watermark_ms
        counters = partition.counters
        assert counters == oracle.counters
        assert counters.read == counters.folded + counters.duplicate + counters.late + counters.dead_lettered
    late, refused = left_over(closings)
    assert late == oracle.late
    assert sum(count for _, _, count, _, _ in refused) == oracle.counters.dead_lettered
    assert {(o, c) for o, c, _, _, _ in refused} == {(o, c) for o, _, c in oracle.refused}
    assert {(o, r, c) for o, r, c in oracle.refused if r >= 0} <= {(o, r, c) for o, c, _, _, rs in refused for r in rs}
