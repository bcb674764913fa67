"""A scenario follows from its seed alone: the same bytes wherever a run is cut, and a truth that says what is in it."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from services.core.kind import HOUR_MS, MINUTE_MS
from services.core.validation import validate
from services.correlation.rules import load_rules
from services.feeds.scenario.city import SMALL_BLOCKS, build_city
from services.feeds.scenario.delivery import ONE_WRONG_CLOCK_IN, Step, clock_errors_ms, steps, steps_after
from services.feeds.scenario.files import read_frames, write_folder
from services.feeds.scenario.happening import What
from services.feeds.scenario.ordinary.table import ORDINARY, ordinary_hour
from services.feeds.scenario.script import APART_M, APART_MS, INCIDENTS, LASTING_MS, WEEK_MS, Script, write_script
from services.runtime.contracts import FrameContract

# A Monday.
T0 = 1_780_272_000_000
ONLY = ("tampered_entry",)


def digests(folder: Path) -> dict[str, str]:
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in sorted(folder.iterdir())}


def write(folder: Path, seed: int) -> Script:
    city = build_city(seed, SMALL_BLOCKS)
    script = write_script(city, T0, T0 + 12 * HOUR_MS, only=ONLY)
    write_folder(city, script, folder, lambda clock_ms, observations: None)
    return script


def test_the_same_seed_gives_the_same_bytes_and_another_one_others(tmp_path):
    for name, seed in (("one", 4), ("same", 4), ("other", 5)):
        write(tmp_path / name, seed)
    one = digests(tmp_path / "one")
    assert one == digests(tmp_path / "same")
    # The register of what stands by the grid alone is the same; what is measured nowhere is.
    other = digests(tmp_path / "other")
    assert [name for name in one if name.endswith(".frames") and one[name] == other[name]] == []


def test_what_is_written_are_frames_that_the_services_take(tmp_path):
    script = write(tmp_path, 4)
    city = build_city(4, SMALL_BLOCKS)
    written = 0
    for group in {g.kind_name: g for g in city.groups.values()}.values():
        contract = FrameContract.of(group.domain, group.kind)
        numbered = set()
        for frame in read_frames(tmp_path / f"{group.kind_name}.frames", contract):
            good, problems = validate(group.kind, frame)
            assert good.all(), problems[:3]
            assert frame.numbered
            assert (frame.source_id, frame.sequence) not in numbered
            numbered.add((frame.source_id, frame.sequence))
            written += len(frame)
    about = json.loads((tmp_path / "scenario.json").read_text())
    assert about["observations"] == written
    told = [json.loads(line) for line in (tmp_path / "truth.jsonl").read_text().splitlines()]
    assert [one["id"] for one in told] == [h.id for h in script.happenings]


def test_a_torn_file_is_told(tmp_path):
    write(tmp_path, 4)
    path = tmp_path / "traffic.parking.frames"
    path.write_bytes(path.read_bytes()[:-1])
    group = build_city(4, SMALL_BLOCKS).groups["garages"]
    with pytest.raises(ValueError, match=r"traffic\.parking\.frames: the file ends within a frame"):
        list(read_frames(path, FrameContract.of(group.domain, group.kind)))


@pytest.mark.parametrize("group", ORDINARY)
def test_an_hour_is_the_same_whatever_was_made_before(group: str):
    city, again = build_city(4, SMALL_BLOCKS), build_city(4, SMALL_BLOCKS)
    ordinary_hour(city, group, T0)
    one, same = ordinary_hour(city, group, T0 + 9 * HOUR_MS), ordinary_hour(again, group, T0 + 9 * HOUR_MS)
    assert one.columns.keys() == same.columns.keys()
    for name, values in one.columns.items():
        np.testing.assert_array_equal(values, same.columns[name])
    assert len(one)
    assert ((one.time_ms >= T0 + 9 * HOUR_MS) & (one.time_ms < T0 + 10 * HOUR_MS)).all()


def test_clocks_go_on_and_no_observation_comes_before_it_was_made():
    city = build_city(4, SMALL_BLOCKS)
    clocks = []
    read: Counter[str] = Counter()
    for step in steps(city, Script(T0, T0 + 2 * HOUR_MS, ())):
        clocks.append(step.time_ms)
        for group, frame in step.frames:
            assert frame.clock_ms == step.time_ms
            behind = clock_errors_ms(city, group).max() if len(frame) else 0
            assert (frame.time_ms + frame.period_s * 1000 - behind <= step.time_ms).all()
            read[group.name] += len(frame)
    assert clocks == sorted(set(clocks))
    streets = len(city.groups["streets"]) * 120
    assert 0.99 * streets < read["streets"] < streets  # some are lost, none is told twice


def said(step: Step) -> list[tuple[str, int, bytes]]:
    return [(frame.source_id, frame.sequence, frame.time_ms.tobytes()) for _, frame in step.frames]


def test_a_run_that_goes_on_says_what_it_would_have_said():
    city = build_city(4, SMALL_BLOCKS)
    script = write_script(city, T0, T0 + 12 * HOUR_MS, only=ONLY)
    script = replace(script, to_ms=T0 + 4 * HOUR_MS)
    after_ms = T0 + 150 * MINUTE_MS
    rest = [step for step in steps(city, script) if step.time_ms > after_ms]
    again = list(steps_after(city, script, after_ms))
    assert [step.time_ms for step in again] == [step.time_ms for step in rest]
    assert [said(step) for step in again] == [said(step) for step in rest]
    assert list(steps_after(city, script, rest[-1].time_ms)) == []


def test_an_incident_of_every_shipped_rule_is_planted():
    assert {rule.name for rule in load_rules()} == set(INCIDENTS)


def test_a_week_holds_incidents_and_near_misses_of_every_rule_apart_from_each_other():
    city = build_city(2)
    assert city.sensors >= 2_000
    script = write_script(city, T0, T0 + WEEK_MS)
    number = Counter((h.what, h.name) for h in script.happenings)
    assert {name for what, name in number if what is What.INCIDENT} == set(INCIDENTS)
    for name, (_, a_week, _) in INCIDENTS.items():
        assert number[What.INCIDENT, name] == number[What.NEAR_MISS, name] == a_week
    assert {h.what for h in script.happenings} == set(What)
    placed = [h for h in script.happenings if h.what is not What.DECOY and h.name not in LASTING_MS]
    for i, one in enumerate(placed):
        for other in placed[:i]:
            apart = np.hypot(one.north_m - other.north_m, one.east_m - other.east_m) >= APART_M
            assert apart or one.from_ms - APART_MS >= other.to_ms or other.from_ms - APART_MS >= one.to_ms


def test_a_near_miss_lacks_something_that_is_needed():
    script = write_script(build_city(2), T0, T0 + WEEK_MS)
    whole = {h.name: {part.name for part in h.parts} for h in script.happenings if h.what is What.INCIDENT}
    for happening in script.happenings:
        if happening.what is What.NEAR_MISS and happening.lacking != "degree":
            assert whole[happening.name] - {part.name for part in happening.parts} == {happening.lacking}


def test_clocks_of_some_sensors_are_wrong():
    city = build_city(2)
    wrong = np.concatenate([clock_errors_ms(city, group) != 0 for group in city.groups.values()])
    assert 0.5 / ONE_WRONG_CLOCK_IN < wrong.mean() < 2.0 / ONE_WRONG_CLOCK_IN


@pytest.mark.parametrize(
    ("of", "text"),
    [
        ({"only": ("earthquake",)}, "no scene of earthquake; there are crowd_road_pressure"),
        ({"density": 60.0, "only": ONLY}, "there is no room for"),
    ],
)
def test_what_cannot_be_is_told(of, text):
    with pytest.raises(ValueError, match=text):
        write_script(build_city(2, SMALL_BLOCKS), T0, T0 + 24 * HOUR_MS, **of)
