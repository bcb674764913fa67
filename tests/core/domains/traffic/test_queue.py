"""Queues along a chain of segments, and the junctions that they block."""

from __future__ import annotations

import math

import numpy as np
import pytest

from services.traffic.indices.queue import FULL_SHARE, find_queues, queued_share

LENGTH_M = np.array([100.0, 200.0, 300.0, 400.0])


def queues(*share: float):
    return find_queues(np.array(share), LENGTH_M)


def test_a_queue_within_its_segment_blocks_nobody():
    found = queues(0.0, 0.0, 0.0, 0.5)
    assert found.length_m.tolist() == [0, 0, 0, 200]
    assert not found.spills_back.any()


def test_a_queue_goes_on_through_full_segments_to_its_head():
    found = queues(0.0, 0.5, 1.0, 1.0)
    assert found.length_m.tolist() == [0, 0, 0, 800]
    assert found.spills_back.tolist() == [False, False, True, True]


def test_a_segment_that_is_not_full_parts_two_queues():
    found = queues(0.0, 0.5, 0.5, 1.0)
    assert found.length_m.tolist() == [0, 100, 0, 550]
    assert found.spills_back.tolist() == [False, False, False, True]


@pytest.mark.parametrize(("share", "spills"), [(FULL_SHARE, True), (FULL_SHARE - 0.001, False)])
def test_a_segment_is_full_from_its_share_on(share, spills):
    assert bool(queues(0.0, 0.0, 0.4, share).spills_back[3]) is spills


def test_a_queue_at_the_upper_end_spills_out_of_what_is_seen_and_nothing_is_told_of_it():
    assert not queues(1.0, 0.0, 0.0, 0.0).spills_back.any()


def test_what_is_not_known_ends_a_queue():
    found = queues(1.0, 1.0, math.nan, 1.0)
    assert found.length_m.tolist() == [0, 300, 0, 400]


def test_chains_side_by_side_are_each_for_themselves():
    both = find_queues(np.array([[0.0, 0.0, 0.5, 1.0], [0.0, 0.0, 0.0, 1.0]]), LENGTH_M)
    assert both.length_m[:, 3].tolist() == [550, 400]
    assert both.spills_back[:, 3].tolist() == [True, False]


def test_the_queued_share_lies_between_free_flow_and_queue():
    found = queued_share(np.array([10.0, 20.0, 70.0, 120.0, 130.0]), np.array(20.0), np.array(120.0))
    assert found.tolist() == [0.0, 0.0, 0.5, 1.0, 1.0]
