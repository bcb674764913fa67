"""Commands find a running city by its file or by variables, and say what to do where there is none."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from services.cli.addresses import NothingRunsError, find_addresses, find_root

DOCUMENT = {
    "kafka": "127.0.0.1:9092",
    "clickhouse": "http://127.0.0.1:8123",
    "services": {"traffic": {"grpc": "127.0.0.1:5001", "metrics": "http://127.0.0.1:5002/metrics", "pid": 7}},
}


def write(root: Path, **more: object) -> None:
    root.mkdir(parents=True, exist_ok=True)
    (root / "endpoints.json").write_text(json.dumps({**DOCUMENT, **more}))


def test_the_file_tells_the_addresses(tmp_path):
    write(tmp_path, pid=os.getpid())
    found = find_addresses(tmp_path, {})
    assert (found.kafka, found.clickhouse) == ("127.0.0.1:9092", "http://127.0.0.1:8123")
    assert found.service("traffic").grpc == "127.0.0.1:5001"


def test_variables_win_over_the_file(tmp_path):
    write(tmp_path, pid=os.getpid())
    told = {"URBAN_KAFKA": "k:1", "URBAN_SERVICES": '{"community": "c:2"}'}
    found = find_addresses(tmp_path, told)
    assert found.kafka == "k:1"
    assert found.service("community").grpc == "c:2"
    assert found.service("traffic").grpc == "127.0.0.1:5001"


def test_variables_alone_are_enough(tmp_path):
    found = find_addresses(tmp_path, {"URBAN_KAFKA": "k:1", "URBAN_CLICKHOUSE": "http://c:2"})
    assert found.clickhouse == "http://c:2"


def test_where_nothing_runs_the_reader_is_told_what_to_do(tmp_path):
    with pytest.raises(NothingRunsError, match="start it with `urban up`"):
        find_addresses(tmp_path, {})


def test_the_file_of_a_process_that_is_gone_is_not_believed(tmp_path):
    gone = subprocess.run([sys.executable, "-c", "import os; print(os.getpid())"], capture_output=True, check=True)
    write(tmp_path, pid=int(gone.stdout))
    with pytest.raises(NothingRunsError, match="nothing runs here"):
        find_addresses(tmp_path, {})


def test_a_service_without_an_address_is_named(tmp_path):
    write(tmp_path, pid=os.getpid())
    with pytest.raises(NothingRunsError, match=r"'security'.*known: traffic"):
        find_addresses(tmp_path, {}).service("security")


def test_variables_that_are_no_json_are_named(tmp_path):
    with pytest.raises(NothingRunsError, match="URBAN_SERVICES"):
        find_addresses(tmp_path, {"URBAN_SERVICES": "traffic=host:1"})


def test_the_nearest_city_upwards_is_taken(tmp_path, monkeypatch):
    write(tmp_path / ".urban")
    deep = tmp_path / "a" / "b"
    deep.mkdir(parents=True)
    monkeypatch.chdir(deep)
    assert find_root(None) == tmp_path / ".urban"
    assert find_root(deep) == deep


def test_without_a_city_the_folder_is_here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert find_root(None) == tmp_path / ".urban"
