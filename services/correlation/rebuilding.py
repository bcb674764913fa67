"""Rebuilds rules from the signal topic, beside what is going on, up to the record that the handler takes next."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import structlog

from services.core.correlation.horizon import SignalPlaces
from services.core.correlation.rebuild import Rebuild
from services.core.correlation.rule import Rule
from services.correlation.intake import BadRecordError, read_signal_record
from services.correlation.rules import RuleFile
from services.runtime.catalogue import OBSERVATION_PARTITIONS, SIGNALS
from services.runtime.log import OpenReader

log = structlog.get_logger(__name__)

# So many records at once, before others on the loop get their turn: what is live must not wait.
TURN_RECORDS = 64
READ_S = 1.0


@dataclass(frozen=True)
class Reload:
    """Other rules that are ready to come into force: those among them that changed know all that was handled."""

    files: tuple[RuleFile, ...]
    rebuild: Rebuild
    done: asyncio.Event = field(default_factory=asyncio.Event)


def sources_of(rules: Sequence[Rule]) -> dict[tuple[str, str], int]:
    """Partitions of the observation topics that rules wait for."""
    return {(s.domain, s.kind): OBSERVATION_PARTITIONS for rule in rules for s in rule.selectors}


@dataclass(frozen=True)
class Rebuilder:
    """How rules are rebuilt for one partition of the topic."""

    partition: int
    silence_ms: int
    open_reader: OpenReader
    places: SignalPlaces
    next_offset: Callable[[], int]  # the record that the handler takes next

    async def rebuild(
        self,
        rules: Sequence[Rule],
        event_ms: int | None,
        ready: Callable[[Rebuild], None],
        shadows: Sequence[Rule] = (),
    ) -> None:
        """Calls `ready` at a moment when the rules have read what was handled, and before anything else is.

        `event_ms`: event time of the rules in force. `shadows`: rules that are to be tried only.
        """
        sources = sources_of([*rules, *shadows])
        made = Rebuild(rules, sources, silence_ms=self.silence_ms, event_ms=event_ms, shadows=shadows)
        while (further := await self._read(made, ready)) is not None:
            made = further

    async def _read(self, made: Rebuild, ready: Callable[[Rebuild], None]) -> Rebuild | None:
        """Reads up to what is handled; gives the rebuild that is to be read instead, from farther back."""
        start = at = self._first_offset(made.from_ms)
        reader = self.open_reader(SIGNALS)
        await reader.start({self.partition: start}, pass_over_gone=True)
        log.info(
            "rules_rebuilding", partition=self.partition, rules=sorted((*made.correlators, *made.shadows)), offset=start
        )
        try:
            while at < self.next_offset():
                for record in await reader.read(READ_S, TURN_RECORDS):
                    if record.offset >= self.next_offset():
                        at = record.offset  # what lies before it was read, or is gone
                        break
                    at = record.offset + 1
                    try:
                        made.take(read_signal_record(record.value), record.timestamp_ms)
                    except BadRecordError:
                        continue  # the handler has counted it
                if at < self.next_offset():
                    # Not when all is read: what is handled meanwhile would be missing.
                    await asyncio.sleep(0)
            further_ms = made.further_ms()
            if further_ms is not None and self._first_offset(further_ms) < start:
                return made.again(further_ms)
            ready(made)
            return None
        finally:
            await reader.stop()

    def _first_offset(self, from_ms: int) -> int:
        found = self.places.since(from_ms)
        return self.next_offset() if found is None else found
