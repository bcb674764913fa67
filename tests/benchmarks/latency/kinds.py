"""Road flow and people counts with windows of a second and no disorder: what they tell waits for nobody.

They have the names, messages and tables of the real kinds, so that the rules of correlation apply as they are.
"""

from __future__ import annotations

import numpy as np

from services.community.domain import PEOPLE_COUNT
from services.core.kind import Aggregate, Detector, Domain, Kind, Measure, Window
from services.core.signals import EvidenceColumn, Finding, Severity
from services.core.windows import WindowBatch
from services.traffic.detectors.road import find_congestion
from services.traffic.domain import ROAD_FLOW
from services.traffic.indices.congestion import DEFAULT_FREE_FLOW_SPEED_KMH

WINDOW_MS = 1_000
WINDOW = Window("1s", WINDOW_MS)
# In one window of a sensor; those that the city sends beside the crowds are far below.
CROWD = 500.0


def find_crowd(batch: WindowBatch) -> Finding:
    """More people than a fixed number: the real detector wants eight weeks of history."""
    count = batch.measures["count_sum"]
    breached = count >= CROWD
    ones = np.ones(len(batch))
    return Finding(
        breached, np.full(len(batch), Severity.SEVERE), ones, (EvidenceColumn("count_sum", count, CROWD, ones),)
    )


ROADS = Kind(
    name=ROAD_FLOW.name,
    columns=ROAD_FLOW.columns,
    any_of=ROAD_FLOW.any_of,
    windows=(WINDOW,),
    measures=(
        Measure("flow_veh_h", (Aggregate.COUNT, Aggregate.SUM, Aggregate.MIN, Aggregate.MAX)),
        Measure("speed_kmh", (Aggregate.MEAN,)),
    ),
    disorder_ms=0,
    lateness_ms=0,
    detectors=(
        Detector(
            "congestion",
            "1",
            WINDOW.name,
            find_congestion,
            attributes=(("free_flow_speed_kmh", DEFAULT_FREE_FLOW_SPEED_KMH),),
        ),
    ),
)
PEOPLE = Kind(
    name=PEOPLE_COUNT.name,
    columns=PEOPLE_COUNT.columns,
    windows=(WINDOW,),
    measures=(Measure("count", (Aggregate.SUM, Aggregate.MAX)),),
    disorder_ms=0,
    lateness_ms=0,
    detectors=(Detector("crowding", "1", WINDOW.name, find_crowd),),
)
TRAFFIC = Domain("traffic", "Road traffic, windows of a second", kinds=(ROADS,))
COMMUNITY = Domain("community", "Community, windows of a second", kinds=(PEOPLE,))
