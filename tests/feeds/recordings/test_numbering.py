"""Source and number of a frame follow from what it holds, so that whatever is sent again is known as a repetition."""

from __future__ import annotations

import random
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.core.kind import HOUR_MS, MINUTE_MS
from services.core.sources import SPAN, Sources
from services.feeds.recordings import numbering, order
from services.feeds.recordings.block import Block, Names, Refusal, absent
from services.feeds.recordings.numbering import NumberedFrame, Recording, Span, number_frames, step_of
from services.traffic.domain import ROAD_FLOW
from tests.feeds.recordings.reading import read, write

START_MS = 1_780_272_000_000  # 2026-06-01T00:00Z
MINUTES = st.lists(st.integers(0, 5 * SPAN), min_size=1, max_size=60)


def block_of(times_ms: list[int], periods_s: list[int] | None = None) -> Block:
    count = len(times_ms)
    columns = absent(ROAD_FLOW, count) | {"flow_veh_h": np.arange(count, dtype=np.float32)}
    periods = np.array(periods_s or [60] * count, np.int32)
    entity = np.arange(count, dtype=np.uint32) % 3
    return Block(entity, np.array(times_ms, np.int64), periods, np.arange(1, count + 1), columns)


def frames_of(
    blocks: list[Block], span: Span | None = None, refused: list[Refusal] | None = None
) -> list[NumberedFrame]:
    recording = Recording("testville", ROAD_FLOW, "file", "identity", Names(["a", "b", "c"]), blocks)
    return list(number_frames(recording, span or Span(), (refused if refused is not None else []).append))


def number(found: NumberedFrame) -> tuple[str, int]:
    return found.frame.source_id, found.frame.sequence


def content(found: NumberedFrame) -> tuple[object, ...]:
    frame = found.frame
    return (frame.entity_ids, frame.entity.tolist(), frame.time_ms.tolist(), frame.columns["flow_veh_h"].tolist())


@given(MINUTES)
def test_every_observation_is_in_one_frame_whose_step_it_is_of_and_no_two_have_the_same_number(minutes):
    times = sorted(START_MS + minute * MINUTE_MS + 7 for minute in minutes)
    found = frames_of([block_of(times)])
    assert sorted(line for frame in found for line in frame.line.tolist()) == list(range(1, len(times) + 1))
    for frame in found:
        assert (frame.step_ms <= frame.frame.time_ms).all()
        assert (frame.frame.time_ms < frame.step_ms + step_of(ROAD_FLOW)).all()
    assert len({number(frame) for frame in found}) == len(found)
    assert [frame.step_ms for frame in found] == sorted(frame.step_ms for frame in found)


@given(MINUTES, st.integers(1, 7), st.randoms(use_true_random=False))
def test_frames_do_not_depend_on_where_a_reader_cuts(minutes, size, chance: random.Random):
    times = sorted(START_MS + minute * MINUTE_MS for minute in minutes)
    whole = block_of(times)
    pieces = [whole.take(slice(i, i + size)) for i in range(0, len(times), size)]
    assert list(map(content, frames_of(pieces))) == list(map(content, frames_of([whole])))
    assert list(map(number, frames_of(pieces))) == list(map(number, frames_of([whole])))


@given(MINUTES, st.lists(st.tuples(st.integers(0, 5 * SPAN), st.integers(0, 5 * SPAN)), max_size=5))
def test_any_parts_of_it_in_any_order_and_however_often_are_folded_once(minutes, parts):
    times = sorted(START_MS + minute * MINUTE_MS for minute in minutes)
    spans = [Span(START_MS + min(part) * MINUTE_MS, START_MS + (max(part) + 1) * MINUTE_MS) for part in parts]
    sources = Sources()
    folded: list[int] = []
    for span in (*spans, Span()):
        for frame in frames_of([block_of(times)], span):
            if not sources.repeats(*number(frame)):
                folded += frame.line.tolist()
    assert sorted(folded) == list(range(1, len(times) + 1))


def test_a_part_that_is_sent_after_a_later_one_is_no_repetition():
    times = [START_MS + minute * MINUTE_MS for minute in range(10 * SPAN)]
    sources = Sources()
    middle = START_MS + 5 * SPAN * MINUTE_MS
    for span in (Span(from_ms=middle), Span(to_ms=middle)):
        assert not any(sources.repeats(*number(frame)) for frame in frames_of([block_of(times)], span))


def test_a_step_of_many_observations_and_several_periods_has_frames_of_different_sources(monkeypatch):
    monkeypatch.setattr(numbering, "FRAME_ROWS", 4)
    found = frames_of([block_of([START_MS] * 10, [60] * 5 + [30] * 5)])
    assert [len(frame.frame) for frame in found] == [4, 1, 4, 1]
    assert [frame.frame.period_s for frame in found] == [30, 30, 60, 60]
    assert len({number(frame) for frame in found}) == 4


def test_what_is_out_of_order_beyond_the_disorder_of_its_kind_is_told_and_not_lost_in_silence():
    late = START_MS + 10 * MINUTE_MS - ROAD_FLOW.disorder_ms
    refused: list[Refusal] = []
    found = frames_of([block_of([START_MS + 10 * MINUTE_MS, late, late - 1])], refused=refused)
    assert sum(len(frame.frame) for frame in found) == 2
    assert [(r.line, r.field) for r in refused] == [(3, "time")]
    assert "--sort" in refused[0].reason


@given(st.lists(st.integers(0, 500), max_size=200), st.integers(1, 50))
def test_sorted_runs_on_disk_merge_to_the_whole_in_order(minutes, run_rows):
    whole = block_of([START_MS + minute * MINUTE_MS for minute in minutes]) if minutes else None
    pieces = [whole.take(slice(i, i + 13)) for i in range(0, len(minutes), 13)] if whole is not None else []
    found = list(order.sort_blocks(pieces, run_rows))
    times = [time for block in found for time in block.time_ms.tolist()]
    lines = [line for block in found for line in block.line.tolist()]
    assert times == sorted(START_MS + minute * MINUTE_MS for minute in minutes)
    assert sorted(lines) == list(range(1, len(minutes) + 1))
    flows = [flow for block in found for flow in block.columns["flow_veh_h"].tolist()]
    assert [flow + 1 for flow in flows] == lines, "an observation stays together"


def jsonl(path: Path, minutes: range, flow: float = 1.0) -> Path:
    line = '{{"entity_id": "s", "time": "2026-06-01T00:{:02}:00Z", "period_s": 60, "flow_veh_h": {}}}'
    return write(path, [line.format(minute, flow) for minute in minutes])


def test_a_file_is_known_by_what_it_holds_whatever_it_is_called_or_sent_with(tmp_path):
    first, second = jsonl(tmp_path / "a.jsonl", range(10)), jsonl(tmp_path / "b.jsonl", range(20, 30))
    renamed = jsonl(tmp_path / "c.ndjson", range(10))
    alone, both = read("traffic.road_flow", first), read("traffic.road_flow", second, renamed)
    assert alone.numbers < both.numbers
    assert read("traffic.road_flow", jsonl(tmp_path / "d.jsonl", range(10), 2.0)).numbers.isdisjoint(alone.numbers)


def test_a_file_that_is_given_twice_is_told(tmp_path):
    first, second = jsonl(tmp_path / "a.jsonl", range(10)), jsonl(tmp_path / "b.jsonl", range(10))
    with pytest.raises(ValueError, match=r"a\.jsonl is given twice"):
        read("traffic.road_flow", first, second)


def test_a_span_is_of_whole_steps():
    assert step_of(ROAD_FLOW) == MINUTE_MS
    with pytest.raises(ValueError, match=r"--from 2026-06-01T00:00:00.001Z must be a multiple of 1 min"):
        numbering.check_span(Span(from_ms=START_MS + 1), ROAD_FLOW)
    numbering.check_span(Span(START_MS, START_MS + HOUR_MS), ROAD_FLOW)
