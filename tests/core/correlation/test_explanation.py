"""An incident says in a sentence or two what happened where, since when, on which figures, and what else is known."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.cli.domains import find_domains
from services.core.correlation.explanation import MAX_CHARACTERS, MAX_SIDES, explain
from services.core.correlation.incident import Incident, IncidentState, changed
from services.core.correlation.verdict import Outcome, Truth
from services.core.correlation.words import DETECTORS, SHARES, THINGS, UNITS, amount, distance, duration, measured
from services.core.signals import Evidence, Signal
from services.correlation.rules import FOLDER, load_rules
from tests.core.correlation.city import HOUR, MINUTE, NAN, NOON, Reader, both, congestion, crowding
from tests.core.correlation.explained import KEPT, explanations, first_incident

README = FOLDER.parent / "README.md"
KINDS = {kind.name: kind for domain in find_domains() for kind in domain.kinds}


def incident(*signals: Signal, **fields: object) -> Incident:
    """An incident of these signals, found by the rule of the crowd and the road where none are given."""
    found = Reader().read(crowding(), congestion(), *both(NOON + HOUR))[-1]
    return changed(found, **({"signals": signals, "signal_count": len(signals)} if signals else {}), **fields)


def of(kind: str, type_: str, *evidence: Evidence, entity: str = "a", **changes: object) -> Signal:
    return replace(crowding(entity), kind=kind, type=type_, evidence=evidence, **changes)  # type: ignore[arg-type]


def test_the_crowd_and_the_road():
    crowd = crowding()
    road = congestion(
        evidence=(Evidence("travel_time_index", 5.6, 2.0, 1.0), Evidence("speed_kmh_mean", 9.0, NAN, 50.0))
    )
    assert explain(incident(crowd, road)) == (
        "Unusual crowd and road congestion near queen-st: since 2024-06-02 12:00 UTC "
        "far more people than usual at queen-st (4,210 people against 1,800 usual); and "
        "slow traffic at road-1 (mean speed 9 km/h against 50 km/h in free flow), 100 m away, at the same time. "
        "No planned event explains it."
    )


def test_what_every_shipped_rule_says_is_kept():
    """`python -m tests.core.correlation.explained` writes the file anew: read what changed in it."""
    assert explanations() == KEPT.read_text()


@pytest.mark.parametrize("name", ["crowd_road_pressure", "noise_then_crowd", "rail_road_pressure"])
def test_the_examples_of_the_readme_are_what_it_says(name):
    rule = next(rule for rule in load_rules() if rule.name == name)
    section = README.read_text().split("## What an incident says", 1)[1].split("\n## ", 1)[0]
    assert " ".join(first_incident(rule).explanation.split()) in " ".join(section.replace("> ", "").split())


def test_the_strongest_signal_tells_and_the_others_are_counted():
    jams = [congestion(f"r{i}", score=i / 10, evidence=(Evidence("speed_kmh_mean", 10.0 + i, NAN),)) for i in range(4)]
    again = replace(jams[3], id="other", start_ms=NOON + 10 * MINUTE, end_ms=NOON + 15 * MINUTE, score=0.1)
    assert "slow traffic at r3 (mean speed 13 km/h) and 3 others, 100 m away" in explain(
        incident(crowding(), *jams, again)
    )
    assert "slow traffic at r1 (mean speed 11 km/h) and 1 other, 100 m" in explain(incident(crowding(), *jams[:2]))


def test_what_comes_later_says_how_much_later():
    later = congestion("r", NOON + HOUR + 24 * MINUTE, north_m=2_340)
    assert "slow traffic at r, 2.34 km away, 24 minutes later" in explain(incident(crowding(evidence=()), later))
    at_once = congestion("r", NOON + HOUR, north_m=2_340)
    assert "slow traffic at r, 2.34 km away, right after it" in explain(incident(crowding(evidence=()), at_once))


def test_of_three_the_third_is_told_from_the_first():
    three = crowding(), congestion(north_m=0.0), replace(congestion("b", north_m=250), type="sudden_stop")
    text = explain(incident(*three))
    assert "at road-1, at the same place, at the same time; and" in text
    assert "stopped suddenly at b, 250 m from the first, at the same time." in text


def test_of_one_kind_alone_it_says_how_far_it_reaches():
    text = explain(incident(crowding("a"), crowding("b", north_m=400), extent_m=200.0))
    assert "and 1 other, all within 200 m of their middle." in text


@pytest.mark.parametrize(
    ("signal", "text"),
    [
        (
            of("noise", "unusual_laeq_db_p50", Evidence("laeq_db_p50", 78.2, NAN, 60.0)),
            "an unusually high median noise level at a (78.2 dB against 60 dB usual).",
        ),
        (
            of(
                "passage",
                "unusual_count_out_sum",
                Evidence("count_out_sum", NAN, NAN),
                Evidence("unusual_score", 1, 0.9),
            ),
            "an unusual number of people counted out at a.",
        ),
        (
            of("passage", "unusual_count_in_sum", Evidence("sigmas_from_expected", -8.04, NAN)),
            "unusually few people counted in at a (8.04 standard deviations below what was expected).",
        ),
        (
            of("emergency_call", "unusual_calls_sum", Evidence("calls_sum", 1, NAN, 0.1), entity="fire:88bb"),
            "unusually many fire calls in area 88bb (1 call against 0.1 usual).",
        ),
        # Another kind's ids are no categories.
        (of("road_flow", "sudden_stop", entity="nzta:7"), "traffic that stopped suddenly at nzta:7."),
        (
            of("people_count", "over_capacity", Evidence("count_max", 5200, 4000)),
            "more people than the place may hold at a (5,200 people against a capacity of 4,000).",
        ),
        (
            of("people_count", "over_capacity", Evidence("count_max", NAN, 4000)),
            "more people than the place may hold at a.",
        ),
        # Of several pollutants the one that has risen.
        (
            of(
                *("air_quality", "pollution_rise"),
                *(Evidence("pm2_5_ug_m3_rise", 3.0, 37.5, 8.0), Evidence("so2_ug_m3_rise", 90.0, 75.0, 4.0)),
            ),
            "air much worse than in the three hours before at a"
            " (rise of SO2 90 µg/m³ against a threshold of 75 µg/m³).",
        ),
        (of("emergency_call", "hoax", entity="fire:88bb"), "fire hoax in area 88bb."),
        # Of a domain that is new.
        (
            of("tide", "high_water", Evidence("robust_z", 9, 5), Evidence("level_m_max", 3.25, 3.0)),
            "high water at a (greatest level 3.25 m against a threshold of 3 m).",
        ),
        (of("tide", "high_water", Evidence("freeman_tukey_z", 9, 5)), "high water at a."),
    ],
)
def test_a_finding_says_what_its_detector_means(signal, text):
    assert f"since 2024-06-02 12:00 UTC {text}" in explain(incident(signal))


@pytest.mark.parametrize(
    ("outcome", "text"),
    [
        (Outcome("no camera within 100 m", Truth.HELD, 0.0, 0.0), 'There was no signal "camera" within 100 m.'),
        (
            Outcome("no camera within 100 m", Truth.UNKNOWN, 0.0, 0.0),
            'It is not known whether there was a signal "camera" within 100 m, since a sensor or a service is silent.',
        ),
        (
            Outcome("no camera within 100 m", Truth.PENDING, 0.0, 0.0),
            'It is not known yet whether there was a signal "camera" within 100 m.',
        ),
        (Outcome("no camera within 100 m", Truth.NOT_HELD, 2.0, 0.0), ""),
        (
            Outcome("share of cabinet of camera, detector within 60 s", Truth.HELD, 0.5, 0.5),
            "These are 50% of all entities of one cabinet.",
        ),
        (Outcome("share of cabinet of camera within 60 s", Truth.NOT_HELD, NAN, 0.5), ""),
        (Outcome("loud, then crowd within 4200 s", Truth.HELD, 4200.0, 4200.0), ""),
    ],
)
def test_conditions_that_signals_do_not_tell_themselves_are_told(outcome, text):
    before, after = explain(incident()), explain(incident(outcomes=(outcome,)))
    assert after == (before.replace(". No planned", f". {text} No planned") if text else before)


def test_a_planned_event_is_named():
    assert explain(incident(planned_event="cup-final")).endswith("The planned event cup-final explains it.")


def test_what_is_over_says_until_when():
    over = incident(state=IncidentState.RESOLVED, end_ms=NOON + HOUR)
    assert "near queen-st: from 2024-06-02 12:00 to 2024-06-02 13:00 UTC far more" in explain(over)


def test_a_version_that_changed_says_what_is_so_now():
    before = incident()
    assert before.explanation == explain(before)
    assert changed(before, planned_event="cup-final").explanation.endswith("The planned event cup-final explains it.")


def test_signals_that_it_does_not_list_are_counted():
    assert "It stands on 12,345 signals. No planned" in explain(incident(signal_count=12_345))


def test_many_kinds_of_finding_are_told_by_number():
    many = [of("tide", f"type_{i}", entity=f"e{i}", score=i / 10) for i in range(9)]
    text = explain(incident(*many))
    assert text.count("; ") == MAX_SIDES
    assert "; and 5 more kinds of finding." in text


NUMBERS = st.floats() | st.integers(-10, 10_000).map(float)
NAMES = st.from_regex(r"[a-z][a-z0-9_]{0,62}", fullmatch=True)
DECLARED = [(kind.name, detector.name) for kind in KINDS.values() for detector in kind.detectors]
MEASURES = [name for kind in KINDS.values() for name in kind.measure_names()]
EVIDENCE = st.builds(Evidence, NAMES | st.sampled_from([*MEASURES, "robust_z", "sigmas_from_expected"]), *[NUMBERS] * 3)


@st.composite
def signals(draw: st.DrawFn) -> Signal:
    kind, type_ = draw(st.sampled_from(DECLARED) | st.tuples(NAMES, NAMES))
    entity = draw(st.from_regex(r"[a-zA-Z0-9._~:-]{1,128}", fullmatch=True))
    made = of(kind, type_, *draw(st.lists(EVIDENCE, max_size=3)), entity=entity, score=draw(st.floats(0, 1)))
    start_ms = draw(st.sampled_from([NOON, NOON + HOUR, 0, 10**17]))
    metres = draw(st.floats(0, 20_000))
    return replace(
        made, id=draw(st.uuids()).hex, start_ms=start_ms, end_ms=start_ms + MINUTE, latitude=-36.0 + metres / 111_000
    )


@given(
    st.lists(signals(), min_size=1, max_size=9, unique_by=lambda signal: signal.id),
    st.text(st.characters(exclude_categories=["Cc", "Cs"]), max_size=300).filter(lambda t: t.strip() and "()" not in t),
    st.lists(
        st.builds(Outcome, NAMES.map("no {} within 100 m".format), st.sampled_from(Truth), NUMBERS, NUMBERS), max_size=3
    ),
    st.data(),
)
def test_it_is_a_sentence_whatever_the_signals_are_and_in_whatever_order(some, title, outcomes, data):
    made = incident(*some, title=title, start_ms=min(s.start_ms for s in some), outcomes=tuple(outcomes))
    text = explain(made)
    assert explain(changed(made, signals=tuple(data.draw(st.permutations(some))))) == text
    assert text.endswith(".")
    assert len(text) <= MAX_CHARACTERS
    assert "\n" not in text
    assert "  " not in text
    assert "()" not in text
    words = {word.strip('(),;%"') for word in text.replace(title, "").split()}
    own = {part for s in some for part in (s.entity_id, *s.type.split("_"), *s.entity_id.split(":"))}
    assert not {"nan", "None", "inf", "-inf"} & (words - own - {n for o in outcomes for n in o.condition.split()})


def test_every_detector_that_a_shipped_rule_names_has_words():
    named = {f"{s.kind}.{type_}" for rule in load_rules() for s in rule.selectors for type_ in s.types}
    assert {name for name in named if ".unusual_" not in name} <= set(DETECTORS)


def test_words_are_of_detectors_that_there_are():
    assert set(DETECTORS) <= {f"{kind}.{detector}" for kind, detector in DECLARED}


def test_units_and_things_are_those_of_the_declarations():
    written = {"p/m²": "people/m²", "1/m²": "people/m²", "veh/h": "vehicles/h", "dB(A)": "dB"}
    for kind in KINDS.values():
        for column in kind.columns:
            what, unit = measured(kind.name, f"{column.name}_mean"), written.get(column.unit, column.unit)
            if f"{kind.name}.{column.name}" in THINGS:
                assert what.noun.split()[0] == unit, column
            elif f"{kind.name}.{column.name}" in SHARES or any(column.name.endswith(end) for end in UNITS):
                assert what.unit == unit, column


def test_what_is_per_second_is_no_duration_also_in_a_domain_that_is_not_known_here():
    assert measured("machine", "vibration_mm_s_mean") == ("mean vibration", "mm/s", False)
    assert measured("machine", "delay_s_mean") == ("mean delay", "s", False)


@pytest.mark.parametrize(
    ("value", "unit", "text"),
    [(1234.5, "", "1,234"), (0.0456, "km/h", "0.0456 km/h"), (0.305, "1", "30.5%"), (90, "s", "90 seconds"),
     (1, "s", "1 second"), (0.25, "s", "0.25 seconds"), (1440, "s", "24 minutes"), (7200, "s", "2 hours"),
     (172_800, "s", "2 days"), (1e12, "m", "1e+12 m"), (180, "°", "180°")],
)  # fmt: skip
def test_amounts_are_readable(value, unit, text):
    assert amount(value, unit) == text


def test_distances_and_durations_are_rounded():
    assert [distance(m) for m in (12, 994, 996, 12_345)] == ["10 m", "990 m", "1 km", "12.3 km"]
    assert duration(119) == "119 seconds"
