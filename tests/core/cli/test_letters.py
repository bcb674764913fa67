"""How people name dead letters and moments, and how bytes are shown."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from services.cli.letter_text import hex_lines
from services.cli.letters import Choice, Place, read_moment, read_place

NOW = datetime(2026, 6, 1, 12, 0, tzinfo=UTC)


def test_an_id_is_the_place_of_a_record():
    assert read_place("urban.traffic.road_flow.v1/2/17") == Place("urban.traffic.road_flow.v1", 2, 17)
    assert str(Place("urban.traffic.road_flow.v1", 2, 17)) == "urban.traffic.road_flow.v1/2/17"


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("17", "'17' is no id of a dead letter"),
        ("urban.traffic.road_flow.v1/2/-1", "is no id of a dead letter"),
        ("urban.traffic.windows.v1/2/17", "'urban.traffic.windows.v1' is no topic of observations"),
    ],
)
def test_other_ids_are_refused_with_the_reason(text: str, reason: str):
    with pytest.raises(ValueError, match=reason):
        read_place(text)


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("2026-06-01T10:00:00Z", datetime(2026, 6, 1, 10, tzinfo=UTC)),
        ("2026-06-01T22:00:00+12:00", datetime(2026, 6, 1, 10, tzinfo=UTC)),
        ("2026-06-01 10:00", datetime(2026, 6, 1, 10, tzinfo=UTC)),
        ("90m", datetime(2026, 6, 1, 10, 30, tzinfo=UTC)),
        ("2d", datetime(2026, 5, 30, 12, tzinfo=UTC)),
    ],
)
def test_a_moment_is_a_time_or_so_long_ago(text: str, moment: datetime):
    assert read_moment(text, NOW) == moment


def test_only_open_ones_is_no_choice_yet():
    assert Choice(open_only=True).is_empty
    assert not Choice(domain="traffic").is_empty


def test_bytes_are_shown_with_offset_numbers_and_letters():
    assert hex_lines(b"A" * 16 + b"\x00b") == [
        "000000  " + "41 " * 16 + " " + "A" * 16,
        "000010  00 62" + " " * 43 + " .b",
    ]
