"""Which observations are good does not depend on whether a frame is judged by its extremes or looked at closely."""

from __future__ import annotations

import math

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from services.cli.domains import find_domains
from services.core.frame import Frame
from services.core.kind import Column, ColumnType, Kind
from services.core.validation import MAX_TIME_MS, validate
from tests.examples import examples

KINDS = [kind for domain in find_domains() for kind in domain.kinds]
IDS = ("a", "b-1", "no blank")


def fit_values(column: Column) -> list[float]:
    if column.codes:
        return [float(code) for code, _ in column.codes] + ([] if column.required else [0])
    return [column.minimum, column.maximum] + ([] if column.required else [math.nan])


def unfit_values(column: Column) -> list[float]:
    if column.codes:
        return [max(code for code, _ in column.codes) + 1.0] + ([0.0] if column.required else [])
    beyond = [float(np.nextafter(np.float32(column.maximum), np.float32(np.inf))), column.minimum - 1, math.inf]
    return beyond + ([math.nan] if column.required else [])


def is_missing(column: Column, value: float) -> bool:
    return value == 0 if column.type is ColumnType.CODE else math.isnan(value)


@st.composite
def judged(draw: st.DrawFn) -> tuple[Kind, Frame, list[bool]]:
    """A frame, most often without a fault, and which of its observations are good, one by one."""
    kind = draw(st.sampled_from(KINDS))
    rows = draw(st.integers(1, 6))
    # No fault in half of the frames, so that whole frames are good, and else in one column.
    spoiled = draw(st.sampled_from([c.name for c in kind.columns] + ["time", "entity"])) if draw(st.booleans()) else ""
    told = draw(st.booleans())  # whether optional numbers are there at all
    good = [True] * rows
    numbers = [False] * rows
    columns = {}
    for column in kind.columns:
        fit, unfit = fit_values(column), unfit_values(column) if column.name == spoiled else []
        if column.optional and not told and not unfit:
            fit = [math.nan]
        values = draw(st.lists(st.sampled_from(fit + unfit), min_size=rows, max_size=rows))
        places = [v if v == v else "nan" for v in fit]
        for row, value in enumerate(values):
            good[row] &= (value if value == value else "nan") in places
            numbers[row] |= column.name in kind.any_of and not is_missing(column, value)
        columns[column.name] = np.array(values, column.type.value)
    times = draw(
        st.lists(
            st.sampled_from([0, MAX_TIME_MS] + [-1, MAX_TIME_MS + 1] * (spoiled == "time")),
            min_size=rows,
            max_size=rows,
        )
    )
    entities = draw(st.lists(st.sampled_from([0, 1] + [2, 3] * (spoiled == "entity")), min_size=rows, max_size=rows))
    for row in range(rows):
        good[row] &= 0 <= times[row] <= MAX_TIME_MS and entities[row] < 2 and (numbers[row] or not kind.any_of)
    # An id that is not valid spoils only what names it; where none is, all ids are valid.
    ids = IDS if spoiled == "entity" else IDS[:2]
    frame = Frame("auckland", ids, np.array(entities, np.uint32), np.array(times, np.int64), 0, columns)
    return kind, frame, good


@examples(400)
@given(judged())
def test_exactly_the_good_observations_are_taken(case: tuple[Kind, Frame, list[bool]]):
    kind, frame, good = case
    ok, problems = validate(kind, frame)
    assert ok.tolist() == good
    assert [p.index for p in problems] == [row for row, fine in enumerate(good) if not fine]
