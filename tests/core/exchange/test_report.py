"""What a neighbour learns of an incident, and what it never does."""

from __future__ import annotations

from dataclasses import replace

import h3.api.basic_int as h3
import pytest

from services.core.correlation.incident import IncidentState
from services.core.exchange import LEAST_PEOPLE, Border, report_of
from services.core.exchange.border import cell_named, is_cell_of_reports
from services.core.signals import Evidence, Signal
from tests.core.correlation.city import NAN, congestion
from tests.core.exchange.border import BORDER, FAR, MIDDLE, PLACE, facts


def counted(people: float, entity_id: str = "bridge", measure: str = "count_sum") -> Signal:
    (crowd,) = facts().signals
    return replace(crowd, entity_id=entity_id, evidence=(Evidence(measure, people, 100.0),))


def test_it_tells_cells_rule_time_and_numbers_by_domain_and_no_entity():
    road = replace(congestion("road-77"), latitude=PLACE[0], longitude=PLACE[1], h3_cell=7)
    told = report_of(facts(signals=(*facts().signals, road, road)), BORDER, told=False)
    assert told is not None
    assert told.cells == (MIDDLE,)
    assert told.signals == (("community", 1), ("traffic", 2))
    assert not {"bridge", "road-77", road.id, str(PLACE[0])} & set(repr(told).replace("'", " ").split())


@pytest.mark.parametrize(
    ("signals", "people"),
    [
        ((counted(LEAST_PEOPLE),), LEAST_PEOPLE),
        ((counted(LEAST_PEOPLE - 1),), 0),
        ((counted(NAN),), 0),
        ((counted(40), counted(60), counted(50)), 60),  # one place, counted three times
        ((counted(6), counted(7, "square")), 13),
        ((counted(5), counted(4, "square")), 0),
        ((counted(50, measure="robust_z"),), 0),
        ((congestion(),), 0),
    ],
)
def test_fewer_people_than_ten_are_not_told(signals, people):
    told = report_of(facts(signals=signals), BORDER, told=False)
    assert told is not None
    assert told.people == people


def test_only_what_lies_in_the_border_is_told_and_only_those_of_its_cells():
    latitude, longitude = h3.cell_to_latlng(FAR)
    inland = replace(congestion("road-1"), latitude=latitude, longitude=longitude, h3_cell=FAR)
    both = report_of(facts(signals=(*facts().signals, inland)), BORDER, told=False)
    assert both is not None
    assert both.cells == (MIDDLE,)
    assert report_of(facts(signals=(inland,)), BORDER, told=False) is None


def test_an_incident_whose_signals_have_no_place_lies_where_its_middle_is():
    nowhere = replace(congestion(), latitude=NAN, longitude=NAN, h3_cell=0)
    told = report_of(facts(signals=(nowhere,)), BORDER, told=False)
    assert told is not None
    assert told.cells == (MIDDLE,)
    assert report_of(facts(signals=(nowhere,), latitude=NAN, longitude=NAN), BORDER, told=False) is None


@pytest.mark.parametrize("state", [IncidentState.RETRACTED, IncidentState.SUPERSEDED, IncidentState.MERGED])
def test_of_one_that_is_gone_a_neighbour_learns_that_it_is_gone_if_it_knew_of_it(state):
    gone = facts(state=state, revision=4, signals=(counted(500),))
    assert report_of(gone, BORDER, told=False) is None
    told = report_of(gone, BORDER, told=True)
    assert told is not None
    assert (told.stands, told.over, told.cells, told.signals, told.people) == (False, True, (), (), 0)


def test_one_that_left_the_border_is_told_without_cells():
    latitude, longitude = h3.cell_to_latlng(FAR)
    moved = report_of(facts(signals=(), latitude=latitude, longitude=longitude), BORDER, told=True)
    assert moved is not None
    assert (moved.stands, moved.cells) == (False, ())


def test_a_border_of_coarser_cells_holds_those_inside():
    coarse = Border([h3.cell_to_parent(MIDDLE, 5)])
    assert coarse.holds(MIDDLE)
    assert not coarse.holds(next(iter(h3.grid_ring(MIDDLE, 20))))


def test_a_border_refuses_what_is_no_cell_or_too_exact():
    with pytest.raises(ValueError, match="7b is no H3 cell"):
        Border([123])
    with pytest.raises(ValueError, match="has resolution 9"):
        Border([h3.cell_to_children(MIDDLE, 9)[0]])
    assert cell_named(f"{MIDDLE:x}") == MIDDLE
    for text in ("", "87", "street", "-7"):
        with pytest.raises(ValueError, match="is no H3 cell"):
            cell_named(text)
    assert is_cell_of_reports(MIDDLE)
    assert not is_cell_of_reports(h3.cell_to_parent(MIDDLE, 6))
    assert not is_cell_of_reports(5)
