"""Incidents on motorways, minute by minute: three ways side by side, each with its vote in the signal.

California #8 compares a station with the next one downstream, which the station's label `downstream_id` names. Both
must be in one partition, which they are when their ids begin alike up to a `~` (services/runtime/partitioner.py).
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
    """Judges a minute of each station that has `incident_speed_kmh`; of others nothing is known nor remembered."""
    rows = np.flatnonzero(~np.isnan(moment.attributes["incident_speed_kmh"]))
    votes = {
        "california": _by_california(moment, rows),
        "deviation": _by_deviation(moment, rows),
        "threshold": _by_threshold(moment, rows),
    }
    count = np.sum([vote.incident for vote in votes.values()], axis=0)
    needed = moment.attributes["incident_votes"][rows]
    evidence = (
        EvidenceColumn("votes", count.astype(np.float64), needed),
        *(EvidenceColumn(f"vote_{n}", np.where(v.known, v.incident, np.nan), 1.0) for n, v in votes.items()),
        *(column for vote in votes.values() for column in vote.evidence),
    )
    severity = np.where(count > 1, Severity.SEVERE, Severity.MODERATE)
    return _for_all(Finding(count >= needed, severity, count / len(votes), evidence), rows, len(moment.slot))


def _by_california(moment: Moment, rows: NDArray[np.int64]) -> _Vote:
    memory, slot = moment.memory, moment.slot[rows]
    upstream = moment.measures["occupancy_mean"][rows]
    downstream = moment.of_neighbour("occupancy_mean")[rows]
    before = moment.of_neighbour("occupancy_mean", BACK_STEPS)[rows]
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


def _by_deviation(moment: Moment, rows: NDArray[np.int64]) -> _Vote:
    memory, slot = moment.memory, moment.slot[rows]
    base, run = memory.of("deviation.base"), memory.of("deviation.run")
    value = moment.measures["occupancy_mean"][rows]
    told = deviation_step(base[slot], run[slot], value)
    base[slot], run[slot] = told.base, told.run
    evidence = (
        EvidenceColumn("occupancy_mean", value, DEFAULT_THRESHOLD.occupancy, told.mean),
        EvidenceColumn("occupancy_deviation_sigma", told.z, DEFAULT_DEVIATION.critical),
    )
    return _Vote(told.alarm, ~np.isnan(told.z) | told.alarm, evidence)


def _by_threshold(moment: Moment, rows: NDArray[np.int64]) -> _Vote:
    memory, slot = moment.memory, moment.slot[rows]
    run, last_ms = memory.of("threshold.run"), memory.of("threshold.last_ms")
    occupancy, speed = (moment.measures[name][rows] for name in ("occupancy_mean", "speed_kmh_mean"))
    least = moment.attributes["incident_speed_kmh"][rows]
    holds = (occupancy >= DEFAULT_THRESHOLD.occupancy) & (speed <= least)
    on_end = moment.start_ms - last_ms[slot] == moment.every_ms
    run[slot] = now = np.where(holds, np.where(on_end, run[slot], 0) + 1, 0)
    last_ms[slot] = moment.start_ms
    known = ~np.isnan(occupancy) & ~np.isnan(speed)
    return _Vote(now >= DEFAULT_THRESHOLD.successive, known, (EvidenceColumn("speed_kmh_mean", speed, least),))


def _for_all(finding: Finding, rows: NDArray[np.int64], length: int) -> Finding:
    """The word on some rows as one on all: of the others there is none."""
    if len(rows) == length:
        return finding

    def spread(values: NDArray[np.float64], rest: float = np.nan) -> NDArray[np.float64]:
        told = np.full(length, rest, values.dtype)
        told[rows] = values
        return told

    evidence = tuple(
        EvidenceColumn(
            column.measure,
            spread(column.value),
            spread(np.broadcast_to(np.asarray(column.threshold, np.float64), len(rows))),
            None if column.expected is None else spread(column.expected),
        )
        for column in finding.evidence
    )
    breached = np.zeros(length, np.bool_)
    severity = np.full(length, Severity.MODERATE, np.int64)
    breached[rows], severity[rows] = finding.breached, finding.severity
    return Finding(breached, severity, spread(finding.score), evidence)


INCIDENTS = Follower(
    fields=_FIELDS,
    measures=("occupancy_mean", "speed_kmh_mean"),
    step=find_incident,
    keep_ms=KEEP_MINUTES * MINUTE_MS,
    every_ms=MINUTE_MS,
    label=DOWNSTREAM,
    back=BACK_STEPS,
)
