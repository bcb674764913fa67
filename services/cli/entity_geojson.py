"""Entities from GeoJSON (RFC 7946): a feature is an entity, its properties are its attributes."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from services.cli.entity_files import IDS, Fault, Found, UnreadableFileError
from services.core.shapes import (
    Point,
    Positions,
    largest,
    longest,
    middle_of_line,
    middle_of_points,
    middle_of_polygon,
)

# RFC 7946, 4: the one coordinate reference system, and what older files call it.
_WGS84 = ("urn:ogc:def:crs:OGC:1.3:CRS84", "urn:ogc:def:crs:OGC::CRS84", "EPSG:4326", "urn:ogc:def:crs:EPSG::4326")


class _GeometryError(ValueError):
    """What is wrong with a geometry: the field, its value, the reason."""


def read_geojson(text: str, id_property: str = "") -> Iterator[Found]:
    """The features of a file. UnreadableFileError where it is no GeoJSON of features in degrees of WGS 84.

    The id is that of the feature, or a property: `id_property`, or entity_id, or id.
    """
    try:
        document = json.loads(text)
    except (json.JSONDecodeError, RecursionError) as error:
        raise UnreadableFileError(f"is no JSON: {error}") from None
    for number, feature in enumerate(_features(document), start=1):
        yield _read_feature(f"feature {number}", feature, id_property)


def _features(document: Any) -> Sequence[Any]:
    if not isinstance(document, dict) or document.get("type") not in ("FeatureCollection", "Feature"):
        raise UnreadableFileError('is no GeoJSON of features: "type" must be FeatureCollection or Feature')
    _check_system(document.get("crs"))
    if document["type"] == "Feature":
        return [document]
    features = document.get("features")
    if not isinstance(features, list):
        raise UnreadableFileError('is no FeatureCollection: "features" must be an array')
    return features


def _check_system(crs: Any) -> None:
    """Coordinates of another system would lie somewhere else, without a word."""
    properties = crs.get("properties") if isinstance(crs, dict) else None
    name = properties.get("name") if isinstance(properties, dict) else None
    if crs is not None and name not in _WGS84:
        told = json.dumps(crs)[:100]
        raise UnreadableFileError(f'"crs" is {told}: RFC 7946 knows degrees of WGS 84 only; convert the file first')


def _read_feature(place: str, feature: Any, id_property: str) -> Found:
    if not isinstance(feature, dict) or feature.get("type") != "Feature":
        return Found(place, "", None, {}, (Fault(place, "type", _shown(feature), "must be a Feature"),))
    properties = feature.get("properties") or {}
    if not isinstance(properties, dict):
        return Found(place, "", None, {}, (Fault(place, "properties", _shown(properties), "must be an object"),))
    facts = dict(properties)
    entity_id, faults = _read_id(place, feature, facts, id_property)
    point = None
    try:
        point = _point(feature.get("geometry"))
    except _GeometryError as error:
        faults.append(Fault(place, *error.args))
    return Found(place, entity_id, point, facts, tuple(faults))


def _read_id(
    place: str, feature: Mapping[str, Any], facts: dict[str, Any], id_property: str
) -> tuple[str, list[Fault]]:
    """The id, which is then no other fact as well."""
    if id_property:
        told = facts.pop(id_property, None)
    elif feature.get("id") is not None:
        told = feature["id"]
    else:
        told = next((facts.pop(name) for name in IDS if facts.get(name) is not None), None)
    if isinstance(told, str | int | float) and not isinstance(told, bool):
        # 7.0 is written for 7 by who has nothing but floats.
        return (f"{told:.15g}" if isinstance(told, float) else str(told)), []
    wanted = id_property or f"id, or property {' or '.join(IDS)}"
    return "", [Fault(place, "id", "" if told is None else _shown(told), f"there must be a text or a number: {wanted}")]


def _point(geometry: Any) -> Point | None:
    if geometry is None:
        return None
    kind = geometry.get("type") if isinstance(geometry, dict) else geometry
    if not isinstance(kind, str) or kind not in _SHAPES:
        raise _GeometryError("geometry.type", _shown(kind), f"must be {', '.join(_SHAPES)}")
    return _SHAPES[kind](geometry.get("coordinates"))


def _positions(told: Any, fewest: int) -> Positions:
    if not isinstance(told, list) or len(told) < fewest:
        raise _GeometryError("geometry.coordinates", _shown(told), f"must be {fewest} positions or more")
    return np.array([_position(position) for position in told], np.float64)


def _position(told: Any) -> tuple[float, float]:
    numbers = isinstance(told, list) and len(told) >= 2 and all(_is_number(number) for number in told)
    if not numbers:
        raise _GeometryError("geometry.coordinates", _shown(told), "a position is longitude and latitude")
    longitude, latitude = told[:2]
    for name, value, most in (("longitude", longitude, 180), ("latitude", latitude, 90)):
        if not -most <= value <= most:
            raise _GeometryError("geometry.coordinates", _shown(told), f"{name} must be -{most} to {most} degrees")
    return float(longitude), float(latitude)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and -math.inf < value < math.inf


def _rings(told: Any) -> list[Positions]:
    if not isinstance(told, list) or not told:
        raise _GeometryError("geometry.coordinates", _shown(told), "must be one ring or more")
    rings = [_positions(ring, 4) for ring in told]
    for ring in rings:
        if (ring[0] != ring[-1]).any():
            raise _GeometryError("geometry.coordinates", _shown(ring[-1].tolist()), "must be the first of its ring too")
    return rings


def _parts(told: Any) -> list[Any]:
    if not isinstance(told, list) or not told:
        raise _GeometryError("geometry.coordinates", _shown(told), "must be one part or more")
    return told


_SHAPES: Mapping[str, Callable[[Any], Point]] = {
    "Point": lambda told: Point(*reversed(_position(told))),
    "MultiPoint": lambda told: middle_of_points(_positions(told, 1)),
    "LineString": lambda told: middle_of_line(_positions(told, 2)),
    "MultiLineString": lambda told: middle_of_line(longest([_positions(part, 2) for part in _parts(told)])),
    "Polygon": lambda told: middle_of_polygon(_rings(told)),
    "MultiPolygon": lambda told: middle_of_polygon(largest([_rings(part) for part in _parts(told)])),
}


def _shown(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)[:100]
