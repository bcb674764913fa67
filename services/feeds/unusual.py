"""Finds the days on which the centre of Auckland was really unusual: `python -m services.feeds.unusual`.

Each hour of each sensor is compared with the same hour of the week in the 8 weeks before (`normal.py`). An hour is
*crowded* when its robust z-score is above `CROWDED_Z` with at least `CROWDED_PEOPLE` passing, *deserted* when it is
below minus that where at least as many are normal. Days are ranked by the people beyond normal in their crowded hours.
A day whose normal itself is not sound (the weeks before were a lockdown, say) is marked and left out of the ranking.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import date, timedelta

import numpy as np
from numpy.typing import NDArray

from services.feeds import auckland
from services.feeds.local_time import local_day
from services.feeds.normal import NORMAL_WEEKS, LocalHours, Normal, local_hours, normal_of

CROWDED_Z = 3.5
"""Iglewicz and Hoaglin's usual bound for the modified z-score."""
CROWDED_PEOPLE = 300
"""Per hour; below it a doubled count is a handful of people."""

YEAR_WEEKS = 52
SOUND_SHARE = 0.6
"""A normal is sound if its day's total is at least this share of the median of the same weekday in the year before."""

UNUSUAL_DAY = date(2024, 11, 24)
"""The day of the replay (local time): a Sunday, and of 2,501 days with 8 weeks before them the one with the most
people beyond normal, among those whose normal is sound.

Evidence, as `python -m services.feeds.unusual --day 2024-11-24` prints it: 182,954 people passed where 109,407 are
normal; 76 sensor-hours at 18 of 21 sensors are crowded (z > 3.5, 300 or more people), all from 09:00 to 18:00, with
54,942 people beyond normal in them; the strongest is Commerce Street West from 14:00, 784 people where 134 are normal
(z = 24.4). Its neighbours within 160 m, Te Ara Tāhuhu Walkway and Customs Street East, rise in the same hours. No
count is missing on the day; in the 8 weeks before, only the hour that daylight saving skipped (2024-09-29, 02:00).

Interpretation, not measured here: the Farmers Santa Parade came down Queen Street into Customs Street East that
afternoon (announced for 13:00 to 14:30, streets closed from 11:00). It fits the counts: 45 Queen Street falls from
1,834 at 11:00 to 245 at 13:00, while the crowd stands, and the streets around the end of the route fill until 15:00.
"""

# Announced publicly for these days; that the counts show them is an interpretation.
INTERPRETATIONS = {
    **dict.fromkeys(
        (date(2019, 11, 24), date(2022, 11, 27), date(2023, 11, 26), date(2024, 11, 24)),
        "Farmers Santa Parade, Queen Street",
    ),
    **dict.fromkeys(
        (
            *(date(2022, 10, 8), date(2022, 10, 9), date(2023, 11, 4), date(2023, 11, 5)),
            *(date(2024, 10, 19), date(2024, 10, 20), date(2025, 10, 11), date(2025, 10, 12)),
        ),
        "Diwali Festival, Aotea Square and Queen Street",
    ),
    **{date(year, 12, 31): "New Year's Eve" for year in range(2019, 2026)},
    **{date(year, 1, 1): "New Year, the first hours" for year in range(2020, 2027)},
    date(2020, 6, 1): "Black Lives Matter march, Aotea Square to Customs Street East",
    date(2020, 6, 14): "Black Lives Matter march, Aotea Square to Customs Street East",
    date(2025, 11, 30): "probably the Farmers Santa Parade (as in other years, a Sunday at the end of November)",
}
LOCKDOWNS = (
    (date(2020, 3, 26), date(2020, 4, 27), "Covid-19 lockdown, alert level 4"),
    (date(2020, 8, 12), date(2020, 8, 30), "Covid-19 restrictions, alert level 3"),
    (date(2021, 8, 18), date(2021, 9, 21), "Covid-19 lockdown, alert level 4"),
)
"""First day, last day, what it was."""


@dataclass(frozen=True)
class UnusualDay:
    """One day against its normal; hours and sensors together make sensor-hours (at most 24 × 21)."""

    day: date
    weekday: str
    crowded: int
    crowded_sensors: int
    crowded_hours: int
    people_beyond: int
    greatest_z: float
    deserted: int
    people: int
    people_normal: int
    missing: int
    sound: bool
    interpretation: str


def judge(hours: LocalHours, day: date) -> UnusualDay:
    """Compares one day with its normal; a day without 8 weeks before it in `hours` is not sound."""
    people = hours.people[hours.day_index(day)]
    normal = normal_of(hours, day)
    crowd, desert = crowded(people, normal), deserted(people, normal)
    z = normal.z(people)[crowd]
    both = ~np.isnan(people) & ~np.isnan(normal.median)
    return UnusualDay(
        day=day,
        weekday=f"{day:%a}",
        crowded=int(crowd.sum()),
        crowded_sensors=int(crowd.any(axis=0).sum()),
        crowded_hours=int(crowd.any(axis=1).sum()),
        people_beyond=round(float((people - normal.median)[crowd].sum())),
        greatest_z=round(float(z.max()), 1) if z.size else 0.0,
        deserted=int(desert.sum()),
        people=int(people[both].sum()),
        people_normal=int(normal.median[both].sum()),
        missing=int(np.isnan(people).sum()),
        sound=_is_sound(hours, day),
        interpretation=interpretation(day),
    )


def interpretation(day: date) -> str:
    """What happened on `day` as publicly known, or nothing; never derived from the counts."""
    lockdown = (text for first, last, text in LOCKDOWNS if first <= day <= last)
    return INTERPRETATIONS.get(day) or next(lockdown, "")


def crowded(people: NDArray[np.float64], normal: Normal) -> NDArray[np.bool_]:
    """Which sensor-hours [hour, sensor] are crowded; where count or normal is unknown: not."""
    return np.asarray((normal.z(people) > CROWDED_Z) & (people >= CROWDED_PEOPLE))


def deserted(people: NDArray[np.float64], normal: Normal) -> NDArray[np.bool_]:
    """Which sensor-hours [hour, sensor] are deserted; where count or normal is unknown: not."""
    return np.asarray((normal.z(people) < -CROWDED_Z) & (normal.median >= CROWDED_PEOPLE))


def rank() -> list[UnusualDay]:
    """Every whole local day that has 8 weeks before it, the most crowded first."""
    start_ms, end_ms = auckland.span_ms()
    first, last = local_day(start_ms), local_day(end_ms - 1)
    hours = local_hours(first, last)
    judged = [judge(hours, day) for day in hours.days[7 * NORMAL_WEEKS :]]
    return sorted(judged, key=lambda unusual: (-unusual.people_beyond, unusual.day))


def _is_sound(hours: LocalHours, day: date) -> bool:
    index = hours.day_index(day)
    weeks = [index - 7 * week for week in range(1, YEAR_WEEKS + 1) if index >= 7 * week]
    if len(weeks) < NORMAL_WEEKS:
        return False
    totals = np.nansum(hours.people[weeks], axis=(1, 2))
    normal = np.median(totals[:NORMAL_WEEKS])
    return bool(normal > 0 and normal >= SOUND_SHARE * np.median(totals))


def _print_ranking(days: Sequence[UnusualDay], top: int) -> None:
    sound = [unusual for unusual in days if unusual.sound]
    emptiest = sorted(sound, key=lambda unusual: (-unusual.deserted, unusual.day))
    for title, chosen in (("Most crowded", sound[:top]), ("Most deserted", emptiest[:top])):
        print(f"{title} days of central Auckland, {len(sound):,} of {len(days):,} with a sound normal")
        print("day             crowded sensors hours  beyond  max z  deserted   people  normal  interpretation")
        for u in chosen:
            print(
                f"{u.day} {u.weekday} {u.crowded:8} {u.crowded_sensors:7} {u.crowded_hours:5} {u.people_beyond:7,}"
                f" {u.greatest_z:6} {u.deserted:9} {u.people:8,} {u.people_normal:7,}  {u.interpretation}"
            )
        print()
    print(auckland.ATTRIBUTION)


def _print_day(day: date) -> None:
    hours = local_hours(day - timedelta(weeks=YEAR_WEEKS), day + timedelta(days=1))
    people, normal = hours.people[hours.day_index(day)], normal_of(hours, day)
    z = normal.z(people)
    print(json.dumps(asdict(judge(hours, day)), default=str))
    print("\nCrowded sensor-hours (local time)\nhour   people  normal      z  sensor")
    for hour, sensor in np.argwhere(crowded(people, normal)):
        print(
            f"{hour:02}:00 {people[hour, sensor]:7,.0f} {normal.median[hour, sensor]:7,.0f} {z[hour, sensor]:6.1f}"
            f"  {auckland.sensors()[sensor].name}"
        )
    ordinary = [judge(hours, day - timedelta(days=n)).crowded for n in range(1, 7 * NORMAL_WEEKS + 1)]
    print(
        f"\nThe {len(ordinary)} days before: {np.mean(ordinary):.1f} crowded sensor-hours a day,"
        f" at most {max(ordinary)}, none on {ordinary.count(0)}"
    )


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m services.feeds.unusual", description=__doc__.splitlines()[0])
    parser.add_argument("--top", type=int, default=20, help="how many days of each kind (default 20)")
    parser.add_argument("--json", action="store_true", help="all days as JSON lines, the most crowded first")
    parser.add_argument("--day", type=date.fromisoformat, help="one day (YYYY-MM-DD), sensor by sensor")
    options = parser.parse_args(arguments)
    if options.day:
        _print_day(options.day)
    elif options.json:
        for unusual in rank():
            print(json.dumps(asdict(unusual), default=str))
    else:
        _print_ranking(rank(), options.top)


if __name__ == "__main__":
    main()
