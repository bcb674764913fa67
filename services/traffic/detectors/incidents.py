"""Incidents on motorways, minute by minute: three ways side by side, each with its vote in the signal.

Of stations that have the number `incident_speed_kmh`: a street with signals is dense and slow at every red light. Of
others nothing is remembered. California #8 compares a station with the next one downstream, which the station's label
`downstream_id` names; both must be in one partition, which they are when their ids begin alike up to a `~`
(services/runtime/partitioner.py).
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from services.core.anomaly.memory import Field
from services.core.following import Follower, Moment
from services.core.kind import MINUTE_MS
from services.core.signals import EvidenceColumn, Finding, Severity
from services.traffic.indices.california import BACK_STEPS, DEFAULT_THRESHOLDS, State, is_incident, next_states
from services.traffic.indices.incidents import DEFAULT_DEVIATION, DEFAULT_THRESHOLD, deviation_step

Float64Array = NDArray[np.float64]
BoolArray = NDArray[np.bool_]

# An incident is told when so many of the three ways vote for it, where the station does not say otherwise.
VOTES = 1.0
INCIDENT = (("incident_speed_kmh", float("nan")), ("incident_votes", VOTES))
DOWNSTREAM = "downstream_id"

# A state of California #8 is kept for so many minutes of silence downstream, as long as a wave is waited out; a station
# that is silent itself for longer than KEEP_MINUTES begins anew: the traffic before tells nothing of that now. Both are
# proposals.
LONGEST_UNKNOWN_MINUTES = 5
KEEP_MINUTES = 15

_NEVER_MS = -(2**62)
_FIELDS = (
    Field("deviation.base", np.nan, DEFAULT_DEVIATION.base_steps),
    Field("deviation.run", dtype="<i8"),
    Field("threshold.run", dtype="<i8"),
    Field("threshold.last_ms", _NEVER_MS, dtype="<i8"),
    Field("california.state", State.FREE, dtype="<i8"),
    Field("california.unknown", dtype="<i8"),
)


class _Vote(NamedTuple):
    """Of one way. Arrays: (rows,)."""

    incident: BoolArray
    known: BoolArray  # whether it could judge at all
    evidence: tuple[EvidenceColumn, ...]


def find_incident(moment: Moment) -> Finding:
    """Judges a minute of each station by all three ways, and takes it in."""
    ways = {"california": _by_california, "deviation": _by_deviation, "threshold": _by_threshold}
    votes = {name: way(moment) for name, way in ways.items()}
    count = np.sum([vote.incident for vote in votes.values()], axis=0)
    needed = moment.attributes["incident_votes"]
    evidence = (
        EvidenceColumn("votes", count.astype(np.float64), needed),
        *(EvidenceColumn(f"vote_{n}", np.where(v.known, v.incident, np.nan), 1.0) for n, v in votes.items()),
        *(column for vote in votes.values() for column in vote.evidence),
    )
    severity = np.where(count > 1, Severity.SEVERE, Severity.MODERATE)
    return Finding(count >= needed, severity, count / len(votes), evidence)


def _by_california(moment: Moment) -> _Vote:
    memory, slot = moment.memory, moment.slot
    upstream = moment.measures["occupancy_mean"]
    downstream = moment.of_neighbour("occupancy_mean")
    before = moment.of_neighbour("occupancy_mean", BACK_STEPS)
    unknown = np.isnan(upstream) | np.isnan(downstream) | np.isnan(before)
    silent = np.where(unknown, memory.of("california.unknown")[slot] + 1, 0)
    state = next_states(memory.of("california.state")[slot], upstream, downstream, before, DEFAULT_THRESHOLDS)
    state = np.where(silent > LONGEST_UNKNOWN_MINUTES, State.FREE, state)
    memory.of("california.unknown")[slot], memory.of("california.state")[slot] = silent, state
    evidence = (
        EvidenceColumn("california_state", state.astype(np.float64), float(State.CONFIRMED)),
        EvidenceColumn("downstream_occupancy_mean", downstream, np.nan, before),
    )
    return _Vote(is_incident(state), ~unknown | is_incident(state), evidence)


def _by_deviation(moment: Moment) -> _Vote:
    memory, slot = moment.memory, moment.slot
    base, run = memory.of("deviation.base"), memory.of("deviation.run")
    value = moment.measures["occupancy_mean"]
    told = deviation_step(base[slot], run[slot], value)
    base[slot], run[slot] = told.base, told.run
    evidence = (
        EvidenceColumn("occupancy_mean", value, DEFAULT_THRESHOLD.occupancy, told.mean),
        EvidenceColumn("occupancy_deviation_sigma", told.z, DEFAULT_DEVIATION.critical),
    )
    return _Vote(told.alarm, ~np.isnan(told.z) | told.alarm, evidence)


def _by_threshold(moment: Moment) -> _Vote:
    memory, slot = moment.memory, moment.slot
    run, last_ms = memory.of("threshold.run"), memory.of("threshold.last_ms")
    occupancy, speed = (moment.measures[name] for name in ("occupancy_mean", "speed_kmh_mean"))
    least = moment.attributes["incident_speed_kmh"]
    holds = (occupancy >= DEFAULT_THRESHOLD.occupancy) & (speed <= least)
    on_end = moment.start_ms - last_ms[slot] == moment.every_ms
    run[slot] = now = np.where(holds, np.where(on_end, run[slot], 0) + 1, 0)
    last_ms[slot] = moment.start_ms
    known = ~np.isnan(occupancy) & ~np.isnan(speed)
    return _Vote(now >= DEFAULT_THRESHOLD.successive, known, (EvidenceColumn("speed_kmh_mean", speed, least),))


INCIDENTS = Follower(
    fields=_FIELDS,
    measures=("occupancy_mean", "speed_kmh_mean"),
    step=find_incident,
    keep_ms=KEEP_MINUTES * MINUTE_MS,
    every_ms=MINUTE_MS,
    only="incident_speed_kmh",
    label=DOWNSTREAM,
    back=BACK_STEPS,
)
