"""Queues that have grown back through a junction, minute by minute.

Of segments that have the number `queue_density_veh_km` and whose flow and speed are those of their whole length, as
floating cars or cameras tell them. The segment's label `downstream_id` names the next one; both must be in one
partition, as for incidents (incidents.py here beside).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from services.core.anomaly.memory import Field
from services.core.following import Follower, Moment
from services.core.kind import MINUTE_MS
from services.core.signals import EvidenceColumn, Finding, Severity
from services.traffic.detectors.incidents import DOWNSTREAM, KEEP_MINUTES
from services.traffic.indices.congestion import DEFAULT_FREE_FLOW_SPEED_KMH
from services.traffic.indices.queue import FULL_SHARE, LEAST_SHARE, queued_share_of_flow, spills_back

Float64Array = NDArray[np.float64]

# Vehicles on a kilometre of all lanes where they queue. A segment without it is not judged.
QUEUE = (("queue_density_veh_km", float("nan")), ("free_flow_speed_kmh", DEFAULT_FREE_FLOW_SPEED_KMH))
# So many minutes on end: a red light fills a short segment and empties again within a cycle. A proposal.
SUCCESSIVE_MINUTES = 3

_NEVER_MS = -(2**62)


def find_spill_back(moment: Moment) -> Finding:
    """The next segment downstream is full, and its queue has reached into this one: the junction between is blocked."""
    own = queued_share_of_flow(
        *(moment.measures[name] for name in ("flow_veh_h_mean", "speed_kmh_mean")),
        *(moment.attributes[name] for name in ("free_flow_speed_kmh", "queue_density_veh_km")),
    )
    downstream = queued_share_of_flow(
        *(moment.of_neighbour(name) for name in ("flow_veh_h_mean", "speed_kmh_mean")),
        *(moment.number_of_neighbour(name) for name in ("free_flow_speed_kmh", "queue_density_veh_km")),
    )
    run, last_ms = moment.memory.of("run"), moment.memory.of("last_ms")
    on_end = moment.start_ms - last_ms[moment.slot] == moment.every_ms
    minutes = np.where(spills_back(downstream, own), np.where(on_end, run[moment.slot], 0) + 1, 0)
    run[moment.slot], last_ms[moment.slot] = minutes, moment.start_ms
    evidence = (
        EvidenceColumn("downstream_queued_share", downstream, FULL_SHARE),
        EvidenceColumn("queued_share", own, LEAST_SHARE),
        EvidenceColumn("minutes", minutes.astype(np.float64), SUCCESSIVE_MINUTES),
    )
    # Full itself, it is about to block the next junction.
    severity = np.where(own >= FULL_SHARE, Severity.SEVERE, Severity.MODERATE)
    return Finding(minutes >= SUCCESSIVE_MINUTES, severity, own, evidence)


SPILL_BACK = Follower(
    fields=(Field("run", dtype="<i8"), Field("last_ms", _NEVER_MS, dtype="<i8")),
    measures=("flow_veh_h_mean", "speed_kmh_mean"),
    step=find_spill_back,
    keep_ms=KEEP_MINUTES * MINUTE_MS,
    every_ms=MINUTE_MS,
    only="queue_density_veh_km",
    label=DOWNSTREAM,
)
