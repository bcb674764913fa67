"""Files of entities: what each row or feature becomes, and every bad one by place, field, value and reason."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.cli.entity_csv import read_csv
from services.cli.entity_files import (
    Fault,
    FileFormat,
    Into,
    UnreadableFileError,
    attribute_name,
    format_of,
    read_entities,
)
from services.cli.entity_geojson import read_geojson
from services.cli.entity_import import MOST_BYTES, batches, read_file
from services.core.validation import BAD_ENTITY_ID
from services.runtime.entities import Entity
from tests.examples import examples

INTO = Into("auckland", "traffic", "road_segment")
SQUARE = [[174.0, -37.0], [174.2, -37.0], [174.2, -36.8], [174.0, -36.8], [174.0, -37.0]]


def of_csv(text: str, into: Into = INTO, id_column: str = "") -> list[Entity | list[Fault]]:
    return [found for _, found in read_entities(read_csv(text.splitlines(keepends=True), id_column), into)]


def feature(geometry: Any = None, **members: Any) -> dict[str, Any]:
    return {"type": "Feature", "id": "one", "geometry": geometry, "properties": {}, **members}


def of_geojson(*features: Any, id_property: str = "", **members: Any) -> list[Entity | list[Fault]]:
    text = json.dumps({"type": "FeatureCollection", "features": features, **members})
    return [found for _, found in read_entities(read_geojson(text, id_property), INTO)]


def texts(found: Entity | list[Fault]) -> list[str]:
    assert isinstance(found, list), found
    return [str(fault) for fault in found]


def position(found: Entity | list[Fault]) -> tuple[float, float]:
    assert isinstance(found, Entity), found
    return found.position.latitude, found.position.longitude


def test_a_line_becomes_an_entity():
    (found,) = of_csv(
        "entity_id,type,name,lat,lon,lanes,post_code,operator,empty\n"
        'seg-1,motorway,"Queen Street, north",-36.8485,174.7633,2,0412,City,\n',
        Into("auckland", "traffic"),
    )
    assert found == Entity(
        name="cities/auckland/domains/traffic/entities/seg-1",
        type="motorway",
        display_name="Queen Street, north",
        position={"latitude": -36.8485, "longitude": 174.7633},
        numbers={"lanes": 2.0},
        labels={"post_code": "0412", "operator": "City"},
    )


def test_a_column_is_of_numbers_where_all_of_its_cells_are():
    one, other = of_csv("id,lanes,zone,labels.floor,numbers.length_m\na,2,4,1,10\nb,,4b,2,1e3\n")
    assert isinstance(one, Entity)
    assert isinstance(other, Entity)
    assert (dict(one.numbers), dict(one.labels)) == ({"lanes": 2.0, "length_m": 10.0}, {"zone": "4", "floor": "1"})
    assert (dict(other.numbers), dict(other.labels)) == ({"length_m": 1000.0}, {"zone": "4b", "floor": "2"})


BAD_LINES = [
    ("id,lat,lon\na,91,0\n", ["line 2: position.latitude = 91.0: must be -90 to 90 degrees"]),
    ("id,lat,lon\na,0,-180.5\n", ["line 2: position.longitude = -180.5: must be -180 to 180 degrees"]),
    ("id,lat,lon\na,north,0\n", ["line 2: lat = north: must be a finite number"]),
    (
        "id,lat,lon\na,nan,inf\n",
        ["line 2: lat = nan: must be a finite number", "line 2: lon = inf: must be a finite number"],
    ),
    ("id,lat,lon\na,,3\n", ["line 2: lat: is missing: a position has both latitude and longitude"]),
    ("id,latitude\na,3\n", ["line 2: longitude: is missing: a position has both latitude and longitude"]),
    ("id,numbers.x\na,two\n", ["line 2: numbers.x = two: must be a finite number"]),
    ("id,x\n,1\n", [f"line 2: entity_id: {BAD_ENTITY_ID}"]),
    ("id\nway/7\n", [f"line 2: entity_id = way/7: {BAD_ENTITY_ID}"]),
    ("id,a b,a?b\nx,1,2\n", ["line 2: a?b = 2.0: has the same name as a b: a_b"]),
    ("id,名称\nx,路\n", ["line 2: labels = 名称: a name must be 1 to 64 letters, digits, '_', '.', ':', '-'"]),
]


@pytest.mark.parametrize(("text", "expected"), BAD_LINES)
def test_a_bad_line_says_what_is_wrong_with_it(text: str, expected: list[str]):
    (found,) = of_csv(text)
    assert texts(found) == expected


def test_a_line_without_a_type_is_refused_and_several_faults_are_all_told():
    (found,) = of_csv("id,lat,lon\na b,95,0\n", Into("auckland", "traffic"))
    assert isinstance(found, list)
    assert [fault.field for fault in found] == ["entity_id", "type", "position.latitude"]


def test_empty_columns_without_a_name_are_passed_over():
    (found,) = of_csv("id,lanes,,\na,2,,\n")
    assert isinstance(found, Entity)
    assert (dict(found.numbers), dict(found.labels), found.HasField("position")) == ({"lanes": 2.0}, {}, False)


def test_lines_are_counted_as_an_editor_counts_them():
    found = of_csv('id,name\na,"two\nlines"\n\nb,x\nb c,y\n')
    assert [isinstance(f, Entity) for f in found] == [True, True, False]
    assert texts(found[2])[0].startswith("line 6: entity_id = b c: ")


def test_the_second_of_an_id_is_refused():
    found = of_csv("id\na\nb\na\n")
    assert texts(found[2]) == ["line 4: entity_id = a: was told of in line 2 already"]


UNREADABLE = [
    ("", "line 1: is empty"),
    ("name,lat\nx,1\n", "line 1: there is no column entity_id or id; there are name, lat"),
    ("id,a,a\nx,1,2\n", "line 1: columns that come twice: 'a'"),
    ("id,a\nx,1\ny\n", "line 3: has 1 cells, and line 1 has 2"),
    ("id,,\na,,\nx,,7\n", "line 3: '7' stands in a column without a name"),
    ('id,a\nx,"1\n', "is no CSV"),
]


@pytest.mark.parametrize(("text", "reason"), UNREADABLE)
def test_a_file_that_is_no_table_is_refused_whole(text: str, reason: str):
    with pytest.raises(UnreadableFileError, match=reason):
        of_csv(text)


def test_the_id_may_stand_in_any_column():
    (found,) = of_csv("site,id\ns-1,7\n", id_column="site")
    assert isinstance(found, Entity)
    assert (found.name.rpartition("/")[2], dict(found.numbers)) == ("s-1", {"id": 7.0})
    with pytest.raises(UnreadableFileError, match="there is no column 'place'"):
        of_csv("id\na\n", id_column="place")


def test_a_feature_becomes_an_entity():
    properties = {"name": "Queen Street", "lanes": 2, "Speed Limit": 50.5, "lit": True, "ref": None, "tags": ["a", 1]}
    (found,) = of_geojson(feature({"type": "Point", "coordinates": [174.7633, -36.8485, 12.0]}, properties=properties))
    assert found == Entity(
        name="cities/auckland/domains/traffic/entities/one",
        type="road_segment",
        display_name="Queen Street",
        position={"latitude": -36.8485, "longitude": 174.7633},
        numbers={"lanes": 2.0, "Speed_Limit": 50.5},
        labels={"lit": "true", "tags": '["a", 1]'},
    )


SHAPES: list[tuple[dict[str, Any], tuple[float, float]]] = [
    ({"type": "LineString", "coordinates": [[0, 0], [0, 2]]}, (1.0, 0.0)),
    ({"type": "MultiPoint", "coordinates": [[0, 0], [2, 4]]}, (2.0, 1.0)),
    ({"type": "MultiLineString", "coordinates": [[[9, 0], [9, 1]], [[0, 0], [0, 2]]]}, (1.0, 0.0)),
    ({"type": "Polygon", "coordinates": [SQUARE]}, (-36.9, 174.1)),
    ({"type": "MultiPolygon", "coordinates": [[[[0, 0], [0.1, 0], [0, 0.1], [0, 0]]], [SQUARE]]}, (-36.9, 174.1)),
]


@pytest.mark.parametrize(("geometry", "expected"), SHAPES, ids=[shape["type"] for shape, _ in SHAPES])
def test_a_shape_lies_where_its_middle_is(geometry: dict[str, Any], expected: tuple[float, float]):
    (found,) = of_geojson(feature(geometry))
    assert position(found) == pytest.approx(expected, abs=1e-6)


def test_a_feature_without_a_geometry_has_no_position():
    (found,) = of_geojson(feature())
    assert isinstance(found, Entity)
    assert not found.HasField("position")


BAD_GEOMETRIES = [
    ({"type": "Point", "coordinates": [174.7, 91]}, "geometry.coordinates = [174.7, 91]: latitude must be -90 to 90"),
    # Written the other way round, as many do: Auckland lies beyond the pole then.
    ({"type": "Point", "coordinates": [-36.8, 174.7]}, "latitude must be -90 to 90 degrees"),
    ({"type": "Point", "coordinates": [181, 0]}, "longitude must be -180 to 180 degrees"),
    ({"type": "Point", "coordinates": [1]}, "a position is longitude and latitude"),
    ({"type": "Point", "coordinates": ["1", "2"]}, "a position is longitude and latitude"),
    ({"type": "Point", "coordinates": [float("nan"), 0]}, "a position is longitude and latitude"),
    ({"type": "Point", "coordinates": [10**400, 0]}, "longitude must be"),
    ({"type": "Point"}, "a position is longitude and latitude"),
    ({"type": "LineString", "coordinates": [[0, 0]]}, "must be 2 positions or more"),
    ({"type": "Polygon", "coordinates": [SQUARE[:4]]}, "must be the first of its ring too"),
    ({"type": "Polygon", "coordinates": [SQUARE[:3]]}, "must be 4 positions or more"),
    ({"type": "Polygon", "coordinates": []}, "must be one ring or more"),
    ({"type": "MultiPolygon", "coordinates": []}, "must be one part or more"),
    ({"type": "GeometryCollection", "geometries": []}, 'geometry.type = "GeometryCollection": must be Point, Multi'),
    ({"type": ["Point"]}, "must be Point, MultiPoint"),
    ([1, 2], "geometry.type = [1, 2]: must be Point"),
]


@pytest.mark.parametrize(("geometry", "reason"), BAD_GEOMETRIES)
def test_a_bad_geometry_says_what_is_wrong_with_it(geometry: Any, reason: str):
    good, found = of_geojson(feature(id="good"), feature(geometry))
    assert isinstance(good, Entity)
    (text,) = texts(found)
    assert text.startswith("feature 2: geometry.")
    assert reason in text


def test_the_id_is_that_of_the_feature_or_a_property():
    found = of_geojson(
        feature(id=17),
        feature(id=None, properties={"entity_id": "p-1", "x": 1}),
        feature(id=None, properties={"id": 2.5}),
        feature(id=8.0),
        feature(id=12345678901234567890),
    )
    ids = ["17", "p-1", "2.5", "8", "12345678901234567890"]
    assert [f.name.rpartition("/")[2] for f in found if isinstance(f, Entity)] == ids
    assert "entity_id" not in found[1].labels  # type: ignore[union-attr]  # the line before tells
    (other,) = of_geojson(feature(properties={"ref": "r-9"}), id_property="ref")
    assert isinstance(other, Entity)
    assert other.name.endswith("/r-9")
    (none,) = of_geojson(feature(id=None))
    assert texts(none) == ["feature 1: id: there must be a text or a number: id, or property entity_id or id"]


STRANGE = [
    (7, "feature 1: type = 7: must be a Feature"),
    ({"type": "Point", "coordinates": [0, 0]}, "must be a Feature"),
    (feature(properties=[1]), "feature 1: properties = [1]: must be an object"),
    (feature(properties={"x": "\ud800"}), "half a character"),
    (feature(properties={"name": "\ud800"}), "half a character"),
    (feature(properties={"type": "\ud800", "x": ["\ud800"]}), "half a character"),
    (feature(properties={"\ud800": 1}), "half a character"),
    (feature(properties={"x": 10**400}), "is a number too large"),
    (feature(id=10**400), "entity_id = 1000"),
]


@pytest.mark.parametrize(("given_feature", "reason"), STRANGE)
def test_what_is_no_feature_is_refused_by_its_place(given_feature: Any, reason: str):
    (found,) = of_geojson(given_feature)
    assert any(reason in text for text in texts(found))


def test_a_file_in_other_coordinates_is_refused_whole():
    crs = {"type": "name", "properties": {"name": "EPSG:2193"}}
    with pytest.raises(UnreadableFileError, match=r"EPSG:2193.*RFC 7946 knows degrees of WGS 84 only"):
        of_geojson(feature(), crs=crs)
    for odd in (
        7,
        {"properties": 7},
        {"type": "link", "properties": {"href": "http://x"}},
        {"properties": {"name": [1]}},
    ):
        with pytest.raises(UnreadableFileError, match="RFC 7946"):
            of_geojson(feature(), crs=odd)
    crs["properties"] = {"name": "urn:ogc:def:crs:OGC:1.3:CRS84"}
    assert isinstance(of_geojson(feature(), crs=crs)[0], Entity)


@pytest.mark.parametrize(
    "text", ["", "{", "[]", '{"type": "Topology"}', '{"type": "FeatureCollection"}', "[" * 100_000]
)
def test_what_is_no_geojson_is_refused_whole(text: str):
    with pytest.raises(UnreadableFileError, match="is no"):
        list(read_geojson(text))


SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5)
FLAT = st.lists(SCALARS, max_size=4) | st.dictionaries(st.text(max_size=5), SCALARS, max_size=4)
JSON = SCALARS | FLAT | st.lists(SCALARS | FLAT, max_size=5)
ODD_FEATURES = st.fixed_dictionaries(
    {},
    optional={
        "type": st.just("Feature") | JSON,
        "id": JSON,
        "properties": JSON,
        "geometry": st.fixed_dictionaries(
            {"type": st.sampled_from(["Point", "Polygon", "LineString"]), "coordinates": JSON}
        )
        | JSON,
    },
)


@examples(200)
@given(st.lists(ODD_FEATURES | JSON, max_size=3))
def test_whatever_stands_there_each_feature_is_an_entity_or_says_why_not(features: list[Any]):
    found = of_geojson(*features)
    assert len(found) == len(features)
    assert all(isinstance(f, Entity) or f for f in found)


@examples(200)
@given(st.text(alphabet='id,ab1.-"\n ', max_size=60))
def test_whatever_stands_in_a_table_each_line_is_an_entity_or_says_why_not(text: str):
    try:
        found = of_csv("id,lat,lon,x\n" + text)
    except UnreadableFileError:
        return
    assert all(isinstance(f, Entity) or f for f in found)


@pytest.mark.parametrize(
    ("column", "name"),
    [("lanes", "lanes"), ("Road Name", "Road_Name"), ("@type", "type"), ("addr:street", "addr:street"), ("m²", "m")],
)
def test_attributes_are_named_after_their_columns(column: str, name: str):
    assert attribute_name(column) == name


def test_formats_are_told_by_the_ending_of_a_name():
    assert [format_of(f"x.{e}") for e in ("csv", "GeoJSON", "json")] == [FileFormat.CSV, *[FileFormat.GEOJSON] * 2]
    with pytest.raises(ValueError, match="--format"):
        format_of("x.shp")


def test_a_file_is_read_with_its_byte_order_mark_and_no_other_encoding(tmp_path: Path):
    good, bad = tmp_path / "good.csv", tmp_path / "bad.csv"
    good.write_bytes("\ufeffid,name\na,Tāmaki\n".encode())
    places, entities, faults = read_file(good, None, INTO, "")
    assert (places, [e.display_name for e in entities], faults) == (["line 2"], ["Tāmaki"], [])
    bad.write_bytes(b"id,name\na,T\xe2maki\n")
    with pytest.raises(UnreadableFileError, match="is no UTF-8 at byte 11"):
        read_file(bad, None, INTO, "")


def test_batches_hold_what_a_call_takes():
    small = [Entity(name=f"e{i}") for i in range(2_500)]
    assert [len(b) for b in batches(small)] == [1_000, 1_000, 500]
    large = [Entity(name=f"e{i}", labels={"x": "y" * 900_000}) for i in range(5)]
    assert [len(b) for b in batches(large)] == [2, 2, 1]
    assert all(sum(e.ByteSize() for e in b) <= MOST_BYTES for b in batches(large))
    assert list(batches([])) == []
