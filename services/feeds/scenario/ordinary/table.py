"""Which function tells an ordinary hour of which group."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np

from services.feeds.scenario.chance import stream
from services.feeds.scenario.city import City
from services.feeds.scenario.group import Group
from services.feeds.scenario.ordinary import community, environment, security, traffic
from services.feeds.scenario.rows import Rows

ORDINARY: Mapping[str, Callable[[City, Group, int, np.random.Generator], Rows]] = {
    "streets": traffic.road_flow,
    "motorway": traffic.road_flow,
    "platforms": traffic.rail_call,
    "garages": traffic.parking,
    "cameras": security.heartbeats,
    "zones": security.zones,
    "systems": security.credentials,
    "calls": security.calls,
    "air": environment.air,
    "noise": environment.noise,
    "weather": environment.weather,
    "stacks": environment.stacks,
    "footfall": community.footfall,
    "presence": community.presence,
    "gates": community.gates,
    "requests": community.requests,
}


def ordinary_hour(city: City, group: str, hour_ms: int) -> Rows:
    """What a group tells in the hour that begins at `hour_ms`, if nothing happens; the same in any run of the seed."""
    return ORDINARY[group](city, city.groups[group], hour_ms, stream(city.seed, group, hour_ms))
