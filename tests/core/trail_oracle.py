"""What windows should tell of a trail, in plain loops."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Sequence
from typing import Protocol

from services.core.kind import Kind
from services.core.panes import rings_of

WITHIN_MS = 25_000


class Seen(Protocol):
    """One observation."""

    @property
    def time_ms(self) -> int: ...
    @property
    def period_s(self) -> int: ...
    @property
    def values(self) -> dict[str, float]: ...


def count_faster(kind: Kind, mine: Sequence[Seen], start: int, end: int) -> float:
    """How many different observations of an entity were faster than one of their code within 25 s before.

    NaN where a pane that is looked at holds more different ones than are kept.
    """
    assert kind.trail
    of_pane = defaultdict(set)
    for o in mine:
        if start - kind.lookback_ms <= o.time_ms < end:
            ring = next(r for r in rings_of(kind) if o.period_s * 1000 <= r.longest_period_ms)
            # As texts, in which one NaN equals another.
            of_pane[ring.number, o.time_ms // ring.pane_ms].add((o.time_ms, *map(repr, _values(o))))
    if any(len(kept) > kind.trail.most for kept in of_pane.values()):
        return math.nan
    found = {(o.time_ms, *map(repr, _values(o))) for o in mine if start <= o.time_ms < end and _follows(o, mine)}
    return float(len(found))


def _values(o: Seen) -> tuple[float, float]:
    return o.values["speed"] + 0.0, o.values["code"]


def _follows(o: Seen, mine: Sequence[Seen]) -> bool:
    speed, code = _values(o)
    return any(
        0 < o.time_ms - other.time_ms <= WITHIN_MS and _values(other)[1] == code and _values(other)[0] < speed
        for other in mine
    )
