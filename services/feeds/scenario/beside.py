"""A scenario's city beside a feed of another one: from the same moment on, as long as that goes on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from services.core.kind import HOUR_MS
from services.feeds.scenario.city import build_city
from services.feeds.scenario.files import write_truth
from services.feeds.scenario.script import WEEK_MS, write_script
from services.feeds.scenario.sending import ScenarioFeed

# Something happens for so long; the city goes on as on any day. At 1,200 times it is half an hour.
EVENTFUL_MS = 4 * WEEK_MS
CORRELATION = "correlation"


def scenario_beside(
    seed: int, from_ms: int, end_ms: int, addresses: Mapping[str, str], truth: Path | None, after_ms: int | None
) -> ScenarioFeed:
    """The feed of a seed's city from a whole hour on, to be driven step by step, without what came up to `after_ms`.

    `addresses`: of each domain and of correlation, host:port. The truth tells all that happens, whatever was sent
    before. Times in UTC ms.
    """
    city = build_city(seed)
    script = write_script(city, from_ms, from_ms + EVENTFUL_MS)
    if truth is not None:
        write_truth(script, truth)
    last_ms = max(from_ms + HOUR_MS, -(-end_ms // HOUR_MS) * HOUR_MS)
    domains = {name: address for name, address in addresses.items() if name != CORRELATION}
    return ScenarioFeed(city, replace(script, to_ms=last_ms), domains, None, addresses[CORRELATION], after_ms)
