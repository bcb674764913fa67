"""DATEX II: tables of sites and measured data of versions 2 and 3 become the flow of lanes. All values are invented."""

from __future__ import annotations

import io
import math
from pathlib import Path

import pytest

from services.feeds.datex2_xml import MOST_ELEMENTS, pieces_of
from services.feeds.recordings.datex2_flow import entities
from tests.feeds.recordings.datex2_samples import (
    FAULT,
    LANES,
    NINE_MS,
    data_v2,
    flow,
    occupancy,
    speed,
    table_v2,
    v3,
    write,
)
from tests.feeds.recordings.reading import Read, read

COLUMNS = ("flow_veh_h", "speed_kmh", "occupancy", "heavy_share")


def taken(folder: Path, **texts: str) -> Read:
    return read("traffic.road_flow", *write(folder, **texts), form="datex2")


def rows_of(found: Read) -> dict[str, tuple[float, ...]]:
    return {
        frame.entity_ids[frame.entity[i]]: (
            int(frame.time_ms[i]),
            frame.period_s,
            *(round(float(frame.columns[name][i]), 4) for name in COLUMNS),
        )
        for frame in (numbered.frame for numbered in found.frames)
        for i in range(len(frame))
    }


def assert_rows(found: Read, **expected: tuple[float, ...]) -> None:
    rows = rows_of(found)
    assert rows.keys() == {name.replace("__", ":") for name in expected}
    for name, row in expected.items():
        told = rows[name.replace("__", ":")]
        assert told[:2] == row[:2]
        assert told[2:] == pytest.approx(row[2:], nan_ok=True)


@pytest.mark.parametrize("soap", [True, False])
def test_values_of_version_2_are_put_together_by_lane(tmp_path, soap):
    found = taken(tmp_path, table=table_v2(), data=data_v2(soap=soap))
    assert not found.refused
    assert_rows(
        found,
        EX_1__lane1=(NINE_MS, 60, 600, 80, 0.125, math.nan),
        # The sum of classes, a tenth of them heavy, and their speeds by how many there were of each.
        EX_1__lane2=(NINE_MS, 60, 600, 98, math.nan, 0.1),
    )


def test_a_value_that_is_wrong_or_was_not_measured_is_left_out(tmp_path):
    values = {1: flow(600, FAULT), 2: speed(0, 0), 3: occupancy(-1), 4: flow(540), 5: flow(60, FAULT), 6: speed(-1)}
    found = taken(tmp_path, table=table_v2(), data=data_v2(values))
    # Of lane 2 it is not known how many there were in all: one of its classes is not known.
    assert rows_of(found) == {}
    assert not found.refused
    assert found.tally.empty == 6


def test_no_vehicles_are_a_flow_and_have_no_speed(tmp_path):
    found = taken(tmp_path, table=table_v2(), data=data_v2({1: flow(0), 2: speed(0, 0), 3: occupancy(0)}))
    assert_rows(found, EX_1__lane1=(NINE_MS, 60, 0, math.nan, 0, math.nan))


def test_values_of_all_lanes_are_no_lane(tmp_path):
    characteristics = [*LANES[:2], (8, "allLanesCompleteCarriageway", "trafficFlow", "")]
    found = taken(tmp_path, table=table_v2(characteristics), data=data_v2({1: flow(600), 8: flow(1200)}))
    assert_rows(
        found,
        EX_1__lane1=(NINE_MS, 60, 600, math.nan, math.nan, math.nan),
        EX_1__all=(NINE_MS, 60, 1200, math.nan, math.nan, math.nan),
    )


def test_values_of_version_3_are_put_together_by_lane_and_lorries_are_heavy(tmp_path):
    found = taken(tmp_path, **v3())
    assert not found.refused
    assert_rows(found, EX_3__lane1=(NINE_MS, 60, 600, 88.5, math.nan, 0.25))


def test_a_fault_of_version_3_leaves_its_value_out(tmp_path):
    found = taken(tmp_path, **v3(fault="<c:dataError>true</c:dataError>"))
    assert_rows(found, EX_3__lane1=(NINE_MS, 60, 600, math.nan, math.nan, 0.25))


def test_a_time_may_say_that_it_is_the_begin(tmp_path):
    begin = "<r:timeValue>2026-06-01T09:00:00Z</r:timeValue><r:timeMeaning>beginTime</r:timeMeaning>"
    assert rows_of(taken(tmp_path, **v3(begin)))["EX_3:lane1"][0] == NINE_MS


def test_without_a_table_a_site_is_taken_where_nothing_could_be_confused(tmp_path):
    found = taken(tmp_path, data=data_v2({1: flow(600), 2: speed(80)}))
    assert_rows(found, EX_1=(NINE_MS + 60_000, 0, 600, 80, math.nan, math.nan))
    found = taken(tmp_path, data=data_v2({1: flow(600), 3: flow(300)}))
    (refused,) = found.refused
    assert (refused.field, refused.value, refused.line) == ("measurementSiteReference", "EX_1", 1)
    assert "no table of sites" in refused.reason


def test_a_time_that_is_none_is_refused_by_site_and_the_others_are_taken(tmp_path):
    no_time, no_offset = (data_v2(time=time) for time in ("yesterday", "2026-06-01T09:01:00"))
    found = taken(tmp_path, table=table_v2(), a=no_time, b=data_v2(), c=no_offset)
    assert [(r.field, r.value) for r in found.refused] == [
        ("measurementTimeDefault", "yesterday"),
        ("measurementTimeDefault", "2026-06-01T09:01:00"),
    ]
    assert len(rows_of(found)) == 2


def test_lanes_lie_where_their_site_does_and_belong_to_its_segment(tmp_path):
    told = entities(write(tmp_path, table=table_v2(), data=data_v2()), "testville")
    found = {entity.name.rpartition("/")[2]: entity for entity in told}
    assert found.keys() == {"EX_1:lane1", "EX_1:lane2"}
    lane = found["EX_1:lane1"]
    assert (lane.display_name, lane.position.latitude, lane.position.longitude) == ("Bridge, lane1", 52.5, 4.75)
    assert dict(lane.labels) == {"site": "EX_1", "direction": "northBound", "segment": "EX_1", "lane": "lane1"}


def test_a_document_type_is_refused_and_so_is_what_is_no_datex(tmp_path):
    bomb = '<!DOCTYPE x [<!ENTITY a "aaaa">]>' + data_v2(soap=False).replace("EX_1", "&a;")
    with pytest.raises(ValueError, match=r"bomb\.xml\.gz: a document type is not taken"):
        taken(tmp_path, bomb=bomb)
    with pytest.raises(ValueError, match="neither measurement sites nor measured data"):
        taken(tmp_path, page="<html/>")
    with pytest.raises(ValueError, match="no XML"):
        taken(tmp_path, cut=data_v2()[:-20])
    with pytest.raises(ValueError, match="need measured data"):
        taken(tmp_path, table=table_v2())


def test_what_is_nested_or_filled_beyond_reason_is_refused():
    deep = "<a>" * 70 + "</a>" * 70
    with pytest.raises(ValueError, match="nested more than 64"):
        [*pieces_of(io.BytesIO(deep.encode()))]
    full = f"<siteMeasurements>{'<a/>' * MOST_ELEMENTS}</siteMeasurements>"
    with pytest.raises(ValueError, match=f"more than {MOST_ELEMENTS} elements"):
        [*pieces_of(io.BytesIO(full.encode()))]


def test_a_large_file_is_read_piece_by_piece():
    class Endless(io.BytesIO):
        """A publication that never ends, and says how much of it was read."""

        count = 0

        def read(self, size: int | None = -1) -> bytes:
            self.count += 1
            begin = b"<a>" if self.count == 1 else b""
            return begin + b"<siteMeasurements><b/></siteMeasurements>" * 100

    file = Endless()
    assert next(pieces_of(file)).tag == "siteMeasurements"
    assert file.count == 1


def test_the_same_data_are_another_recording_with_another_table(tmp_path):
    one = taken(tmp_path, table=table_v2(), data=data_v2())
    two = taken(tmp_path, table=table_v2(LANES[:3]), data=data_v2())
    assert one.frames[0].frame.source_id != two.frames[0].frame.source_id
