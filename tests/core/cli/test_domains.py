"""Domains are found by their folders."""

from __future__ import annotations

from types import ModuleType

import pytest

from services.cli.domains import ROOT, domain_of, find_domains, find_kind, service_names
from services.traffic.domain import ROAD_FLOW, TRAFFIC


def test_every_folder_with_a_declaration_is_a_domain_in_the_order_of_names():
    names = [domain.name for domain in find_domains()]
    assert names == sorted(path.parent.name for path in ROOT.glob("*/domain.py"))
    assert {"community", "environment", "security", "traffic"} <= {*names}


def test_correlation_is_a_service_and_no_domain():
    assert service_names() == (*(domain.name for domain in find_domains()), "correlation")


def test_a_kind_is_found_by_domain_and_name():
    assert find_kind("traffic.road_flow") == (TRAFFIC, ROAD_FLOW)


@pytest.mark.parametrize("name", ["road_flow", "traffic.", "traffic.road", "traffic.road_flow.v1", ".road_flow", ""])
def test_an_unknown_kind_names_those_that_exist(name):
    with pytest.raises(ValueError, match=r"traffic\.road_flow"):
        find_kind(name)


def test_a_declaration_holds_exactly_one_domain():
    module = ModuleType("services.twice.domain")
    with pytest.raises(ValueError, match="one value of type Domain, not 0"):
        domain_of(module)
    vars(module).update(ONE=TRAFFIC, TWO=TRAFFIC)
    with pytest.raises(ValueError, match="one value of type Domain, not 2"):
        domain_of(module)
