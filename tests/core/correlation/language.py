"""Rules that together use all of the language, and signals of a street for them."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from hypothesis import strategies as st

from services.core.correlation.allen import Relation
from services.core.correlation.along import Along
from services.core.correlation.bond import Bond, Wind
from services.core.correlation.condition import Absent, AllOf, AnyOf, Chain, Count, Percentile, Present, Share, Total
from services.core.correlation.event_time import Watermarks
from services.core.correlation.rule import Rule
from services.core.correlation.selector import Bound, Selector
from services.core.signals import Evidence, Severity, Signal, signal_id
from tests.core.correlation.city import DEGREE_PER_M, HOUR, MINUTE, NOON, RULE, congestion, crowding

NOISE = ("environment", "noise")
SOURCES = {("community", "people_count"): 1, ("traffic", "road_flow"): 1, NOISE: 2}

CROWD = Selector("crowd", "community", "people_count", "crowding")
JAM = Selector("jam", "traffic", "road_flow", "congestion")
LOUD = Selector("loud", *NOISE, "noise_burst")
PLAN = Selector("plan", *NOISE, "planned")
BLIND = Selector("blind", *NOISE, "dead")


def rule(name: str, *selectors: Selector, **fields: object) -> Rule:
    """A rule of the street with bounds of 500 m and ten minutes."""
    settings = {"title": "Something near {city}", "within_s": 600, "when": None, **fields}
    return replace(RULE, name=name, selectors=selectors, **settings)  # type: ignore[arg-type]  # real fields


FIRST_NOISE = rule(
    "first_noise",
    *(LOUD, CROWD, JAM),
    when=AnyOf((Chain(("loud", "crowd", "jam"), 3600), AllOf((Present("jam"), Chain(("jam", "crowd")))))),
    bonds=(
        Bond("loud", "crowd", 300.0, 3600, frozenset({Relation.BEFORE, Relation.MEETS, Relation.OVERLAPS})),
        Bond("jam", "jam", 300.0, 0),
    ),
)
MANY = rule(
    "many",
    *(replace(JAM, entity="road-*", minimum_score=0.2), LOUD),
    when=AllOf(
        (
            Count(("jam",), 2, 1800, distinct="entity"),
            Count(("jam", "loud"), 3, 3600),
            Count(("loud", "jam"), 2, None, distinct="road"),
        )
    ),
    bonds=(Bond("jam", "jam", 600.0, 1200), Bond("loud", "loud", 600.0, 1200)),
)
QUIET = rule(
    "quiet",
    *(CROWD, JAM, PLAN, BLIND),
    when=AllOf((Present("crowd"), Present("jam"), Absent("plan", 300.0, 600, 900, ("crowd",), ("blind",)))),
)
PERHAPS = rule(
    "perhaps",
    *(JAM, PLAN, BLIND),
    when=AllOf((Present("jam"), Absent("plan", 300.0, 0, 600, (), ("blind",), unknown_opens=True))),
    bonds=(Bond("jam", "jam", 200.0, 0),),
)
LEVELS = rule(
    "levels",
    *(replace(CROWD, where=(Bound("count_sum", at_least=100.0),)), replace(JAM, minimum_severity=Severity.MODERATE)),
    when=AnyOf(
        (
            AllOf((Total(("crowd",), "count_sum", 3000.0, 3600), Present("jam"))),
            Percentile(("crowd", "jam"), "count_sum", 50.0, at_least=2000.0, values=2),
            Percentile(("jam",), "count_sum", 90.0, at_most=300.0, values=3),
        )
    ),
)
SAME = rule(
    "same",
    *(replace(CROWD, entity="*-3"), replace(JAM, without=(("road", ("south",)),))),
    replace(LOUD, attributes=(("road", ("north", "south")),)),
    when=AllOf((Present("loud"), AnyOf((Present("crowd"), Present("jam"))))),
    same=("road",),
    bonds=(Bond("loud", "jam", 900.0, 1800, wind=Wind("wind_from_deg")), Bond("crowd", "jam", 100.0, 0)),
)
TOGETHER = rule(
    "together",
    *(JAM, LOUD),
    when=AnyOf((AllOf((Present("jam"), Share(("jam", "loud"), "cabinet", 0.5, 1800))), Chain(("jam", "jam")))),
    bonds=(Bond("jam", "jam", 900.0, 1800, along=Along("road", 600.0)), Bond("loud", "loud", 600.0, 1200)),
)
INDOORS = rule(
    "indoors",
    *(CROWD, LOUD),
    when=AnyOf((Share(("crowd", "loud"), "building", 0.5, 5400), Share(("loud",), "building", 0.4))),
    bonds=(Bond("loud", "loud", 600.0, 1800),),
)
DRIFTING = rule(
    "drifting",
    *(JAM, LOUD),
    when=AllOf((Present("loud"), Present("jam"))),
    bonds=(Bond("jam", "loud", 900.0, 1800, wind=Wind("wind_from_deg", down=False, unknown_joins=True)),),
)
RULES = (FIRST_NOISE, MANY, QUIET, PERHAPS, LEVELS, SAME, TOGETHER, INDOORS, DRIFTING)


def noise(type_: str, entity: str, start_ms: int, north_m: float) -> Signal:
    """Quarter of an hour of something that the sensors of noise tell."""
    made = congestion(entity, start_ms, north_m=north_m, domain=NOISE[0], kind=NOISE[1], type=type_)
    id_ = signal_id(made.city, *NOISE, type_, entity, "15m", start_ms)
    return replace(made, id=id_, end_ms=start_ms + 15 * MINUTE, window="15m")


def heard(time_ms: int, *noise_partitions: int) -> list[Watermarks]:
    """Every source has passed a time; of noise only these partitions (all, if none is named)."""
    sources = [(*source, range(count)) for source, count in SOURCES.items() if source != NOISE]
    reports = [Watermarks(domain, kind, dict.fromkeys(parts, time_ms)) for domain, kind, parts in sources]
    return [*reports, Watermarks(*NOISE, dict.fromkeys(noise_partitions or range(SOURCES[NOISE]), time_ms))]


CABINET = (("cabinet", "c1"), ("cabinet_entities", "4"))
LARGE, SMALL = (("building", "b1"), ("building_entities", "6")), (("building", "b2"), ("building_entities", "4"))
ROADS = ((), (*LARGE, *CABINET, ("road", "north")), (*SMALL, ("road", "south")))
WINDS = ((), (Evidence("wind_from_deg", 190.0, 0.0),), (Evidence("wind_from_deg", 20.0, 0.0),))
TYPES = {"loud": "noise_burst", "plan": "planned", "blind": "dead"}
CHOICES: tuple[Sequence[Any], ...] = (
    ("crowd", "jam", "jam", "loud", "plan", "blind"),
    range(7),  # places
    range(37),  # slots of five minutes
    (50.0, 150.5, 1200.0, 2500.25),  # counts
    WINDS,
    (0.1, 0.9),  # scores
    (Severity.MINOR, Severity.SEVERE),
    ROADS,
)


def signal_of(choices: Sequence[Any]) -> Signal:
    """A signal of a street of 1.5 km within three hours, on a grid, so that bounds are often met exactly."""
    what, place, slot, count, wind, score, severity, road = choices
    start_ms = NOON + slot * 5 * MINUTE
    if what == "crowd":
        made = crowding(f"gate-{place}", NOON + slot // 12 * HOUR, north_m=place * 250.0)
    elif what == "jam":
        made = congestion(f"road-{place}", start_ms, north_m=place * 200.0)
    else:
        made = noise(TYPES[what], f"mic-{place}", start_ms, place * 230.0)
    evidence = (Evidence("count_sum", count, 0.0, 0.0), *wind)
    # Of some places nobody knows where on the road they lie.
    labels = (*road, ("road_m", f"{place * 200}")) if road and place % 3 else road
    return replace(made, score=score, severity=severity, attributes=labels, evidence=evidence)


SIGNALS = st.tuples(*map(st.sampled_from, CHOICES)).map(signal_of)


def chosen(chance: random.Random) -> Signal:
    """One of them by chance."""
    return signal_of([chance.choice(choice) for choice in CHOICES])


@st.composite
def histories(draw: st.DrawFn, least: int = 3, most: int = 26) -> list[Signal]:
    """Signals with up to three versions each: retracted, moved, about another street."""
    versions = []
    for signal in draw(st.lists(SIGNALS, min_size=least, max_size=most, unique_by=lambda s: s.id)):
        for revision in range(1, 1 + draw(st.sampled_from([1, 1, 2, 3]))):
            retracted = draw(st.sampled_from([False, False, False, True]))
            moved = signal.latitude + draw(st.sampled_from([0.0, 0.0, 300.0])) * DEGREE_PER_M
            attributes = draw(st.sampled_from(ROADS)) if revision > 1 else signal.attributes
            versions.append(
                replace(signal, revision=revision, retracted=retracted, latitude=moved, attributes=attributes)
            )
    return versions
