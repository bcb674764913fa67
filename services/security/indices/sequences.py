"""What the order of a credential's uses tells: guessed, lent to somebody, or used in two places at once.

A credential is the keyed hash of its holder, `person_a` and `person_b`; a use without one is part of no sequence.
"""

from __future__ import annotations

from enum import IntEnum

import numpy as np
from numpy.typing import NDArray

from services.core.geometry import great_circle_m
from services.core.kind import HOUR_MS, MINUTE_MS
from services.core.pattern import Steps

Int64Array = NDArray[np.int64]
BoolArray = NDArray[np.bool_]

# So many failures within that time, then a success (the table "What works" of public information security). That the
# success comes within the same time after them is a proposal.
FAILURES_LEAST = 5
FAILURES_WITHIN_MS = 5 * MINUTE_MS
SUCCESS_WITHIN_MS = 5 * MINUTE_MS

# After so long an entry without an exit is forgotten, as controllers forget it (timed anti-passback). A proposal: a
# working day with its breaks.
PASSBACK_WITHIN_MS = 12 * HOUR_MS
# A second reading at the same gate so soon is the same entry: nobody was let in twice. A proposal.
SAME_READING_MS = 10_000

# Nobody is that fast between two gates of one city, door to door. Proposals: the speed, what clocks of controllers may
# differ by, and a distance below which a wrong position would matter more than the way.
TRAVEL_KM_H = 150.0
CLOCKS_DIFFER_S = 60.0
TRAVEL_LEAST_M = 500.0
TRAVEL_WITHIN_MS = 12 * HOUR_MS

LOOK_BACK_MS = max(FAILURES_WITHIN_MS + SUCCESS_WITHIN_MS, PASSBACK_WITHIN_MS, TRAVEL_WITHIN_MS)


class CredentialOutcome(IntEnum):
    """What became of the use of a credential; equal in number to urban.security.v1.CredentialOutcome."""

    GRANTED = 1
    FAILED = 2
    DURESS = 3
    TAMPERED = 4
    PASSBACK = 5


class Direction(IntEnum):
    """Where the gate leads; equal in number to urban.security.v1.CredentialDirection."""

    IN = 1
    OUT = 2


def mark_brute_force(steps: Steps) -> BoolArray:
    """Successes after at least five failures of the same credential within five minutes, without a success between.

    Both borders belong to it: five failures that span 300 s, and a success 300 s after the last of them. Of a failure
    and a success at the same moment the failure came first. Shape: (n,).
    """
    failed, granted = steps.columns["outcome"] == CredentialOutcome.FAILED, _mark_granted(steps)
    order, new = _order(steps, failed | granted, granted)
    granted, time_ms = granted[order], steps.time_ms[order]
    # A run ends with a success, or with the credential's last use.
    run = np.cumsum(new | np.concatenate(([False], granted[:-1])))
    failures = np.flatnonzero(~granted)
    last = failures[FAILURES_LEAST - 1 :]
    first = failures[: len(last)]
    many = (run[last] == run[first]) & (time_ms[last] - time_ms[first] <= FAILURES_WITHIN_MS)
    burst_ms = np.full(len(order) + 1, -(2**62), np.int64)  # by run, when the last such five ended
    np.maximum.at(burst_ms, run[last[many]], time_ms[last[many]])
    return _back(steps, order, granted & (time_ms - burst_ms[run] <= SUCCESS_WITHIN_MS))


def mark_passback(steps: Steps) -> BoolArray:
    """Entries into an area that follow another entry of the same credential, without an exit between. Shape: (n,).

    Within twelve hours, the border included; of an entry and an exit at the same moment the exit came first.
    """
    direction, area = steps.columns["direction"], np.nan_to_num(steps.columns["area"])
    order, new = _order(steps, _mark_granted(steps) & ~np.isnan(direction), -direction, area)
    time_ms, gate, inwards = steps.time_ms[order], steps.columns["gate"][order], direction[order] == Direction.IN
    gap_ms = np.diff(time_ms)
    again = (gate[1:] == gate[:-1]) & (gap_ms <= SAME_READING_MS)
    found = np.zeros(len(order), np.bool_)
    found[1:] = inwards[1:] & inwards[:-1] & ~new[1:] & (gap_ms <= PASSBACK_WITHIN_MS) & ~again
    return _back(steps, order, found)


def mark_impossible_travel(steps: Steps) -> BoolArray:
    """Uses at a gate that nobody reaches so soon from the gate of the use before. Shape: (n,).

    A use at a gate whose place is not known is passed over.
    """
    latitude, longitude = steps.columns["latitude"], steps.columns["longitude"]
    order, new = _order(steps, _mark_granted(steps) & ~np.isnan(latitude + longitude))
    north, east, gap_ms = latitude[order], longitude[order], np.diff(steps.time_ms[order])
    distance_m = great_circle_m(north[1:], east[1:], north[:-1], east[:-1])
    reachable_m = TRAVEL_KM_H / 3.6 * (gap_ms / 1000.0 + CLOCKS_DIFFER_S)
    found = np.zeros(len(order), np.bool_)
    too_far = (distance_m > reachable_m) & (distance_m >= TRAVEL_LEAST_M)
    found[1:] = too_far & ~new[1:] & (gap_ms <= TRAVEL_WITHIN_MS)
    return _back(steps, order, found)


def _mark_granted(steps: Steps) -> BoolArray:
    """Uses that open the gate. Who is forced to, opens it, too."""
    outcome = steps.columns["outcome"]
    return np.asarray((outcome == CredentialOutcome.GRANTED) | (outcome == CredentialOutcome.DURESS), np.bool_)


def _order(
    steps: Steps,
    which: BoolArray,
    at_once: NDArray[np.generic] | None = None,
    within: NDArray[np.float64] | None = None,
) -> tuple[Int64Array, BoolArray]:
    """Places of the marked uses of who has several, by credential (and what they lie `within`), then time, then
    `at_once`; and where another credential begins. Shapes: (uses,)."""
    a, b = steps.columns["person_a"], steps.columns["person_b"]
    places = np.flatnonzero(which & steps.once(_mark_repeated, lambda: _mark_repeated(a, b)))
    groups = [steps.entity[places], a[places], b[places], *([] if within is None else [within[places]])]
    keys = [steps.time_ms[places], *reversed(groups)]
    order = np.lexsort(keys if at_once is None else [at_once[places], *keys])
    new = np.zeros(len(order), np.bool_)
    new[:1] = True
    for group in groups:
        new[1:] |= np.diff(group[order]) != 0
    return places[order], new


def _mark_repeated(a: NDArray[np.float64], b: NDArray[np.float64]) -> BoolArray:
    """Uses whose `a` comes more than once: of who is there once there is no sequence. No holder: no. Shapes: (n,)."""
    known = np.flatnonzero(~np.isnan(a + b))
    order = known[np.argsort(a[known])]
    ordered = a[order]
    same = ordered[1:] == ordered[:-1]
    repeated = np.zeros(len(a), np.bool_)
    repeated[order[1:][same]] = repeated[order[:-1][same]] = True
    return repeated


def _back(steps: Steps, order: Int64Array, found: BoolArray) -> BoolArray:
    marked = np.zeros(len(steps), np.bool_)
    marked[order[found]] = True
    return marked
