"""What a rule only looks out for: signals that must not be near, and those that make it unknown whether any is."""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Generic

from services.core.correlation.condition import Absent
from services.core.correlation.grid import Place
from services.core.correlation.rule import Rule
from services.core.correlation.space import P, PlaceIndex, place_of
from services.core.correlation.verdict import Absence, Truth
from services.core.signals import Signal

# Domain, kind -> event time that all partitions of the kind have passed, in ms; None: one has never told.
Coverage = Callable[[str, str], int | None]


class _Seen:
    """A signal that is looked out for."""

    __slots__ = ("place", "side", "signal")

    def __init__(self, signal: Signal, side: int) -> None:
        self.signal, self.side = signal, side
        self.place: Place = place_of(signal)


class Surroundings(Generic[P]):
    """Both sides of every absence of a rule: what is looked out for, and the signals of groups around which."""

    def __init__(self, rule: Rule, kept_ms: int) -> None:
        """`kept_ms`: event time after the end of a window during which it may matter."""
        self._rule = rule
        self._kept_ms = kept_ms + max(absent.before_s for absent in rule.absences) * 1000
        radii = sorted({absent.radius_m for absent in rule.absences})
        self._every_side = frozenset(range(len(rule.selectors)))
        self._seen: dict[str, _Seen] = {}
        self._seen_at: dict[float, PlaceIndex[_Seen]] = {radius_m: PlaceIndex(radius_m) for radius_m in radii}
        self._anchors_at: dict[float, PlaceIndex[P]] = {radius_m: PlaceIndex(radius_m) for radius_m in radii}
        self._expiring: list[tuple[int, str]] = []

    def put(self, signal: Signal, side: int | None) -> list[P]:
        """Takes a version of a signal, None where it is not looked out for; gives the anchors that this concerns."""
        found = self.discard(signal.id)
        if side is None:
            return found
        seen = self._seen[signal.id] = _Seen(signal, side)
        for index in self._seen_at.values():
            index.add(seen)
        heapq.heappush(self._expiring, (signal.end_ms + self._kept_ms, signal.id))
        return [*found, *self._anchors_near(seen)]

    def discard(self, signal_id: str) -> list[P]:
        """Takes a signal out, if it is there; gives the anchors that this concerns."""
        seen = self._seen.pop(signal_id, None)
        if seen is None:
            return []
        for index in self._seen_at.values():
            index.remove(seen)
        return list(self._anchors_near(seen))

    def holds(self, signal_id: str) -> bool:
        """Whether a signal is looked out for."""
        return signal_id in self._seen

    def add_anchor(self, anchor: P) -> None:
        """A signal takes part in a group."""
        for index in self._anchors_at.values():
            index.add(anchor)

    def remove_anchor(self, anchor: P) -> None:
        """It does no longer."""
        for index in self._anchors_at.values():
            index.remove(anchor)

    def look(
        self, absent: Absent, members: Mapping[str, Sequence[P]], event_ms: int | None, coverage: Coverage
    ) -> Absence:
        """What is known of an absence around a group, at an event time."""
        rule = self._rule
        of, blind = rule.sides[absent.of], frozenset(rule.sides[name] for name in absent.unknown_if)
        selector = rule.selectors[of]
        covered_ms = coverage(selector.domain, selector.kind)
        found: set[str] = set()
        due_ms: int | None = None
        blinded = uncovered = False
        for name in absent.around or tuple(members):
            for anchor in members.get(name, ()):
                until_ms = anchor.signal.end_ms + absent.after_s * 1000
                for seen, _ in self._near(absent, anchor, {of, *blind}):
                    if seen.side == of:
                        found.add(seen.signal.id)
                    else:
                        blinded = True
                if event_ms is None or event_ms < until_ms:
                    due_ms = until_ms if due_ms is None else max(due_ms, until_ms)
                elif covered_ms is None or covered_ms < until_ms:
                    uncovered = True
        if found:
            truth = Truth.NOT_HELD
        elif due_ms is not None:
            truth = Truth.PENDING
        else:
            truth = Truth.UNKNOWN if blinded or uncovered else Truth.HELD
        return Absence(truth, len(found), due_ms, uncovered)

    def forget(self, now_ms: int) -> list[str]:
        """Drops what is near no signal of a group and to no signal that may still come; gives the ids."""
        gone, again = [], []
        while self._expiring and self._expiring[0][0] <= now_ms:
            _, signal_id = heapq.heappop(self._expiring)
            seen = self._seen.get(signal_id)
            if seen is None or seen.signal.end_ms + self._kept_ms > now_ms:
                continue
            if any(True for _ in self._anchors_near(seen)):
                again.append((now_ms + 1, signal_id))
            else:
                self.discard(signal_id)
                gone.append(signal_id)
        for entry in again:
            heapq.heappush(self._expiring, entry)
        return gone

    def _near(self, absent: Absent, anchor: P, sides: Iterable[int]) -> list[tuple[_Seen, float]]:
        signal = anchor.signal
        from_ms, to_ms = signal.start_ms - absent.before_s * 1000, signal.end_ms + absent.after_s * 1000
        return self._seen_at[absent.radius_m].near(anchor.place, signal.city, frozenset(sides), from_ms, to_ms)

    def _anchors_near(self, seen: _Seen) -> Iterator[P]:
        """Signals of groups about which a signal says something."""
        signal = seen.signal
        name = self._rule.selectors[seen.side].name
        for absent in self._rule.absences:
            if name != absent.of and name not in absent.unknown_if:
                continue
            sides = frozenset(self._rule.sides[n] for n in absent.around) or self._every_side
            from_ms, to_ms = signal.start_ms - absent.after_s * 1000, signal.end_ms + absent.before_s * 1000
            index = self._anchors_at[absent.radius_m]
            yield from (anchor for anchor, _ in index.near(seen.place, signal.city, sides, from_ms, to_ms))
