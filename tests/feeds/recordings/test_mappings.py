"""A mapping that is wrong says where, before anything is read; those that come with the city fit their kinds."""

from __future__ import annotations

import pytest

from services.cli.domains import find_kind
from services.feeds.recordings.formats import find_format, mapping_names
from services.feeds.recordings.mapped import check_mapping
from services.feeds.recordings.mapping import BUILT_IN, MappingError, parse_mapping, read_mapping
from tests.feeds.recordings.reading import WIDE, read, write


def document(**changed: object) -> dict[str, object]:
    base = {
        "about": "x",
        "time": {"columns": ["t"]},
        "kinds": {"traffic.road_flow": {"entity": "{id}", "columns": {"speed_kmh": "v"}}},
    }
    return base | changed


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        ({"colour": 1}, r"colour = 1: is not known; there are about, time"),
        ({"time": {}}, r"time = \(\): must tell either columns, or start and step_s"),
        ({"time": {"columns": ["t"], "zone": "Mars"}}, r"time.zone = 'Mars': is no time zone"),
        ({"time": {"columns": "t"}}, r"time.columns = 't': must be a list of texts"),
        ({"form": "xml"}, r"form = 'xml': must be csv or json"),
        ({"delimiter": ""}, r"delimiter = '': must be one character"),
        ({"encoding": "runes"}, r"encoding = 'runes': is not known"),
        ({"kinds": {}}, r"kinds = '': must tell at least one kind"),
        ({"kinds": {"a.b": {"columns": {}}}}, r"kinds.a.b = '': missing 1 required positional argument: 'entity'"),
        ({"kinds": {"a.b": {"entity": "x", "columns": {"c": {"factor": 2}}}}}, r"must tell either column or value"),
        (
            {"kinds": {"a.b": {"entity": "x", "columns": {"c": {"column": "v", "factor": "2"}}}}},
            r"must be of type float",
        ),
    ],
)
def test_a_mapping_that_is_wrong_says_where(changed, told):
    with pytest.raises(MappingError, match=told):
        parse_mapping(document(**changed))


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("speed_mph = 'v'", r"columns.speed_mph = 'v': is not a column of traffic.road_flow; there are flow_veh_h"),
        ("speed_kmh = { value = 'fast' }", r"columns.speed_kmh = 'fast': must be a number"),
        ("speed_kmh = 'v'\n[kinds.'security.camera_event']", r"missing 1 required positional argument: 'entity'"),
    ],
)
def test_a_mapping_that_does_not_fit_its_kind_says_where(tmp_path, line, told):
    text = "about = 'x'\n[time]\ncolumns = ['t']\n[kinds.'traffic.road_flow']\nentity = '{id}'\n"
    form = write(tmp_path / "m.toml", [text, "[kinds.'traffic.road_flow'.columns]", line])
    with pytest.raises(ValueError, match=told):
        read("traffic.road_flow", write(tmp_path / "a.csv", ["t,id,v"]), form=str(form))


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ('"loop-{column}"', '"loop-{"', r"entity = 'loop-\{': "),
        ('"loop-{column}"', '"loop-{id}"', r"of a wide table may name \{column\} and \{file\} only"),
        ("2024-06-03T03:00:00", "2024-03-10T02:30:00", r"time.start = '2024-03-10T02:30:00': is no time"),
        ("period_s = 300", "period_s = 3600", r"period_s = 3600: is longer than every window of traffic.road_flow"),
        ("period_s = 300", "pattern = '('\nentity_id = 'x'", r"pattern = '\(': is no regular expression"),
        ("period_s = 300", "pattern = '.'\nentity_id = '\\2'", r"entity_id = .*: names no group of the pattern"),
    ],
)
def test_what_a_mapping_says_of_ids_and_times_is_looked_at_before_anything_is_read(tmp_path, old, new, told):
    assert old in WIDE
    form = write(tmp_path / "wide.toml", WIDE.replace(old, new).splitlines())
    with pytest.raises(ValueError, match=told):
        read("traffic.road_flow", write(tmp_path / "a.csv", ["1,2", "10,20"]), form=str(form))


@pytest.mark.parametrize("name", mapping_names())
def test_every_mapping_that_comes_with_the_city_fits_its_kinds(name):
    mapping = read_mapping(BUILT_IN / f"{name}.toml")
    assert find_format(name, ()).kinds == tuple(mapping.kinds)
    for kind in mapping.kinds:
        check_mapping(mapping, kind, find_kind(kind)[1])
