"""Where security looks: cameras, zones that they count in, buildings with credentials, areas that calls come from."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from services.feeds.scenario.group import Group
from services.feeds.scenario.sites.places import buildings_of, squares_of
from services.feeds.scenario.sites.streets import Streets, cabinets_of
from services.security.camera_event import CAMERA_EVENT
from services.security.credential_event import CREDENTIAL_EVENT
from services.security.emergency_call import EMERGENCY_CALL

SERVICES = ("police", "fire", "ambulance")
HEARTBEAT_S = 60.0


def groups(streets: Streets, chance: np.random.Generator) -> Iterator[Group]:
    """Those of security."""
    yield _cameras(streets, chance)
    yield _zones(streets, chance)
    yield _systems(streets)
    yield _calls(streets)


def _cameras(streets: Streets, chance: np.random.Generator) -> Group:
    """At every second crossing, and one at each building; those of a neighbourhood hang on one power cabinet."""
    buildings, squares = buildings_of(streets), squares_of(streets)
    at = np.concatenate([streets.crossings[::2] + 12.0, buildings + 15.0, squares + 10.0])
    n = len(at)
    return Group(
        "cameras",
        "security",
        CAMERA_EVENT,
        "camera",
        tuple(f"camera-{i:04d}" for i in range(n)),
        at,
        period_s=0,
        numbers={"heartbeat_s": np.full(n, HEARTBEAT_S)},
        labels={"cabinet": cabinets_of(at)},
        traits={"offset_ms": chance.integers(0, 60_000, n).astype(np.float64)},
    )


def _zones(streets: Streets, chance: np.random.Generator) -> Group:
    """A zone of a camera at each square."""
    at = squares_of(streets)
    n = len(at)
    return Group(
        "zones",
        "security",
        CAMERA_EVENT,
        "camera_zone",
        tuple(f"zone-{i:03d}" for i in range(n)),
        at,
        period_s=0,
        numbers={"area_m2": chance.choice([250.0, 400.0, 600.0], n)},
        traits={"usual_p_m2": chance.uniform(0.1, 0.3, n), "offset_ms": chance.integers(0, 60_000, n).astype(float)},
    )


def _systems(streets: Streets) -> Group:
    at = buildings_of(streets)
    n = len(at)
    return Group(
        "systems",
        "security",
        CREDENTIAL_EVENT,
        "access_system",
        tuple(f"access-{i:03d}" for i in range(n)),
        at,
        period_s=0,
        labels={"building": tuple(f"building-{i:03d}" for i in range(n))},
    )


def _calls(streets: Streets) -> Group:
    """Each service in each area."""
    areas = len(streets.areas)
    return Group(
        "calls",
        "security",
        EMERGENCY_CALL,
        "emergency_area",
        tuple(f"{service}:area-{i:02d}" for i in range(areas) for service in SERVICES),
        np.repeat(streets.areas, len(SERVICES), axis=0),
        period_s=0,
        labels={"service": SERVICES * areas},
    )
