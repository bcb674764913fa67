"""Where traffic is measured: streets, a motorway, platforms and garages."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from services.feeds.scenario.group import Group
from services.feeds.scenario.sites.streets import Streets, cabinets_of
from services.traffic.domain import PARKING, RAIL_CALL, ROAD_FLOW

STATION_EVERY_M = 500.0
# The motorway from the southern edge: between two streets.
SOUTH_M = 600.0
# One in so many streets is full at its peak every working day.
ONE_BOTTLENECK_IN = 50


def groups(streets: Streets, chance: np.random.Generator) -> Iterator[Group]:
    """Those of traffic."""
    yield _streets(streets, chance)
    yield _motorway(streets)
    yield _platforms(streets, chance)
    yield _garages(streets, chance)


def _streets(streets: Streets, chance: np.random.Generator) -> Group:
    n = len(streets.middles)
    bottleneck = np.zeros(n)
    bottleneck[chance.choice(n, max(1, n // ONE_BOTTLENECK_IN), replace=False)] = 1.0
    return Group(
        "streets",
        "traffic",
        ROAD_FLOW,
        "road_segment",
        tuple(f"street-{i:04d}" for i in range(n)),
        streets.middles,
        period_s=60,
        numbers={
            "free_flow_speed_kmh": chance.choice([40.0, 50.0, 60.0], n),
            "lanes": np.full(n, 2.0),
            "observations_per_minute": np.ones(n),
        },
        labels={
            "road": tuple(f"road-{i // streets.blocks:03d}" for i in range(n)),
            "cabinet": cabinets_of(streets.middles),
        },
        traits={"peak_veh_h": chance.uniform(700.0, 1_700.0, n), "bottleneck": bottleneck},
    )


def _motorway(streets: Streets) -> Group:
    """From west to east through the south, its stations in the order of driving, each with the name of the next one."""
    east = np.arange(-streets.half_m, streets.half_m, STATION_EVERY_M)
    n = len(east)
    ids = tuple(f"m1-east~km{i * STATION_EVERY_M / 1000:04.1f}" for i in range(n))
    return Group(
        "motorway",
        "traffic",
        ROAD_FLOW,
        "road_segment",
        ids,
        np.stack((np.full(n, SOUTH_M - streets.half_m), east), axis=1),
        period_s=60,
        numbers={
            "free_flow_speed_kmh": np.full(n, 100.0),
            "lanes": np.full(n, 3.0),
            "observations_per_minute": np.ones(n),
            "incident_speed_kmh": np.full(n, 40.0),
            # Two of the three ways must agree: one alone is wrong too often on a road with rush hours.
            "incident_votes": np.full(n, 2.0),
        },
        labels={"downstream_id": (*ids[1:], ""), "road": ("m1-east",) * n},
        traits={"peak_veh_h": np.full(n, 3_900.0), "bottleneck": np.zeros(n)},
    )


def _platforms(streets: Streets, chance: np.random.Generator) -> Group:
    """Two at each station."""
    n = len(streets.stations)
    ids = tuple(f"line-{streets.station_lines[i]}-{i:03d}-{way}" for i in range(n) for way in ("up", "down"))
    return Group(
        "platforms",
        "traffic",
        RAIL_CALL,
        "platform",
        ids,
        np.repeat(streets.stations, 2, axis=0),
        period_s=0,
        labels={"line": tuple(f"line-{name}" for name in streets.station_lines for _ in range(2))},
        traits={"offset_s": chance.integers(0, 300, 2 * n).astype(np.float64)},
    )


def _garages(streets: Streets, chance: np.random.Generator) -> Group:
    """Beside every second station."""
    at = streets.stations[::2] + np.array([90.0, 120.0])
    n = len(at)
    spaces = chance.integers(200, 900, n).astype(np.float64)
    return Group(
        "garages",
        "traffic",
        PARKING,
        "garage",
        tuple(f"garage-{i:03d}" for i in range(n)),
        at,
        period_s=0,
        traits={"spaces": spaces, "usual_share": chance.uniform(0.45, 0.6, n)},
    )
