"""No hidden cell can be told: all tables of small numbers are tried by who knows the rule and all that is shown."""

from __future__ import annotations

import itertools
from collections import defaultdict

import numpy as np
import pytest

from services.community.indices.suppression import hidden_cells, hidden_totals


def shown(counts: list[int]) -> tuple[str, bool]:
    """Cells as they are shown, and whether their sum is."""
    row = np.array(counts)
    cells = " ".join("-" if hide else str(n) for n, hide in zip(counts, hidden_cells(row).tolist(), strict=True))
    return cells, not hidden_totals(row)


@pytest.mark.parametrize(
    ("counts", "expected"),
    [
        ([10, 11], ("10 11", True)),
        ([9, 10, 30], ("- - 30", True)),
        ([0, 200], ("- -", True)),
        ([9, 9, 12, 30], ("- - - 30", True)),
        ([9, 12, 12, 30], ("- - - 30", True)),
        ([3, 4], ("- -", False)),
        ([0], ("-", False)),
        ([10], ("10", True)),
    ],
)
def test_small_cells_are_hidden_with_their_complement(counts, expected):
    assert shown(counts) == expected


@pytest.mark.parametrize(("least", "cells"), [(2, 3), (3, 2), (3, 3), (3, 4), (4, 1), (4, 3)])
def test_whoever_knows_sum_and_rule_finds_at_least_two_numbers_for_every_hidden_cell(least, cells):
    tables = np.array(list(itertools.product(range(3 * least), repeat=cells)))
    hidden, no_total = hidden_cells(tables, least), hidden_totals(tables, least)
    assert (hidden | (tables >= least)).all()
    like: dict[tuple[tuple[int, ...], int | None], list[np.ndarray]] = defaultdict(list)
    for row, hide, total in zip(tables, hidden, no_total, strict=True):
        told = tuple(np.where(hide, -1, row).tolist())
        like[told, None if total else int(row.sum())].append(row)
    assert len(like) > 1
    for (told, _), rows in like.items():
        for place, value in enumerate(told):
            assert value >= 0 or len({int(row[place]) for row in rows}) >= 2


def test_rows_are_judged_each_by_itself():
    assert hidden_cells(np.array([[9, 20, 30], [10, 20, 30]])).tolist() == [[True, True, False], [False] * 3]
    assert hidden_cells(np.empty((0, 3), np.int64)).shape == (0, 3)
    with pytest.raises(ValueError, match="negative"):
        hidden_cells(np.array([-1]))
