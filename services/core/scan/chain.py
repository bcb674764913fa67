"""What scan after scan sees of one cluster is one finding: clusters that share a case belong together."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from services.core.scan.finding import Sight, finding_id


@dataclass(frozen=True)
class Chain:
    """One finding, as the scans up to some time have seen it."""

    id: str
    city: str
    first_ms: int  # event time of the first scan that saw it
    last_ms: int
    cases: tuple[str, ...]  # that the last one saw
    best: Sight  # the likeliest of all: what people are told


def extend(chains: Iterable[Chain], city: str, sights: Sequence[Sight], version: int) -> list[Chain]:
    """The findings of a city after one more scan; `sights`: the likeliest first.

    A cluster that shares a case with one that was seen before goes on with it, with the earliest where there are more.
    """
    found = {chain.id: chain for chain in chains}
    taken: set[str] = set()
    for sight in sights:
        mine = set(sight.cases)
        before = [c for c in found.values() if c.city == city and c.id not in taken and not mine.isdisjoint(c.cases)]
        if before:
            chain = min(before, key=lambda c: (c.first_ms, c.id))
            best = max(chain.best, sight, key=lambda s: s.log_likelihood_ratio)
            chain = replace(chain, last_ms=sight.scan_ms, cases=sight.cases, best=best)
        else:
            id_ = finding_id(city, version, sight.scan_ms, sight.cases[0])
            chain = Chain(id_, city, sight.scan_ms, sight.scan_ms, sight.cases, sight)
        found[chain.id] = chain
        taken.add(chain.id)
    return [found[id_] for id_ in sorted(found)]
