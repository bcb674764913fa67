"""A kind with four aggregates in the place of road flow, for what depends on the size of a state alone.

`python -m tests.benchmarks.four_aggregates processor` is the real process of the service traffic, with this kind.
"""

from __future__ import annotations

import sys

from services.core.kind import MINUTE_MS, Aggregate, Domain, Kind, Measure, Window
from services.runtime.service import main
from services.traffic.domain import ROAD_FLOW

# The name, the columns and the measures are some of road flow's: its messages and tables take them.
FOUR_AGGREGATES = Kind(
    name=ROAD_FLOW.name,
    columns=ROAD_FLOW.columns,
    any_of=ROAD_FLOW.any_of,
    windows=(Window("1m", MINUTE_MS),),
    measures=(Measure("flow_veh_h", (Aggregate.COUNT, Aggregate.SUM, Aggregate.MIN, Aggregate.MAX)),),
    disorder_ms=ROAD_FLOW.disorder_ms,
    lateness_ms=ROAD_FLOW.lateness_ms,
)

if __name__ == "__main__":
    sys.exit(main(Domain("traffic", "Road traffic, four aggregates", kinds=(FOUR_AGGREGATES,))))
