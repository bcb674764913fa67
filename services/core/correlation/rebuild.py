"""Rules that were not in force while the log was written, rebuilt from it: they come to know what they would know."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from services.core.correlation.correlator import Correlator
from services.core.correlation.event_time import Watermarks
from services.core.correlation.horizon import memory_ms
from services.core.correlation.rule import Rule
from services.core.signals import Signal

# So many times what a rule remembers is read: signals that hang together reach beyond what any of them is kept for.
MEMORIES = 3


class Rebuild:
    """A correlator for each of some rules, by name, each with a ledger of its own: nobody is told what they find."""

    def __init__(
        self,
        rules: Sequence[Rule],
        sources: Mapping[tuple[str, str], int],
        *,
        silence_ms: int,
        event_ms: int | None,
        shadows: Sequence[Rule] = (),
    ) -> None:
        """`sources`: number of partitions by (domain, kind). `event_ms`: event time of those in force, about; or None.

        `shadows`: rules that are to be tried only; other versions, maybe, of those among `rules`.

        Signals that begin before `from_ms` (0: all) need not be read; `further_ms` says whether that was too late.
        """
        self.correlators = {rule.name: Correlator((rule,), sources, silence_ms=silence_ms) for rule in rules}
        self.shadows = {rule.name: Correlator((rule,), sources, silence_ms=silence_ms) for rule in shadows}
        self._all = (*self.correlators.values(), *self.shadows.values())
        self._sources, self._silence_ms = sources, silence_ms
        longest_ms = max((memory_ms(rule) for rule in (*rules, *shadows)), default=0)
        self.from_ms = 0 if event_ms is None else max(0, event_ms - MEMORIES * longest_ms)

    def take(self, record: Signal | Watermarks, log_time_ms: int) -> None:
        """Takes one record of the signal topic with its record time."""
        for correlator in self._all:
            correlator.take(record, log_time_ms)

    def again(self, from_ms: int) -> Rebuild:
        """The same rules from the start, to read signals from an earlier time on."""
        rules, shadows = ([c.rules[0] for c in of.values()] for of in (self.correlators, self.shadows))
        made = Rebuild(rules, self._sources, silence_ms=self._silence_ms, event_ms=None, shadows=shadows)
        made.from_ms = max(0, from_ms)
        return made

    def further_ms(self) -> int | None:
        """Start of windows from which on it should have read; None: what it knows is what it would have known anyway.

        A rule whose time lags behind the others' remembers older signals; one that remembers a signal of the first
        hours that were read may have an incident that began before them.
        """
        wanted = self.from_ms
        for correlator in self._all:
            kept_ms, event_ms = memory_ms(correlator.rules[0]), correlator.event_ms
            if event_ms is not None:
                wanted = min(wanted, event_ms - MEMORIES * kept_ms)
            earliest_ms = correlator.earliest_ms()
            if earliest_ms is not None and earliest_ms < self.from_ms + kept_ms:
                wanted = min(wanted, self.from_ms - MEMORIES * kept_ms)
        return wanted if wanted < self.from_ms and self.from_ms > 0 else None
