"""The clocks of the cities: the wall clock, or what a replay announces on its stream."""

from __future__ import annotations

import asyncio
import time
from typing import Literal

from services.core.validation import CITY
from services.runtime.codec import MAX_TIME_MS
from services.runtime.errors import failed_precondition, invalid_field

NO_CLOCK = 0  # as in FrameHeader.clock_ms: not told


def wall_clock_ms() -> int:
    """Now, in ms since 1970 UTC."""
    return time.time_ns() // 1_000_000


class CityClocks:
    """What time it is in each city. A replay's clock never goes back."""

    def __init__(self, mode: Literal["wall", "replay"]) -> None:
        self._mode = mode
        self._announced: dict[str, int] = {}
        self.moved = asyncio.Event()  # set when an announcement moved a clock; whoever waits clears it

    @property
    def replayed(self) -> bool:
        return self._mode == "replay"

    def now_ms(self, city: str) -> int:
        """The city's clock in ms since 1970 UTC; NO_CLOCK where a replay has not announced it yet."""
        return self._announced.get(city, NO_CLOCK) if self.replayed else wall_clock_ms()

    def announce(self, city: str, time_ms: int) -> None:
        """A replay's clock has come to a time. One that is behind what was announced before changes nothing."""
        if not self.replayed:
            raise failed_precondition(
                "replay_clock", "this service runs by the wall clock; a replay needs one with URBAN_CLOCK=replay"
            )
        if not CITY.fullmatch(city):
            raise invalid_field("replay_clock.city", city, "must be 1 to 63 of a-z, 0-9 and '-'")
        if not 0 < time_ms <= MAX_TIME_MS:
            raise invalid_field("replay_clock.time_ms", time_ms, "must be a time from 1970 to 9999")
        if time_ms > self._announced.get(city, NO_CLOCK):
            self._announced[city] = time_ms
            self.moved.set()

    def heartbeat_ms(self) -> int:
        """The time that every city has come to; NO_CLOCK where a replay has announced none."""
        return min(self._announced.values(), default=NO_CLOCK) if self.replayed else wall_clock_ms()
