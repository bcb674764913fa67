"""The skeleton of a scenario's city: crossings, streets between them, rail lines with stations, areas of 1 km²."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from services.feeds.scenario.group import Float64Array

BLOCK_M = 400.0
AREA_M = 1_000.0
STATION_EVERY_BLOCKS = 2
# What stands on the street hangs on a power cabinet of its neighbourhood.
CABINET_M = 800.0


@dataclass(frozen=True)
class Streets:
    """Places in metres from the middle of the city, north and east. Shapes: (n, 2)."""

    blocks: int
    crossings: Float64Array
    middles: Float64Array  # of the streets between two crossings
    stations: Float64Array
    station_lines: tuple[str, ...]  # of each station
    areas: Float64Array  # middles of squares of 1 km²

    @property
    def half_m(self) -> float:
        """From the middle to the edge."""
        return self.blocks * BLOCK_M / 2


def streets_of(blocks: int) -> Streets:
    """A grid of so many blocks a side, two rail lines from south to north and two from west to east."""
    half = blocks * BLOCK_M / 2
    line: Float64Array = np.arange(blocks + 1).astype(np.float64) * BLOCK_M - half
    between: Float64Array = (line[:-1] + line[1:]) / 2
    middles = np.concatenate([_pairs(line, between), _pairs(between, line)])
    stops = line[1::STATION_EVERY_BLOCKS]
    first, second = line[blocks // 3], line[2 * blocks // 3]
    stations, names = [], []
    for name, fixed, along_north in (
        ("a", first, True),
        ("b", second, True),
        ("c", first, False),
        ("d", second, False),
    ):
        for stop in stops.tolist():
            stations.append((stop, fixed) if along_north else (fixed, stop))
            names.append(name)
    areas: Float64Array = np.arange(-half + AREA_M / 2, half, AREA_M).astype(np.float64)
    return Streets(blocks, _pairs(line, line), middles, np.array(stations), tuple(names), _pairs(areas, areas))


def _pairs(north: Float64Array, east: Float64Array) -> Float64Array:
    return np.stack(np.meshgrid(north, east, indexing="ij"), axis=-1).reshape(-1, 2)


def cabinets_of(at: Float64Array) -> tuple[str, ...]:
    """The power cabinet of each place. Shape of the places: (n, 2)."""
    return tuple(f"cabinet-{north:g}-{east:g}" for north, east in np.floor(at / CABINET_M).tolist())
