"""A hundred thousand signals in one city as large as the Earth: the graph holds the links of brute force, no others."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from itertools import combinations_with_replacement

import h3
import numpy as np
import pytest
from numpy.typing import NDArray

from services.core.correlation.bond import Bond
from services.core.correlation.graph import LinkGraph
from services.core.correlation.rule import Rule
from services.core.geometry import EARTH_RADIUS_M
from services.core.signals import Signal
from services.runtime.records import SIGNAL_KEY_RESOLUTION
from tests.core.correlation.city import MINUTE, NOON, congestion, crowding
from tests.core.correlation.language import CROWD, JAM, LOUD, noise, rule
from tests.core.correlation.test_recall import Floats, around, centres

RADIUS_M = 500.0
SIGNALS = 100_000
Ints = NDArray[np.int64]
Links = dict[tuple[int, int], float]  # by the numbers of two signals, the smaller first: how far apart they are in m

# Three radii and four times, two of them within one radius; of crowd and jam, and of jam and loud, those of the rule.
RULE: Rule = rule(
    "everywhere",
    *(CROWD, JAM, LOUD),
    bonds=(Bond("jam", "jam", 120.0, 1800), Bond("loud", "crowd", 500.0, 3600), Bond("loud", "loud", 1_500.0, 0)),
)
SIDES = ("crowd", "jam", "loud")
MADE = (crowding(), congestion(), noise("noise_burst", "mic", NOON, 0.0))
LENGTHS_MS = np.array([made.end_ms - made.start_ms for made in MADE])


def borders(chance: np.random.Generator) -> Iterator[tuple[float, float]]:
    """Corners of the cells by which signals are spread over partitions, middles of their sides, and pentagons."""
    for _ in range(60):
        north, east = float(np.degrees(np.arcsin(chance.uniform(-1, 1)))), float(chance.uniform(-180, 180))
        corners = h3.cell_to_boundary(h3.latlng_to_cell(north, east, SIGNAL_KEY_RESOLUTION))
        yield corners[0]
        # A cell over the antimeridian has no such midpoint.
        if abs(corners[0][1] - corners[1][1]) < 1.0:
            yield (corners[0][0] + corners[1][0]) / 2.0, (corners[0][1] + corners[1][1]) / 2.0
    for pentagon in h3.get_pentagons(SIGNAL_KEY_RESOLUTION):
        yield h3.cell_to_boundary(pentagon)[0]


def places(chance: np.random.Generator) -> Floats:
    """Degrees, (signals, 2), in clusters at poles, antimeridian, borders of cells and anywhere, in no order."""
    middles = [*centres(RADIUS_M, chance).tolist(), *borders(chance)]
    while len(middles) * 200 < SIGNALS:
        middles.append((float(np.degrees(np.arcsin(chance.uniform(-1, 1)))), float(chance.uniform(-180, 180))))
    found = np.concatenate([around(np.array(middle), RADIUS_M, chance) for middle in middles])
    return chance.permutation(found)


def signals_at(where: Floats, sides: Ints, starts_ms: Ints) -> Iterator[Signal]:
    """One of each place, side and start; its id is its number."""
    for number, (north, east) in enumerate(where.tolist()):
        side, start_ms = int(sides[number]), int(starts_ms[number])
        made = replace(MADE[side], id=str(number), latitude=north, longitude=east)
        yield replace(made, start_ms=start_ms, end_ms=start_ms + int(LENGTHS_MS[side]))


def links_by_chord(where: Floats, sides: Ints, starts_ms: Ints) -> Links:
    """Every pair that its bond links, by the straight line between its points: another formula than ours.

    All pairs whose latitudes differ by the radius at most are compared: none that differ by more is so near.
    """
    north, east = np.radians(where).T
    points = np.stack([np.cos(north) * np.cos(east), np.cos(north) * np.sin(east), np.sin(north)], axis=1)
    ends_ms = starts_ms + LENGTHS_MS[sides]
    bonds = {frozenset((bond.first, bond.second)): bond for bond in RULE.all_bonds}
    found: Links = {}
    for one, other in combinations_with_replacement(range(3), 2):
        bond = bonds.get(frozenset((SIDES[one], SIDES[other])))
        if bond is None:
            continue
        rows, columns = (np.flatnonzero(sides == side) for side in (one, other))
        rows, columns = rows[np.argsort(north[rows])], columns[np.argsort(north[columns])]
        reach, chord = bond.radius_m / EARTH_RADIUS_M, 2.0 * np.sin(bond.radius_m / EARTH_RADIUS_M / 2.0)
        for begin in range(0, len(rows), 100):
            block = rows[begin : begin + 100]
            bounds = north[block[0]] - 1.01 * reach, north[block[-1]] + 1.01 * reach
            some = columns[slice(*np.searchsorted(north[columns], bounds))]
            apart = np.sqrt(sum((points[block, axis, None] - points[some, axis]) ** 2 for axis in range(3)))
            last_start_ms = np.maximum(starts_ms[block, None], starts_ms[some])
            first_end_ms = np.minimum(ends_ms[block, None], ends_ms[some])
            linked = (apart <= chord) & (last_start_ms - first_end_ms <= bond.within_ms) & (block[:, None] != some)
            for a, b in zip(*np.nonzero(linked), strict=True):
                pair = int(block[a]), int(some[b])
                found[min(pair), max(pair)] = float(2.0 * EARTH_RADIUS_M * np.arcsin(apart[a, b] / 2.0))
    return found


@pytest.fixture(scope="module")
def city() -> tuple[Floats, Links, Links]:
    """Places of the signals, the links of the graph and those of brute force."""
    chance = np.random.default_rng(17)
    where = places(chance)
    sides = chance.choice(3, len(where), p=(0.45, 0.5, 0.05))
    starts_ms = NOON + chance.integers(0, 36, len(where)) * 5 * MINUTE
    graph = LinkGraph(RULE)
    assert all(graph.put(signal) for signal in signals_at(where, sides, starts_ms))
    both_ways = {(int(i), int(other)): m for i, node in graph.nodes.items() for other, m in node.neighbours.items()}
    links = {pair: metres for pair, metres in both_ways.items() if pair[0] < pair[1]}
    assert both_ways == links | {(b, a): metres for (a, b), metres in links.items()}
    return where, links, links_by_chord(where, sides, starts_ms)


def test_the_links_are_those_of_brute_force(city):
    where, found, expected = city
    assert len(where) == SIGNALS
    assert found.keys() == expected.keys()
    assert len(found) > SIGNALS
    assert max(abs(metres - expected[pair]) for pair, metres in found.items()) < 1e-3


def test_they_lie_over_poles_the_antimeridian_and_borders_of_cells(city):
    where, found, _ = city
    one, other = (where[list(numbers)] for numbers in zip(*found, strict=True))
    turn = np.abs(one[:, 1] - other[:, 1])
    assert np.count_nonzero((turn > 359.0) & (np.abs(one[:, 0]) < 89.0)) > 200
    for pole in (90.0, -90.0):
        over = (np.abs(one[:, 0] - pole) < 0.01) & (np.abs(turn - 180.0) < 60.0)
        assert np.count_nonzero(over) > 20
    cells = ([h3.latlng_to_cell(*place, SIGNAL_KEY_RESOLUTION) for place in side.tolist()] for side in (one, other))
    assert sum(a != b for a, b in zip(*cells, strict=True)) > 2_000
