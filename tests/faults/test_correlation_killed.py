"""How the row of the killed correlation counts: without servers."""

from __future__ import annotations

import pytest

from tests.faults.rows.correlation_killed import lost


@pytest.mark.parametrize(
    ("told", "called", "count"),
    [
        ({"a", "b"}, {"a", "b"}, 0),
        ({"a"}, {"a", "b"}, 1),  # a receiver was called, and it does not stand on the topic
        ({"a", "b"}, {"a"}, 1),  # it stands there, and nobody was called
        ({"a"}, {"a"}, 1),
        (set(), set(), 2),
    ],
)
def test_a_notice_is_lost_unless_it_stands_on_the_topic_and_its_receiver_was_called(
    told: set[str], called: set[str], count: int
):
    assert lost({b"v"}, {b"v"}, {"a", "b"}, told, called) == count
    assert lost({b"v", b"w"}, {b"v"}, {"a", "b"}, told, called) == count + 1
