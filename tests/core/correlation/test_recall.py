"""A hundred thousand signals at the places where grids go wrong: what is near is found, all of it and nothing else."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from services.core.correlation.grid import Grid
from services.core.correlation.space import PlaceIndex
from services.core.geometry import EARTH_RADIUS_M
from services.core.signals import Signal
from tests.core.correlation.city import NOON, crowding

CLUSTER = 200
RADII = (50.0, 500.0, 3_000.0, 15_000.0, 2_000_000.0)
SIGNAL = crowding()
Floats = NDArray[np.float64]


@dataclass
class Entry:
    """A signal somewhere."""

    number: int
    place: tuple[float, float]
    side: int = 0
    signal: Signal = SIGNAL


def centres(radius_m: float, chance: np.random.Generator) -> Floats:
    """A hundred: poles and beside them, the antimeridian, the equator, borders and corners of cells, anywhere."""
    grid: Any = Grid(radius_m)
    found = [(90.0, 0.0), (-90.0, 123.0), (0.0, 180.0), (0.0, -180.0), (0.0, 0.0)]
    for _ in range(19):
        beside_deg = chance.uniform(0.0, 6.0) * np.degrees(radius_m / EARTH_RADIUS_M)
        found.append(
            (float(np.clip(90.0 - beside_deg, -90.0, 90.0)) * chance.choice([-1, 1]), chance.uniform(-180, 180))
        )
        found.append((chance.uniform(-89, 89), chance.choice([-180.0, 180.0])))
        band = int(chance.integers(0, grid._bands))
        border_deg = band * grid._height_deg - 90.0
        column = int(chance.integers(0, grid._columns(band)))
        found.append((border_deg, column * 360.0 / grid._columns(band) - 180.0))
        found.append((border_deg, chance.uniform(-180, 180)))
        found.append((float(np.degrees(np.arcsin(chance.uniform(-1, 1)))), chance.uniform(-180, 180)))
    return np.array(found)


def around(centre: Floats, radius_m: float, chance: np.random.Generator) -> Floats:
    """Places evenly spread over a disk of four and a half radii, the centre itself among them; degrees, (places, 2)."""
    angle = min(4.5 * radius_m / EARTH_RADIUS_M, np.pi) * np.sqrt(chance.random(CLUSTER))
    angle[0] = 0.0
    bearing = chance.uniform(0.0, 2.0 * np.pi, CLUSTER)
    north, east = np.radians(centre)
    sine = np.sin(north) * np.cos(angle) + np.cos(north) * np.sin(angle) * np.cos(bearing)
    latitude = np.arcsin(np.clip(sine, -1.0, 1.0))
    turn = np.arctan2(np.sin(bearing) * np.sin(angle) * np.cos(north), np.cos(angle) - np.sin(north) * sine)
    longitude = (np.degrees(east + turn) + 180.0) % 360.0 - 180.0
    return np.stack([np.degrees(latitude), longitude], axis=1)


def pairs_by_chord(places: Floats, radius_m: float) -> set[tuple[int, int]]:
    """Every pair within the radius, by the straight line between the points: another formula than ours."""
    north, east = np.radians(places).T
    points = np.stack([np.cos(north) * np.cos(east), np.cos(north) * np.sin(east), np.sin(north)], axis=1)
    chord = np.sqrt(((points[:, None, :] - points[None, :, :]) ** 2).sum(axis=2))
    rows, columns = np.nonzero(chord <= 2.0 * np.sin(radius_m / EARTH_RADIUS_M / 2.0))
    return set(zip(rows.tolist(), columns.tolist(), strict=True))


@pytest.mark.parametrize("radius_m", RADII)
def test_twenty_thousand_signals_find_all_that_is_near_and_nothing_else(radius_m):
    chance = np.random.default_rng(11)
    found = 0
    index = PlaceIndex[Entry](radius_m)
    clusters = [around(centre, radius_m, chance) for centre in centres(radius_m, chance)]
    assert sum(map(len, clusters)) == 20_000
    for number, places in enumerate(clusters):
        # Clusters may lie over each other: each is a city of its own.
        city = replace(SIGNAL, city=f"city-{number}")
        entries = [Entry(i, (place[0], place[1]), signal=city) for i, place in enumerate(places.tolist())]
        for entry in entries:
            index.add(entry)
        near = {
            (entry.number, other.number)
            for entry in entries
            for other, _ in index.near(entry.place, city.city, {0}, NOON, NOON)
        }
        expected = pairs_by_chord(places, radius_m)
        assert near == expected
        found += len(expected)
    # Each has itself, and some others.
    assert found > 5 * 20_000
    for number, places in enumerate(clusters):
        city = replace(SIGNAL, city=f"city-{number}")
        entry = Entry(0, (float(places[0, 0]), float(places[0, 1])), signal=city)
        before = [other.number for other, _ in index.near(entry.place, city.city, {0}, NOON, NOON)]
        index.remove(entry)
        after = [other.number for other, _ in index.near(entry.place, city.city, {0}, NOON, NOON)]
        assert sorted(before) == sorted([0, *after])


@pytest.mark.parametrize("radius_m", RADII)
def test_no_cell_is_looked_at_twice_and_few_are(radius_m):
    chance = np.random.default_rng(5)
    grid = Grid(radius_m)
    for latitude, longitude in centres(radius_m, chance).tolist():
        cells = grid.around((latitude, longitude))
        assert len(set(cells)) == len(cells) <= 40
        assert grid.cell((latitude, longitude)) in cells


def test_a_grid_of_less_than_a_metre_is_refused():
    with pytest.raises(ValueError, match=r"radius 0\.5 m must be 1 or more"):
        Grid(0.5)
