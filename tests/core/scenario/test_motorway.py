"""Three ways on SUMO's motorway: what is found, how soon, what is false; and what there is without SUMO."""

from __future__ import annotations

import argparse
import importlib.util
import sys

import numpy as np
import pytest

from tests.benchmarks.quality.__main__ import drive_motorway
from tests.benchmarks.quality.motorway import MINUTES, WARM_UP_MINUTES, Road, score
from tests.benchmarks.quality.report import table_of
from tests.benchmarks.quality.scores import Scores
from tests.benchmarks.quality.sumo_road import LANES, STATIONS, Blocked, NoSumo, Recording, binaries, simulate
from tests.benchmarks.quality.sumo_road import _read_loops as read_loops

INSTALLED = importlib.util.find_spec("sumo") is not None
# A lane is blocked 2,250 m after the first station, between the stations 4 and 5; somebody stands from 30:20 on.
BLOCKED, STOPPED_S = Blocked(1, 1_800.0, 1_200.0, 2_250.0), 1_820.0


def recording(jam_from: int | None = None, jam_to: int = 50, station: int = 4) -> Recording:
    """Even traffic, and from one minute to another one a jam at a station and free road behind it."""
    occupancy, speed = np.full((MINUTES, STATIONS), 0.12), np.full((MINUTES, STATIONS), 90.0)
    if jam_from is not None:
        occupancy[jam_from:jam_to, station], speed[jam_from:jam_to, station] = 0.5, 15.0
        occupancy[jam_from:jam_to, station + 1 :] = 0.05
    return Recording(occupancy, speed, np.full_like(speed, 5_000.0), () if jam_from is None else (STOPPED_S,))


def test_an_incident_is_found_by_each_way_when_its_minute_is_over():
    scores = {one.way: one for one in score([Road(recording(31), BLOCKED)])}
    assert {name: (one.incidents, one.found) for name, one in scores.items()} == dict.fromkeys(scores, (1, 1))
    # Each wants two such minutes, 31 and 32; the second one is over at 33:00.
    assert [scores[way].waits_s for way in ("california", "deviation", "threshold")] == [(33 * 60.0 - STOPPED_S,)] * 3


def test_an_alarm_elsewhere_or_afterwards_finds_nothing():
    elsewhere = Road(recording(31, station=7), BLOCKED)
    afterwards = Road(recording(54, 59), BLOCKED)
    assert {one.found for one in score([elsewhere, afterwards])} == {0}


def test_alarms_of_roads_without_an_incident_are_false():
    scores = {one.way: one for one in score([Road(recording(31)), Road(recording())])}
    hours = 2 * STATIONS * (MINUTES - WARM_UP_MINUTES) / 60.0
    for way in ("california", "deviation", "threshold", "any", "two"):
        assert (scores[way].incidents, scores[way].false, scores[way].detector_hours) == (0, 1, hours), way
    assert scores["any"].document()["detection_rate"] is None
    assert scores["any"].document()["false_per_detector_hour"] == pytest.approx(1 / 15)


def test_a_road_on_which_nobody_came_to_a_stand_counts_for_nothing():
    assert {one.incidents for one in score([Road(recording(), BLOCKED)])} == {0}


def test_lanes_of_a_station_are_told_as_one(tmp_path):
    lanes = ((0, 12.0, 6, 20.0), (1, 18.0, 3, 10.0), (2, 0.0, 0, -1.0))
    told = "".join(
        f'<interval begin="60.00" end="120.00" id="7.{lane}" nVehContrib="{n}" flow="0" occupancy="{occupancy}" '
        f'speed="{speed}" harmonicMeanSpeed="0" length="5" nVehEntered="{n}"/>'
        for lane, occupancy, n, speed in lanes
    )
    (tmp_path / "told.xml").write_text(f"<detector>{told}</detector>")
    occupancy, speed, flow = read_loops(tmp_path / "told.xml", 2)
    assert len(lanes) == LANES
    assert occupancy[1, 7] == pytest.approx(0.10)
    assert speed[1, 7] == pytest.approx((6 * 20.0 + 3 * 10.0) / 9 * 3.6)
    assert flow[1, 7] == 540.0
    assert occupancy[0, 7] == 0.0
    assert np.isnan(speed[0, 7])


def test_without_sumo_it_is_said_aloud_and_the_rest_is_told(monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "sumo", None)
    with pytest.raises(NoSumo, match=r"requirements-sumo\.txt"):
        binaries()
    told = drive_motorway(argparse.Namespace(sumo_roads=2, first_seed=1, jobs=1))
    assert "NOT RUN" in capsys.readouterr().err
    table = table_of({"about": {}, **Scores().document(), "motorway": told})
    assert "**Not run: the motorway of SUMO.** SUMO is not installed" in table


@pytest.mark.skipif(not INSTALLED, reason="SUMO is not installed (requirements-sumo.txt)")
@pytest.mark.timeout(400)
def test_sumo_lets_a_queue_grow_behind_a_vehicle_that_stands(tmp_path):
    told = simulate(tmp_path, 1, 20, 1_900.0, Blocked(2, 480.0, 700.0, 1_250.0))
    assert len(told.stopped_s) == 2
    assert told.occupancy.shape == (20, STATIONS)
    jammed = int(told.stopped_s[-1] // 60) + 3
    assert told.occupancy[jammed, 2] > 0.3 > 0.1 > told.occupancy[jammed, 4]
