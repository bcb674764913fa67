"""The sensors of a scenario as entities of the city's register, as messages and as GeoJSON."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any

from services.feeds.scenario.city import City
from services.feeds.scenario.group import Group
from services.runtime.entities import entity_name
from urban.common.v1.entity_pb2 import Entity
from urban.common.v1.geo_pb2 import Position

# So nobody takes an invented sensor for a real one.
SIMULATED = {"simulated": "true"}
# Of a GeoJSON coordinate: 0.1 m.
_DECIMALS = 6


def entities(city: City) -> Iterator[tuple[str, Entity]]:
    """The domain of every sensor and what the register says of it."""
    for group in city.groups.values():
        for i, entity_id in enumerate(group.ids):
            latitude, longitude = (float(values[i]) for values in group.places)
            yield (
                group.domain,
                Entity(
                    name=entity_name(city.name, group.domain, entity_id),
                    type=group.type,
                    display_name=f"{entity_id} (simulated)",
                    position=Position(latitude=latitude, longitude=longitude),
                    numbers=numbers_of(group, i),
                    labels=labels_of(group, i),
                ),
            )


def features(city: City, domain: str) -> Mapping[str, Any]:
    """The sensors of a domain as a FeatureCollection (RFC 7946), for `urban entities import`."""
    return {
        "type": "FeatureCollection",
        "features": [
            _feature(group, i) for group in city.groups.values() if group.domain == domain for i in range(len(group))
        ],
    }


def _feature(group: Group, i: int) -> Mapping[str, Any]:
    latitude, longitude = (round(float(values[i]), _DECIMALS) for values in group.places)
    named = {"type": group.type, "display_name": f"{group.ids[i]} (simulated)"}
    return {
        "type": "Feature",
        "id": group.ids[i],
        "geometry": {"type": "Point", "coordinates": [longitude, latitude]},
        "properties": {**named, **numbers_of(group, i), **labels_of(group, i)},
    }


def numbers_of(group: Group, i: int) -> dict[str, float]:
    """Numbers that are known of a sensor."""
    return {name: float(values[i]) for name, values in group.numbers.items() if not math.isnan(values[i])}


def labels_of(group: Group, i: int) -> dict[str, str]:
    """Words that are known of a sensor."""
    return SIMULATED | {name: told[i] for name, told in group.labels.items() if told[i]}
