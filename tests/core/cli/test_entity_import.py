"""An import checks everything before it writes anything, and where it stops it tells how far it came."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import grpc
import pytest
from typer.testing import CliRunner

from services.cli import calls
from services.cli.main import app
from urban.common.v1.service_pb2 import BatchUpsertEntitiesRequest, BatchUpsertEntitiesResponse


class Away(grpc.RpcError):
    """What a stub raises where the service is gone."""

    def code(self) -> grpc.StatusCode:
        return grpc.StatusCode.UNAVAILABLE

    def details(self) -> str:
        return "Kafka does not answer"

    def trailing_metadata(self) -> Any:
        return ()


class Service:
    """Keeps what it is given; refuses to check what is called odd, and goes away after some batches."""

    def __init__(self, batches_until_away: int) -> None:
        self.written: list[str] = []
        self._left = batches_until_away

    def BatchUpsertEntities(self, request: BatchUpsertEntitiesRequest, timeout: float) -> Any:
        if request.validate_only:
            odd = [i for i, e in enumerate(request.entities) if e.display_name == "odd"]
            return BatchUpsertEntitiesResponse(
                rejections=[{"index": i, "field": "display_name", "value": "odd", "reason": "is odd"} for i in odd]
            )
        if not self._left:
            raise Away
        self._left -= 1
        self.written += [entity.name.rpartition("/")[2] for entity in request.entities]
        return BatchUpsertEntitiesResponse(upserted=len(request.entities))


def run(monkeypatch: pytest.MonkeyPatch, folder: Path, service: Service, names: list[str], *options: str) -> Any:
    @contextmanager
    def open_stub(addresses: Any, domain: str) -> Iterator[Service]:
        assert domain == "traffic"
        yield service

    monkeypatch.setattr(calls, "open_stub", open_stub)
    for name, value in (("KAFKA", "k:1"), ("CLICKHOUSE", "http://c:1"), ("ROOT", str(folder))):
        monkeypatch.setenv(f"URBAN_{name}", value)
    file = folder / "entities.csv"
    file.write_text("id,type,name\n" + "".join(f"e{i},gate,{name}\n" for i, name in enumerate(names)))
    return CliRunner().invoke(app, ["entities", "import", "traffic", str(file), *options])


def test_all_batches_are_written_in_the_order_of_the_file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    service = Service(9)
    found = run(monkeypatch, tmp_path, service, ["good"] * 2_500)
    assert (found.exit_code, found.stdout) == (0, "2,500 entities imported\n")
    assert service.written == [f"e{i}" for i in range(2_500)]


def test_what_the_service_finds_wrong_in_the_last_batch_keeps_the_first_from_being_written(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
):
    service = Service(9)
    found = run(monkeypatch, tmp_path, service, ["good"] * 2_400 + ["odd"])
    assert (found.exit_code, found.stdout, service.written) == (1, "", [])
    assert found.stderr.splitlines() == [
        "line 2402: display_name = odd: is odd",
        "urban: 1 of 2,401 are wrong: nothing was imported",
    ]


def test_an_import_that_stops_says_what_is_there_and_where_it_stopped(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    service = Service(2)
    found = run(monkeypatch, tmp_path, service, ["good"] * 2_500)
    assert (found.exit_code, found.stdout, len(service.written)) == (1, "", 2_000)
    assert found.stderr.splitlines() == [
        "2,000 of 2,500 entities are imported: line 2 to line 2001",
        "urban: stopped at line 2002: UNAVAILABLE: Kafka does not answer (import the file again: what is there is"
        " written anew)",
    ]


def test_a_dry_run_writes_nothing(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    service = Service(9)
    found = run(monkeypatch, tmp_path, service, ["good"] * 3, "--dry-run")
    assert (found.exit_code, found.stdout, service.written) == (0, "3 entities would be imported\n", [])


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        (["--city", "Auckland"], "--city 'Auckland': must be 1 to 63 of a-z, 0-9 and '-'"),
        (["--id", "no"], "line 1: there is no column 'no'"),
        (["--format", "geojson"], "is no JSON"),
    ],
)
def test_what_cannot_be_asked_for_is_refused(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, options: list[str], reason: str
):
    found = run(monkeypatch, tmp_path, Service(9), ["good"], *options)
    assert found.exit_code == 1
    assert reason in found.stderr


def test_a_file_without_entities_is_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    found = run(monkeypatch, tmp_path, Service(9), [])
    assert (found.exit_code, "there are no entities in it" in found.stderr) == (1, True)
