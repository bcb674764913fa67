"""Contracts, declarations and tables say the same of every kind, and every field says what it is."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest

from services.core.kind import Column, ColumnType, Domain, Kind
from services.runtime.contracts import ContractError, FrameContract, service_of
from tests.contract.domains import BY_KIND, CONTRACTS, DOMAINS, SERVICES
from urban.traffic.v1 import road_flow_pb2

ROOT = SERVICES.parent
PROTOS = sorted((ROOT / "proto" / "urban").rglob("*.proto"))
ROAD_FLOW = BY_KIND["road_flow"].kind

_OPENING = re.compile(r"^\s*(message|enum|service|oneof|rpc)\s+\w+")
_MEMBER = re.compile(r"^\s*(?:(?:repeated|optional)\s+)?[\w.<>, ]+\s+\w+\s*=\s*\d+\s*(?:\[.*\])?;")

_CLICKHOUSE_TYPES = {ColumnType.FLOAT: "Float32", ColumnType.DOUBLE: "Float64", ColumnType.CODE: "UInt32"}


def _uncommented(path: Path) -> list[str]:
    lines = path.read_text().splitlines()
    return [
        f"{path.relative_to(ROOT)}:{number + 1}: {line.strip()}"
        for number, line in enumerate(lines)
        if (_OPENING.match(line) or _MEMBER.match(line)) and not lines[number - 1].strip().startswith("//")
    ]


@pytest.mark.parametrize("path", PROTOS, ids=lambda path: str(path.relative_to(ROOT / "proto")))
def test_every_message_field_value_and_call_has_a_comment(path: Path):
    assert _uncommented(path) == []


def test_a_field_without_a_comment_is_found(tmp_path, monkeypatch):
    file = tmp_path / "x.proto"
    file.write_text("// A.\nmessage A {\n  // b, in m.\n  float b = 1;\n  repeated float c = 2;\n}\n")
    monkeypatch.setattr("tests.contract.test_contracts.ROOT", tmp_path)
    assert _uncommented(file) == ["x.proto:5: repeated float c = 2;"]


def test_there_are_domains():
    assert {"traffic", "community", "security", "environment"} <= {domain.name for domain in DOMAINS}


@pytest.mark.parametrize("domain", DOMAINS, ids=lambda domain: domain.name)
def test_the_service_takes_every_kind_as_row_and_as_frame(domain: Domain):
    methods = service_of(domain.name).methods_by_name
    kinds = [kind.name for kind in domain.kinds]
    rows = methods["Report"].input_type.oneofs_by_name["observation"].fields
    frames = methods["ReportFrames"].input_type.oneofs_by_name["payload"].fields
    assert [field.name for field in rows] == kinds
    assert [field.name for field in frames] == ["replay_clock", *kinds]
    for kind, row, frame in zip(domain.kinds, rows, frames[1:], strict=True):
        contract = FrameContract.of(domain.name, kind)
        assert row.message_type is contract.row.DESCRIPTOR
        assert frame.message_type is contract.frame.DESCRIPTOR


@pytest.mark.parametrize("domain", DOMAINS, ids=lambda domain: domain.name)
def test_all_services_have_the_same_methods(domain: Domain):
    def shape(name: str) -> dict[str, tuple[bool, bool]]:
        return {m.name: (m.client_streaming, m.server_streaming) for m in service_of(name).methods}

    assert shape(domain.name) == shape("traffic")


@pytest.mark.parametrize("contract", CONTRACTS, ids=lambda contract: contract.kind.name)
def test_frames_begin_with_the_fields_that_all_share(contract: FrameContract):
    shared = {f.number: f.name for f in contract.frame.DESCRIPTOR.fields if f.number < 16}
    assert shared == {
        1: "header",
        2: "entity_ids",
        3: "entity",
        4: "base_time_ms",
        5: "time_offset_ms",
        6: "period_s",
    }


@pytest.mark.parametrize("contract", CONTRACTS, ids=lambda contract: contract.kind.name)
def test_row_and_frame_give_a_column_the_same_number(contract: FrameContract):
    row, frame = (
        {f.name: f.number for f in message.DESCRIPTOR.fields if f.number >= 16}
        for message in (contract.row, contract.frame)
    )
    assert row == frame
    assert list(row) == [column.name for column in contract.kind.columns]


@pytest.mark.parametrize("contract", CONTRACTS, ids=lambda contract: contract.kind.name)
def test_the_bounds_of_a_column_stand_in_the_comment_of_its_fields(contract: FrameContract):
    text = (ROOT / "proto" / contract.frame.DESCRIPTOR.file.name).read_text().splitlines()
    for column in (c for c in contract.kind.columns if not c.codes):
        comments = [text[i - 1] for i, line in enumerate(text) if re.search(rf"\b{column.name} = \d+;", line)]
        assert len(comments) == 2
        for comment in comments:
            assert f"{column.minimum:,.0f} to {column.maximum:,.0f}" in comment, f"{column.name}: {comment}"


@pytest.mark.parametrize("folder", sorted(SERVICES.glob("*/schema")), ids=lambda folder: folder.parent.name)
def test_no_two_migrations_have_one_number(folder: Path):
    """Two that were written side by side: no service of that schema would start."""
    numbers = Counter(path.name.partition("_")[0] for path in folder.glob("*.up.sql"))
    assert [number for number, count in numbers.items() if count > 1] == []


def _tables(contract: FrameContract) -> dict[str, dict[str, str]]:
    """Type of each column, by table, as the numbered SQL of the domain creates and alters them."""
    found: dict[str, dict[str, str]] = {}
    for path in sorted((SERVICES / contract.domain / "schema").glob("*.up.sql")):
        text = path.read_text()
        for table, body in re.findall(r"CREATE TABLE IF NOT EXISTS (\w+)\s*\n\(\n(.*?)\n\)\n", text, re.S):
            columns = (line.split() for line in body.splitlines())
            found[table] = {words[0]: words[1] for words in columns}
        for table, body in re.findall(r"ALTER TABLE (\w+)\n(.*?);\n", text, re.S):
            found[table] |= dict(re.findall(r"ADD COLUMN IF NOT EXISTS (\w+) +(\w+)", body))
    return found


@pytest.mark.parametrize("contract", CONTRACTS, ids=lambda contract: contract.kind.name)
def test_the_table_of_observations_has_the_columns_of_the_kind(contract: FrameContract):
    table = _tables(contract)[contract.kind.name]
    wanted = {column.name: _CLICKHOUSE_TYPES[column.type] for column in contract.kind.columns}
    assert {name: table.get(name) for name in wanted} == wanted
    others = table.keys() - wanted.keys() - {"stored_time"}
    assert others == {
        *("city", "entity_id", "time", "period_s", "source_id", "sequence"),
        *("kafka_partition", "kafka_offset", "kafka_index"),
    }


@pytest.mark.parametrize("contract", CONTRACTS, ids=lambda contract: contract.kind.name)
def test_the_table_of_windows_has_the_measures_of_the_kind(contract: FrameContract):
    table = _tables(contract)[f"{contract.kind.name}_windows"]
    wanted = dict.fromkeys(contract.kind.measure_names(), "Float64")
    assert {name: table.get(name) for name in wanted} == wanted
    others = table.keys() - wanted.keys() - {"stored_time"}
    assert others == {"city", "window", "entity_id", "start_time", "end_time", "kafka_partition", "revision"}


def _changed(**changes: object) -> Kind:
    first, *rest = ROAD_FLOW.columns
    return replace(ROAD_FLOW, columns=(replace(first, **changes), *rest), measures=(), any_of=(), detectors=())  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("kind", "named"),
    [
        (_changed(name="flow"), "flow"),
        (_changed(type=ColumnType.DOUBLE), "flow_veh_h"),
        (_changed(type=ColumnType.CODE, codes=((1, "ONE"),)), "flow_veh_h"),
        (replace(ROAD_FLOW, columns=(*ROAD_FLOW.columns, Column("more", "1", 0, 1))), "more"),
        (replace(ROAD_FLOW, columns=ROAD_FLOW.columns[::-1]), "heavy_share"),
    ],
)
def test_a_declaration_that_differs_from_its_contract_is_refused(kind: Kind, named: str):
    with pytest.raises(ContractError, match=named):
        FrameContract.of("traffic", kind)


def test_a_contract_that_was_not_made_is_named():
    with pytest.raises(
        ContractError, match=r"urban\.traffic\.v1\.bus_call_pb2 is missing.*v1/bus_call\.proto by `make"
    ):
        FrameContract.of("traffic", replace(ROAD_FLOW, name="bus_call"))
    with pytest.raises(ContractError, match=r"urban\.water\.v1\.service_pb2 is missing"):
        service_of("water")


def test_codes_that_differ_from_the_enum_are_refused():
    kind = BY_KIND["camera_event"].kind
    topic, *rest = kind.columns
    with pytest.raises(ContractError, match="topic"):
        FrameContract.of("security", replace(kind, columns=(replace(topic, codes=topic.codes[:-1]), *rest)))


def test_the_view_reads_the_columns_as_bytes_and_the_rest_as_it_is():
    view = BY_KIND["road_flow"].view.FromString(
        road_flow_pb2.RoadFlowFrame(entity_ids=["a"], entity=[7], period_s=60, speed_kmh=[1.0]).SerializeToString()
    )
    assert (list(view.entity), list(view.speed_kmh)) == ([b"\7\0\0\0"], [b"\0\0\x80\x3f"])
    assert (list(view.entity_ids), view.period_s) == (["a"], 60)
