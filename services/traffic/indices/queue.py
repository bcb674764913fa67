"""Queues along a chain of segments, and where one has grown back through a junction."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Float64Array = NDArray[np.float64]
BoolArray = NDArray[np.bool_]

# Queued for so much of its length a segment counts as full. A proposal.
FULL_SHARE = 0.9
# Less than this queued is slow traffic and no queue: what is measured does not tell them apart. A proposal.
LEAST_SHARE = 0.1


@dataclass(frozen=True)
class Queues:
    """Queues of a chain of segments in the direction of travel. Shapes: (…, segments)."""

    length_m: Float64Array  # of the queue that has its head at the end of this segment; 0: none has
    spills_back: BoolArray  # the queue fills this segment and goes on in the one upstream: their junction is blocked


def queued_share(
    density_veh_km: Float64Array, free_density_veh_km: Float64Array, queue_density_veh_km: Float64Array
) -> Float64Array:
    """How much of a segment is queued, 0 to 1, where its mean density lies between that of free flow and of a queue."""
    share = (density_veh_km - free_density_veh_km) / (queue_density_veh_km - free_density_veh_km)
    return np.asarray(np.clip(share, 0.0, 1.0), np.float64)


def queued_share_of_flow(
    flow_veh_h: Float64Array,
    space_mean_kmh: Float64Array,
    free_flow_speed_kmh: Float64Array,
    queue_density_veh_km: Float64Array,
) -> Float64Array:
    """How much of a segment is queued by the flow and the mean speed along it. All of one shape.

    At that flow its density lies between that of free flow and of a queue; where all stand, all of it is queued. NaN:
    a number is not known, or a queue would be no denser than free flow.
    """
    with np.errstate(invalid="ignore", divide="ignore"):
        share = queued_share(flow_veh_h / space_mean_kmh, flow_veh_h / free_flow_speed_kmh, queue_density_veh_km)
    share = np.where(queue_density_veh_km > flow_veh_h / free_flow_speed_kmh, share, np.nan)
    return np.where((space_mean_kmh == 0.0) & (queue_density_veh_km > 0.0), 1.0, share)


def spills_back(share: Float64Array, share_upstream: Float64Array) -> BoolArray:
    """Whether the queue of a segment fills it and goes on in the one upstream. NaN: not known, so no. One shape."""
    return np.asarray((share >= FULL_SHARE) & (share_upstream >= LEAST_SHARE), np.bool_)


def find_queues(share: Float64Array, length_m: Float64Array) -> Queues:
    """Queues out of the queued share of each segment, counted from the segment's downstream end.

    A queue goes on upstream only through a segment that is full. A share that is not known ends it: what is told of the
    length is what is seen. Shapes: (…, segments), (segments,).
    """
    queued = np.where(np.isnan(share), 0.0, share)
    full = queued >= FULL_SHARE
    reach = np.zeros(queued.shape)
    for segment in range(queued.shape[-1]):
        upstream = reach[..., segment - 1] if segment else 0.0
        here = queued[..., segment] * length_m[segment]
        reach[..., segment] = here + np.where(full[..., segment], upstream, 0.0)
    none = np.zeros((*queued.shape[:-1], 1))
    # A head is where the next segment downstream does not carry the queue on.
    carried_on = np.concatenate([full[..., 1:], none.astype(np.bool_)], axis=-1)
    upstream = np.concatenate([none, queued[..., :-1]], axis=-1)
    return Queues(np.where(carried_on, 0.0, reach), spills_back(queued, upstream))
