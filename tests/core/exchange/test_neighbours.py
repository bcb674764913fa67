"""The file of neighbours: what it says, and what is refused with key, value and reason."""

from __future__ import annotations

from pathlib import Path

import pytest

from services.correlation.neighbours import load_neighbours
from tests.core.exchange.border import FAR, MIDDLE

WHOLE = f"""
city = "westbank"
forward = true

[[neighbour]]
name = "eastbank"
kafka = "a.east.example:9093,b.east.example:9093"
tls = "/etc/urban/eastbank"
border = ["{MIDDLE:x}"]

[[neighbour]]
name = "southbank"
kafka = "10.0.0.7:9092"
border = ["{FAR:x}"]
"""


def load(folder: Path, text: str) -> object:
    path = folder / "neighbours.toml"
    path.write_text(text)
    return load_neighbours(path)


def test_a_file_says_who_we_are_and_whom_we_have_a_border_with(tmp_path: Path):
    path = tmp_path / "neighbours.toml"
    path.write_text(WHOLE)
    found = load_neighbours(path)
    assert (found.city, found.forward, [n.name for n in found.neighbours]) == (
        "westbank",
        True,
        ["eastbank", "southbank"],
    )
    assert [n.tls for n in found.neighbours] == ["/etc/urban/eastbank", ""]
    assert found.border.holds(MIDDLE)
    assert found.border.holds(FAR)


@pytest.mark.parametrize(
    ("before", "after", "fault"),
    [
        ('city = "westbank"', "", "city = None: must be 1 to 63"),
        ('city = "westbank"', 'city = "West"', "city = 'West': must be 1 to 63"),
        ('"southbank"', '"eastbank"', "neighbour 2: name = 'eastbank': is another one's"),
        ('"southbank"', '"westbank"', "or this city's own"),
        ("forward = true", 'forward = "yes"', "forward = 'yes': must be true or false"),
        ("forward = true", "fowards = true", "fowards = '': is not known; there are city, forward, neighbour"),
        ("tls", "tsl", "neighbour 1: tsl = '': is not known"),
        ('"10.0.0.7:9092"', '"10.0.0.7"', "neighbour 2: kafka = '10.0.0.7': must be host:port"),
        (f'["{FAR:x}"]', "[]", "neighbour 2: border = []: must be a list of H3 cells"),
        (f"{FAR:x}", "8a", "'8a' is no H3 cell"),
        ("[[neighbour]]", "[[neighbor]]", "neighbor = '': is not known"),
        ('city = "westbank"', "city = ", "neighbours.toml: Invalid value"),
    ],
)
def test_a_wrong_one_is_refused_with_file_key_value_and_reason(tmp_path: Path, before, after, fault):
    assert before in WHOLE
    with pytest.raises(ValueError, match=r"neighbours\.toml") as refused:
        load(tmp_path, WHOLE.replace(before, after))
    assert fault in str(refused.value)


def test_a_file_without_neighbours_is_refused(tmp_path: Path):
    with pytest.raises(ValueError, match="there must be a table"):
        load(tmp_path, 'city = "westbank"')
