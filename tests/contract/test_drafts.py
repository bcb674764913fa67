"""Drafts of contracts and tables: but for the words, what people wrote for every kind that is there."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import pytest

from services.cli.domains import constant_of
from services.cli.drafts.files import left_to_people, missing_files
from services.cli.drafts.proto import kind_proto, service_proto
from services.cli.drafts.sql import baselines_sql, domain_sql, kind_sql, signal_attributes_sql
from services.core.kind import Aggregate, Column, ColumnType, Domain, Kind, Measure
from services.runtime.contracts import FrameContract
from services.runtime.migrations import INTERNAL_TABLES, SHARED_TABLES
from services.traffic.domain import RAIL_CALL, ROAD_FLOW, TRAFFIC
from tests.contract.domains import CONTRACTS, DOMAINS, SERVICES

ROOT = SERVICES.parent
_TABLE = re.compile(r"CREATE TABLE IF NOT EXISTS (\w+)\n\(\n(.*?)\n\)\n(.*?)\nCOMMENT", re.DOTALL)
# How a column is packed, filled and how long it is kept is for people to decide; so is the time that rows are kept.
_COLUMN = re.compile(r"^ +(\w+) +(\w+)", re.MULTILINE)
_KEY = re.compile("^(ENGINE|ORDER BY) ?(.*)", re.MULTILINE)
_ADDED = re.compile(r"ADD COLUMN IF NOT EXISTS (\w+) +(\w+)")

Tables = dict[str, tuple[dict[str, str], dict[str, str]]]  # columns with their types, engine and order


def without_comments(proto: str) -> list[str]:
    return [" ".join(line.split()) for line in re.sub("//.*", "", proto).splitlines() if line.strip()]


def tables_of(sql: str) -> Tables:
    """What the statements create and add."""
    found: Tables = {}
    for name, columns, behind in _TABLE.findall(sql):
        found[name] = (dict(_COLUMN.findall(columns)), dict(_KEY.findall(behind)))
    for name, added in re.findall(r"^ALTER TABLE (\w+)\n(.*?);\n", sql, re.DOTALL | re.MULTILINE):
        found[name][0].update(_ADDED.findall(added))
    return found


def written_tables(domain: str) -> Tables:
    return tables_of("".join(path.read_text() for path in sorted((SERVICES / domain / "schema").glob("*.up.sql"))))


@pytest.mark.parametrize("contract", CONTRACTS, ids=lambda contract: contract.kind.name)
def test_the_contract_of_a_kind_is_what_was_written(contract: FrameContract):
    written = (ROOT / "proto" / contract.frame.DESCRIPTOR.file.name).read_text()
    assert without_comments(kind_proto(contract.domain, contract.kind)) == without_comments(written)


@pytest.mark.parametrize("domain", DOMAINS, ids=lambda domain: domain.name)
def test_the_contract_of_a_service_is_what_was_written(domain: Domain):
    written = (ROOT / "proto" / "urban" / domain.name / "v1" / "service.proto").read_text()
    assert without_comments(service_proto(domain)) == without_comments(written)


@pytest.mark.parametrize("contract", CONTRACTS, ids=lambda contract: contract.kind.name)
def test_the_tables_of_a_kind_are_what_was_written(contract: FrameContract):
    written = written_tables(contract.domain)
    for name, table in tables_of(kind_sql(contract.kind)).items():
        assert table == written[name]


@pytest.mark.parametrize("domain", DOMAINS, ids=lambda domain: domain.name)
def test_the_tables_of_a_domain_are_what_was_written(domain: Domain):
    drafted, written = tables_of(domain_sql(domain.name)), written_tables(domain.name)
    assert drafted.keys() == SHARED_TABLES
    assert drafted == {name: written[name] for name in drafted}


def test_baselines_are_what_was_written():
    drafted = tables_of(baselines_sql())
    assert drafted.keys() == INTERNAL_TABLES - {"schema_versions"}
    assert drafted == {"baselines": written_tables("community")["baselines"]}


@pytest.mark.parametrize("domain", DOMAINS, ids=lambda domain: domain.name)
def test_a_domain_that_is_whole_lacks_nothing(domain: Domain):
    assert missing_files(ROOT, domain, constant_of(domain.name)) == []
    assert left_to_people(ROOT, domain) == []


def test_a_draft_of_the_process_is_what_was_written(tmp_path: Path):
    drafts = {draft.path: draft.text for draft in missing_files(tmp_path, TRAFFIC, "TRAFFIC")}
    for name in ("__init__.py", "__main__.py"):
        path = Path("services/traffic") / name
        assert drafts[path] == (ROOT / path).read_text()


def test_a_new_kind_gets_its_contract_and_the_next_migration(tmp_path: Path):
    """A domain of one kind, as drafted, and then a second one."""
    roads = replace(TRAFFIC, kinds=(ROAD_FLOW,))
    for path, text in missing_files(tmp_path, roads, "TRAFFIC"):
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_text(text)
    both = replace(TRAFFIC, kinds=(ROAD_FLOW, RAIL_CALL))
    assert [str(draft.path) for draft in missing_files(tmp_path, both, "TRAFFIC")] == [
        "proto/urban/traffic/v1/rail_call.proto",
        "services/traffic/schema/003_rail_call.up.sql",
    ]
    (told,) = left_to_people(tmp_path, both)
    for line in (
        'import "urban/traffic/v1/rail_call.proto";',
        "RailCall rail_call = 17;",
        "RailCallFrame rail_call = 17;",
    ):
        assert f" {line}\n" in f"{told}\n"


def test_a_baseline_that_comes_later_gets_its_table(tmp_path: Path):
    community = next(domain for domain in DOMAINS if domain.name == "community")
    plain = replace(community, kinds=tuple(replace(kind, baseline=None) for kind in community.kinds))
    for path, text in missing_files(tmp_path, plain, "COMMUNITY"):
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_text(text)
    (draft,) = missing_files(tmp_path, community, "COMMUNITY")
    assert draft.path.name == f"{len(community.kinds) + 2:03}_baselines.up.sql"


def test_signals_that_were_drafted_without_attributes_get_them_by_the_next_migration(tmp_path: Path):
    roads = replace(TRAFFIC, kinds=(ROAD_FLOW,))
    schema = tmp_path / "services/traffic/schema"
    for path, text in missing_files(tmp_path, roads, "TRAFFIC"):
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_text(text)
    operations = schema / "001_operations.up.sql"
    lines = operations.read_text().splitlines(keepends=True)
    operations.write_text("".join(line for line in lines if not line.startswith("    attributes ")))
    (draft,) = missing_files(tmp_path, roads, "TRAFFIC")
    assert (draft.path.name, draft.text) == ("003_signal_attributes.up.sql", signal_attributes_sql())
    (tmp_path / draft.path).write_text(draft.text)
    assert missing_files(tmp_path, roads, "TRAFFIC") == []


@pytest.mark.parametrize("domain", DOMAINS, ids=lambda domain: domain.name)
def test_the_attributes_of_signals_came_to_every_domain_by_one_text(domain: Domain):
    """Or are there from the beginning, as in one that was drafted since."""
    folder = SERVICES / domain.name / "schema"
    written = [path.read_text() for path in folder.glob("*_signal_attributes.up.sql")]
    drafted = folder / "001_operations.up.sql"
    since = drafted.is_file() and "    attributes " in drafted.read_text()
    assert written == ([] if since else [signal_attributes_sql()])


def test_the_table_of_an_index_is_left_to_people(tmp_path: Path):
    environment = next(domain for domain in DOMAINS if domain.name == "environment")
    names = [index.name for kind in environment.kinds for index in kind.indices]
    told = left_to_people(tmp_path, environment)
    assert names
    assert [line.split()[2] for line in told if line.startswith("the index ")] == names


def test_every_measure_has_words_for_it():
    codes = ((1, "ON"), (2, "OFF"))
    plain = [a for a in Aggregate if a not in (Aggregate.QUANTILE, Aggregate.TOP)]
    kind = replace(
        ROAD_FLOW,
        columns=(Column("load_kn", "kN", 0, 9), Column("state", "LoadState", 1, 2, type=ColumnType.CODE, codes=codes)),
        measures=(
            Measure("load_kn", (*plain, Aggregate.QUANTILE), percents=(50, 99)),
            Measure("state", (Aggregate.DISTINCT, Aggregate.TOP), tops=2),
        ),
        any_of=(),
        detectors=(),
    )
    assert set(kind.measure_names()) <= tables_of(kind_sql(kind))["road_flow_windows"][0].keys()
    words = kind_sql(kind)
    for told in ("'Load in kN: greatest; NaN: none'", "'State: number of a value of LoadState; 0: not told'"):
        assert f"COMMENT {told}" in words


def test_columns_that_share_an_enum_declare_it_once():
    codes = ((1, "ON"), (2, "OFF"))
    both = tuple(Column(name, "LoadState", 1, 2, type=ColumnType.CODE, codes=codes) for name in ("before", "after"))
    kind: Kind = replace(ROAD_FLOW, columns=both, measures=(), any_of=(), detectors=())
    assert kind_proto("traffic", kind).count("enum LoadState {") == 1
