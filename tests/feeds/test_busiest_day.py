"""The busiest day of half a year in the centre of Auckland, as the engine finds it: unusual at most counters.

The busiest of all seven years, 2019-03-01 (281,417 people at 19 counters), is a Friday of a busy season, 4 % above the
day before it: with two months before it the engine tells one counter that day. Busy is not unusual.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import replace
from datetime import date, timedelta

import numpy as np

from services.community.domain import PEOPLE_COUNT
from services.core.cities import Cities
from services.core.frame import Frame
from services.core.partition import Partition
from services.core.signals import Signal
from services.feeds import auckland
from services.feeds.local_time import local_day, local_midnight_ms
from services.feeds.unusual import UNUSUAL_DAY
from services.runtime.baselines import local_time

WEEKS = 26
FIRST = UNUSUAL_DAY - timedelta(weeks=WEEKS)
DAYS = [FIRST + timedelta(days=n) for n in range(7 * (WEEKS + 1))]
# What is normal by the hour of the week is another detector's, and ClickHouse's to compute.
FOLLOWED = tuple(d for d in PEOPLE_COUNT.detectors if d.name == "unusual_count_sum")
KIND = replace(PEOPLE_COUNT, detectors=FOLLOWED, baseline=None)


def frames() -> Iterator[Frame]:
    """Real counts of every sensor and hour, one frame a local day."""
    for day in DAYS:
        begin_ms, end_ms = (local_midnight_ms(d) for d in (day, day + timedelta(days=1)))
        counts = auckland.counts(begin_ms, end_ms)
        columns = {c.name: np.full(len(counts), np.nan, "<f4") for c in KIND.columns}
        columns["count"] = counts.count.astype("<f4")
        ids = tuple(sensor.id for sensor in auckland.sensors())
        period_s = auckland.PERIOD_S
        yield Frame("auckland", ids, counts.sensor, counts.time_ms, period_s, columns, clock_ms=end_ms)


def signals() -> list[Signal]:
    partition = Partition("community", KIND, 0, Cities({"auckland": local_time("Pacific/Auckland")}))
    found: dict[str, Signal] = {}
    for frame in frames():
        for closing in partition.fold([frame]):
            assert not closing.refused
            for batch in closing.batches:
                found |= {signal.id: signal for signal in partition.detect(batch)}
    return [signal for signal in found.values() if not signal.retracted]


def test_the_busiest_day_of_auckland_is_found_as_the_most_unusual_one():
    people = {frame.clock_ms: frame.columns["count"].sum(dtype=np.float64) for frame in frames()}
    busiest = local_day(max(people, key=lambda end_ms: people[end_ms]) - 1)
    told = signals()
    hours = Counter(local_day(signal.start_ms) for signal in told)
    places: dict[date, set[str]] = defaultdict(set)
    beyond: Counter[date] = Counter()
    for signal in told:
        day, count = local_day(signal.start_ms), signal.evidence[0]
        places[day].add(signal.entity_id)
        beyond[day] += round(np.nan_to_num(max(count.value - count.expected, 0.0)))
    most_places = sorted(places, key=lambda day: len(places[day]))[-1]
    assert busiest == hours.most_common(1)[0][0] == beyond.most_common(1)[0][0] == most_places == UNUSUAL_DAY
    assert len(places[busiest]) > len(auckland.sensors()) / 2
    # The next one has half as many people beyond what was expected.
    (_, first), (_, second) = beyond.most_common(2)
    assert second < first / 2
    # And not because everything is told: one a week and counter is the budget.
    assert len(told) <= (WEEKS + 1) * len(auckland.sensors())
