"""Where people are counted, pass gates, and what areas they ask something of the city from."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from services.community.domain import PASSAGE, PEOPLE_COUNT, SERVICE_REQUEST
from services.feeds.scenario.group import Group
from services.feeds.scenario.sites.places import buildings_of, scenic_of, squares_of
from services.feeds.scenario.sites.streets import Streets

CATEGORIES = ("odour", "noise", "street", "flooding")
GATES_EACH = 3


def groups(streets: Streets, chance: np.random.Generator) -> Iterator[Group]:
    """Those of the community."""
    at = streets.crossings[::3] + 8.0
    n = len(at)
    yield Group(
        "footfall",
        "community",
        PEOPLE_COUNT,
        "pedestrian_counter",
        tuple(f"footfall-{i:03d}" for i in range(n)),
        at,
        period_s=300,
        traits={"peak_h": chance.uniform(400.0, 1_800.0, n)},
    )
    yield _presence(streets, chance)
    at = np.repeat(buildings_of(streets), GATES_EACH, axis=0)
    n = len(at)
    at = at + 5.0 * (1 + np.arange(n) % GATES_EACH)[:, None]
    yield Group(
        "gates",
        "community",
        PASSAGE,
        "gate",
        tuple(f"gate-{i:03d}" for i in range(n)),
        at,
        period_s=300,
        labels={"building": tuple(f"building-{i // GATES_EACH:03d}" for i in range(n))},
        traits={"peak_h": chance.uniform(60.0, 240.0, n)},
    )
    areas = len(streets.areas)
    yield Group(
        "requests",
        "community",
        SERVICE_REQUEST,
        "request_area",
        tuple(f"{category}:area-{i:02d}" for i in range(areas) for category in CATEGORIES),
        np.repeat(streets.areas, len(CATEGORIES), axis=0),
        period_s=0,
        labels={"category": CATEGORIES * areas},
    )


def _presence(streets: Streets, chance: np.random.Generator) -> Group:
    """Who is there, at moments, and how dense; venues and scenic areas have a capacity."""
    parts = (
        ("square", squares_of(streets), 600.0),
        ("platform", streets.stations, 300.0),
        ("venue", buildings_of(streets)[::2] + 30.0, 500.0),
        ("scenic", scenic_of(streets), 4_000.0),
    )
    sizes = [len(at) for _, at, _ in parts]
    n = sum(sizes)
    what = tuple(name for name, at, _ in parts for _ in at)
    area = np.concatenate([np.full(len(at), m2) for _, at, m2 in parts])
    has_capacity = np.isin(what, ("venue", "scenic"))
    return Group(
        "presence",
        "community",
        PEOPLE_COUNT,
        "people_sensor",
        tuple(f"{name}-{i:03d}" for (name, _, _), size in zip(parts, sizes, strict=True) for i in range(size)),
        np.concatenate([at for _, at, _ in parts]),
        period_s=0,
        numbers={"capacity": np.where(has_capacity, area * 0.5, np.nan)},
        labels={"place": what},
        traits={"area_m2": area, "peak_p_m2": np.where(has_capacity, 0.3, chance.uniform(0.15, 0.4, n))},
    )
