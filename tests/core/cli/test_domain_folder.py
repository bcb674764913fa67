"""A folder that is no whole domain is named, with what is missing or wrong."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from services.cli.domain_folder import TAKEN_DOMAINS, TAKEN_KINDS, clashes, faults_of
from services.cli.domains import DomainError, find_domains, read_domain
from services.core.kind import Domain
from services.runtime import declared
from services.runtime.migrations import INTERNAL_TABLES, SERVICES, SHARED_TABLES
from services.traffic.domain import RAIL_CALL, ROAD_FLOW, TRAFFIC

ROADS = replace(TRAFFIC, kinds=(ROAD_FLOW,))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A whole folder of the domain traffic, whose contracts are there."""
    made = tmp_path / "traffic"
    (made / "schema").mkdir(parents=True)
    for name in ("__init__.py", "__main__.py", "schema/001_x.up.sql"):
        (made / name).touch()
    return made


@pytest.mark.parametrize("domain", find_domains(), ids=lambda domain: domain.name)
def test_every_domain_is_whole(domain: Domain):
    assert faults_of(SERVICES / domain.name, domain) == []


@pytest.mark.parametrize("name", ["__init__.py", "__main__.py", "schema/001_x.up.sql"])
def test_a_missing_file_is_named(folder: Path, name: str):
    (folder / name).unlink()
    (fault,) = faults_of(folder, ROADS)
    assert name.replace("001_x", "*") in fault
    assert "`urban draft traffic` writes it" in fault


def test_a_missing_contract_is_named_with_what_makes_it(folder: Path):
    gone = replace(TRAFFIC, kinds=(ROAD_FLOW, replace(RAIL_CALL, name="bus_call")))
    (fault,) = faults_of(folder, gone)
    assert "urban.traffic.v1.bus_call_pb2 is missing" in fault
    assert "proto/urban/traffic/v1/bus_call.proto" in fault
    assert "`make proto`" in fault


def test_a_domain_without_any_contract_is_told_of_every_one(tmp_path: Path):
    faults = [f for f in faults_of(tmp_path / "water", replace(ROADS, name="water")) if "_pb2" in f]
    assert [fault.split()[0] for fault in faults] == ["urban.water.v1.road_flow_pb2", "urban.water.v1.service_pb2"]


def test_a_domain_has_the_name_of_its_folder(folder: Path):
    faults = faults_of(folder.rename(folder.with_name("roads")), ROADS)
    assert faults == ["domain.py declares 'traffic'; a domain has the name of its folder"]


@pytest.mark.parametrize(
    "name", ["windows", "signals", "service", "Road", "road-flow", "road_windows", "road__flow", ""]
)
def test_a_name_that_no_kind_can_have_is_refused(folder: Path, name: str):
    faults = faults_of(folder, replace(TRAFFIC, kinds=(replace(ROAD_FLOW, name=name),)))
    assert faults[0].startswith(f"{name!r} is no name for a kind")


@pytest.mark.parametrize("name", ["correlation", "urban", "common", "Water", "9th"])
def test_a_name_that_no_domain_can_have_is_refused(tmp_path: Path, name: str):
    assert any(
        f.startswith(f"{name!r} is no name for a domain") for f in faults_of(tmp_path / name, replace(ROADS, name=name))
    )


def test_a_domain_needs_a_kind(folder: Path):
    assert "traffic has no kind of observation" in faults_of(folder, replace(TRAFFIC, kinds=()))


def test_the_names_that_are_taken_are_all_that_every_domain_has():
    assert TAKEN_KINDS >= SHARED_TABLES | INTERNAL_TABLES
    assert {path.name for path in SERVICES.iterdir() if path.is_dir() and path.name[0] != "_"} <= TAKEN_DOMAINS | {
        domain.name for domain in find_domains()
    }


def test_two_domains_cannot_have_a_kind_of_one_name():
    assert clashes([TRAFFIC, replace(ROADS, name="roads")]) == [
        "traffic.road_flow and roads.road_flow: kinds need names of their own"
    ]
    assert clashes(find_domains()) == []


def test_a_folder_that_declares_nothing_is_told_what_there_is():
    with pytest.raises(DomainError, match=r"services/water/domain\.py is missing; there are community, environment"):
        read_domain("water")


def test_a_declaration_that_cannot_be_is_named_with_its_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    (tmp_path / "water").mkdir()
    (tmp_path / "water" / "domain.py").write_text("from services.core.kind import Window\n\nW = Window('1m', 0)\n")
    monkeypatch.setattr(declared, "ROOT", tmp_path)
    monkeypatch.setattr("services.__path__", [str(tmp_path)])
    with pytest.raises(DomainError, match=r"services/water/domain\.py: ValueError: window 1m: size 0 ms"):
        read_domain("water")
