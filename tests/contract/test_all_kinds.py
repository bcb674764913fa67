"""The benchmark of all kinds: its backlogs are good observations of a usual day, and it reckons right."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from services.core.frame import Frame
from services.core.kind import HOUR_MS, MINUTE_MS, Window
from services.core.partition import Partition
from services.runtime.codec import decode_record, encode_heartbeat
from tests.benchmarks.all_kinds import in_a_city, page
from tests.benchmarks.all_kinds.__main__ import Round, reported_today, summary
from tests.benchmarks.all_kinds.backlog import CITY, STANDING, Backlog, plain
from tests.benchmarks.all_kinds.trial import Cost
from tests.benchmarks.pages import read_part
from tests.contract.domains import BY_KIND, CONTRACTS

NOT_YET = "Not measured on a quiet machine yet."
BACKLOGS = {c.kind.name: Backlog(c.domain, c.kind, entities=24, reports=36) for c in CONTRACTS}


def end_of(backlog: Backlog) -> Frame:
    """The clock behind a backlog."""
    beat = encode_heartbeat(BY_KIND[backlog.kind.name], CITY, backlog.end_ms + backlog.kind.disorder_ms)
    (frame,) = decode_record(BY_KIND[backlog.kind.name], beat, (), 0, 0)
    assert isinstance(frame, Frame)
    return frame


PLAIN = {f"plain {n}": replace(b, kind=plain(b.kind)) for n, b in BACKLOGS.items() if b.kind.trail}


@pytest.mark.parametrize("backlog", (BACKLOGS | PLAIN).values(), ids=BACKLOGS | PLAIN)
def test_every_observation_of_a_backlog_is_good_and_in_the_windows_that_are_reckoned(backlog: Backlog):
    frames = [frame for _, frame in backlog.frames()]
    assert sum(map(len, frames)) == backlog.observations
    found: Counter[tuple[str, int]] = Counter()
    for closing in Partition(backlog.domain, backlog.kind, 0).fold([*frames, end_of(backlog)]):
        assert (closing.refused, closing.late) == ((), ())
        for batch in (batch for batch in closing.batches if not batch.window.gap_ms):
            found.update((batch.window.name, int(revision)) for revision in batch.revision)
    wanted = Counter((window.name, held) for window in backlog.fixed_windows for held in backlog.windows(window))
    assert found == Counter({row: count * backlog.entities for row, count in wanted.items()})
    assert found.total() == backlog.window_rows


def test_windows_of_a_backlog_are_those_that_end_within_it():
    """Minutes of an hour and a half: three of half an hour, and hops of which the first ones hold less."""
    backlog = Backlog("traffic", BY_KIND["road_flow"].kind, entities=1, reports=540)
    assert backlog.interval_ms == 10_000
    assert backlog.windows(Window("30m", 30 * MINUTE_MS)) == [180, 180, 180]
    assert backlog.windows(Window("1h", HOUR_MS, 30 * MINUTE_MS)) == [180, 360, 360]
    assert backlog.windows(Window("4h", 4 * HOUR_MS)) == []


def test_a_backlog_is_the_same_on_every_run():
    one, other = ([frame for _, frame in BACKLOGS["road_flow"].frames()] for _ in range(2))
    for mine, theirs in zip(one, other, strict=True):
        for name, values in mine.columns.items():
            np.testing.assert_array_equal(values, theirs.columns[name])


def test_alerts_stand_and_few_of_them_are_worth_a_signal():
    """Places tell in each window what they told in the one before, but for a few alerts that are new."""
    backlog = Backlog("traffic", BY_KIND["service_alert"].kind, entities=400, reports=120)
    in_a_window = backlog.step_ms // backlog.interval_ms
    frames = [frame for partition, frame in backlog.frames() if partition == 0]
    told = np.stack([frame.columns["alert"] for frame in frames])  # (reports, entities)
    share = STANDING["service_alert"]
    assert np.mean(told[in_a_window:] != told[:-in_a_window]) == pytest.approx(share, rel=0.3)
    assert all(len(set(row)) == in_a_window for row in told[:in_a_window].T)
    partition, rows, signals = Partition("traffic", backlog.kind, 0), 0, 0
    for closing in partition.fold([*frames, end_of(backlog)]):
        for batch in closing.batches:
            rows, signals = rows + len(batch), signals + len(partition.detect(batch))
    assert 0 < signals / rows < 0.15


def costs(**cpu_s: float) -> dict[str, Cost]:
    """By backlog, or by domain with twice as many observations: those of two kinds."""
    each = BACKLOGS["road_flow"].observations
    return {n.replace("__", "."): Cost(each * (1 if "__" in n else 2), s, 3, 100.0) for n, s in cpu_s.items()}


def reckoned() -> dict[str, Any]:
    """Three rounds of two kinds; the second one on a machine that was twice as slow, the third one odd."""
    plain = costs(traffic__road_flow=1.0, traffic__rail_call=3.0)
    whole = costs(traffic__road_flow=1.5, traffic__rail_call=9.0)
    slow = costs(traffic__road_flow=2.0, traffic__rail_call=6.0)
    rounds = [
        Round(plain, whole, costs(traffic=4.4)),
        Round(slow, slow, costs(traffic=8.8)),
        Round(plain, whole, costs(traffic=9.0)),
    ]
    return summary([BACKLOGS["road_flow"], BACKLOGS["rail_call"]], rounds, {"road_flow": 9.0})


def test_what_is_compared_is_of_one_round():
    at_once = reckoned()["at_once"]
    assert at_once["ratios"] == [1.1, 1.1, 2.25]
    assert at_once["ratio"] == 1.1


def test_kinds_weigh_alike_and_a_domain_is_held_against_its_own():
    document, each = reckoned(), BACKLOGS["road_flow"].observations
    (traffic,) = document["domains"]
    assert document["at_once"]["plain_ns"] == traffic["plain_ns"] == round(4.0 / (2 * each) * 1e9)
    assert traffic["kinds"] == 2
    assert [kind["plain_ns"] for kind in document["kinds"]] == [round(s / each * 1e9) for s in (1.0, 3.0)]


def test_in_a_city_kinds_weigh_what_it_reports_of_them():
    assert reckoned()["in_a_city"] == {"ratio": 1.5, "left_out": ["traffic.rail_call"]}
    assert {"road_flow", "camera_event", "air_quality"} <= reported_today().keys()


def test_the_page_says_what_the_figures_say():
    machine = {"cores": 2, "architecture": "x86_64", "python": "3.11"}
    text = page.as_markdown({"machine": machine, "load_average": 1.0, **reckoned()})
    assert "All kinds at once cost 1.10 times the plain windows" in text
    assert "by round: 1.10, 1.10, 2.25" in text
    assert "today, without traffic.rail_call: whole 1.50 times plain" in text
    assert "| traffic.road_flow |" in text


def test_the_tables_are_of_the_committed_figures():
    wanted = page.as_markdown(json.loads(page.JSON_FILE.read_text())) if page.JSON_FILE.exists() else NOT_YET
    assert read_part(page.PAGE, page.MARK) == wanted


def test_an_hour_of_a_city_has_the_share_of_every_kind_and_windows_of_each():
    reported = reported_today()
    backlogs = in_a_city.of_city(3_600, reported)
    assert {b.kind.name for b in backlogs} == reported.keys()
    for backlog in backlogs:
        assert backlog.observations == pytest.approx(3_600 * reported[backlog.kind.name], rel=0.05), backlog.name
        assert backlog.window_rows > 0, backlog.name
    # Of what is told every ten seconds it is the whole city.
    (roads,) = [b for b in backlogs if b.kind.name == "road_flow"]
    assert (roads.reports, roads.entities) == (360, round(10 * reported["road_flow"]))


def test_in_a_city_what_is_compared_is_of_one_round_too():
    backlogs = [BACKLOGS["road_flow"], BACKLOGS["people_count"]]
    of_round = [
        ({"traffic": Cost(10, 1.0, 0, 1.0), "community": Cost(10, 1.0, 0, 1.0)}, (1.5, 1.1)),
        ({"traffic": Cost(10, 4.0, 0, 1.0), "community": Cost(10, 2.0, 0, 1.0)}, (4.5, 2.1)),
    ]
    rounds = [
        (plain, {name: replace(plain[name], cpu_s=s) for name, s in zip(plain, whole, strict=True)})
        for plain, whole in of_round
    ]
    document = in_a_city.summary(backlogs, rounds)
    assert document["ratios"] == [1.3, 1.1]
    assert document["ratio"] == 1.2
    assert [(d["name"], d["plain_ns"], d["ns"]) for d in document["domains"]] == [
        ("traffic", 250_000_000, 300_000_000),
        ("community", 150_000_000, 160_000_000),
    ]
    machine = {"cores": 2, "architecture": "x86_64", "python": "3.11"}
    text = in_a_city.as_markdown({"machine": machine, "load_average": 1.0, "rounds": 2, **document})
    assert "cost 1.20 times the plain windows at once** (by round: 1.30, 1.10; 1,728 observations)" in text


def test_the_table_of_a_city_is_of_the_committed_figures():
    wanted = in_a_city.as_markdown(json.loads(in_a_city.JSON_FILE.read_text()))
    assert read_part(page.PAGE, in_a_city.MARK) == wanted
