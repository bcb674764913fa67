"""Industrial internet, the example of a fifth domain: two folders, by the steps of services/README.md, and it runs."""

from __future__ import annotations

import asyncio
import json
import re
import sys
from collections.abc import Awaitable
from subprocess import CompletedProcess

import pytest

from tests.integration.domains.steps import Block, read_files, read_steps
from tests.integration.domains.tree import Added, Tree, add_plant, copy_tree
from tests.integration.processor.city import City

SERVICE = "services/plant"
CONTRACT = "proto/urban/plant/v1"
BETWEEN_S = 5.0
TESTS_PATIENCE_S = 600.0
_ALL_DOMAINS = re.compile(r"\b(DOMAINS|CONTRACTS|find_domains)\b")
# Of a table as `urban sql` prints it.
_CELL = re.compile(r"│\s+(\S+)(?=\s+│)")


@pytest.fixture(scope="module")
def added(tmp_path_factory: pytest.TempPathFactory) -> Added:
    return add_plant(copy_tree(tmp_path_factory.mktemp("tree")))


def test_what_is_still_to_do_is_said_with_the_folder_and_the_step(added: Added):
    assert added.before_drafts == "urban: services/plant: __init__.py is missing: `urban draft plant` writes it\n"
    assert added.before_code == (
        "urban: services/plant: urban.plant.v1.machine_pb2 is missing: `urban draft plant` writes"
        " proto/urban/plant/v1/machine.proto, `make proto` makes code of it\n"
    )


def test_the_drafts_are_those_that_the_page_names(added: Added):
    shown = read_steps()[3][1]
    assert shown.language == "text"
    assert added.drafts == shown.text.splitlines()


def test_one_folder_and_one_folder_of_contracts_are_all_that_changed(added: Added):
    assert added.tree.changed() == sorted({*read_files(), *added.drafts})
    assert all(path.startswith((f"{SERVICE}/", f"{CONTRACT}/")) for path in added.tree.changed())


def test_what_is_there_already_is_left_as_it_is(added: Added):
    path = added.tree.root / CONTRACT / "machine.proto"
    before = path.read_bytes()
    again = added.tree.shell(read_steps()[3][0].text)
    assert (again.returncode, again.stdout, again.stderr) == (0, "", "plant lacks nothing\n")
    assert path.read_bytes() == before


def test_every_command_knows_it(added: Added):
    told = json.loads(added.tree.shell("urban topics --json").stdout)
    assert {
        "urban.plant.machine.v1": "urban.plant.v1.MachineFrame",
        "urban.plant.windows.v1": "urban.common.v1.WindowFrame",
    }.items() <= {topic["name"]: topic["value"] for topic in told}.items()


def test_it_is_in_the_style_of_the_house(added: Added):
    for argv in (
        ("ruff", "check", SERVICE),
        ("ruff", "format", "--check", SERVICE),
        ("buf", "lint", "proto", "--path", CONTRACT),
    ):
        done = added.tree.run(*argv, environment={"BUF_CACHE_DIR": str(added.tree.root / "build" / "buf")})
        assert done.returncode == 0, f"{argv}: {done.stdout}{done.stderr}"


@pytest.mark.slow
@pytest.mark.timeout(TESTS_PATIENCE_S)
def test_every_test_that_goes_through_the_domains_takes_it_in(added: Added):
    folders = (added.tree.root / "tests" / name for name in ("contract", "core"))
    files = [path for folder in folders for path in folder.rglob("test_*.py") if _ALL_DOMAINS.search(path.read_text())]
    names = sorted(path.relative_to(added.tree.root).as_posix() for path in files)
    assert {"tests/contract/test_contracts.py", "tests/core/cli/test_domains.py"} <= {*names}
    done = added.tree.run(
        *(sys.executable, "-m", "pytest", "-v", "-p", "no:cacheprovider", *names, "tests/architecture/test_imports.py"),
        environment={"URBAN_TEST_EXAMPLES": "0.05"},
        patience_s=TESTS_PATIENCE_S,
    )
    assert done.returncode == 0, done.stdout[-4000:]
    for name in ("the_service_takes_every_kind_as_row_and_as_frame[plant]", "has_the_measures_of_the_kind[machine]"):
        assert f"{name} PASSED" in done.stdout


async def test_industrial_internet_works_as_a_fifth_domain_from_the_observation_to_the_signal_and_the_view(
    added: Added, city: City
):
    (roles, migrate), (watch, send, look) = read_steps()[5], read_steps()[6]
    commands = [line.split() for line in roles.text.splitlines()]
    assert [command[:3] for command in commands] == [["python", "-m", "services.plant"]] * 3
    for *_, role in commands:
        await _start(city, added.tree, role)
    api = json.loads((city.folder / "api.json").read_text())
    environment = {
        "URBAN_KAFKA": city.kafka,
        "URBAN_CLICKHOUSE": city.clickhouse_url,
        "URBAN_SERVICES": json.dumps({"plant": f"127.0.0.1:{api['grpc']}"}),
    }

    def shell(block: Block) -> Awaitable[CompletedProcess[str]]:
        return asyncio.to_thread(added.tree.shell, block.text, environment)

    watching, sent = asyncio.ensure_future(shell(watch)), 0
    while not watching.done():  # what was found before somebody watched is not told again
        done = await shell(send)
        assert (done.stdout, done.returncode) == ("2 accepted, 1 rejected\n", 1)
        assert done.stderr == "line 3: vibration_mm_s = -1.0: must be 0 to 1000 mm/s\n"
        sent += 2
        await asyncio.wait([watching], timeout=BETWEEN_S)
    watched = watching.result()
    assert watched.returncode == 0, watched.stderr
    assert "strong_vibration" in watched.stdout
    assert "pump-8" in watched.stdout

    made = await shell(migrate)
    assert made.returncode == 0, made.stderr
    looked = await shell(look)
    assert looked.returncode == 0, looked.stderr
    rows = {tuple(_CELL.findall(line)) for line in looked.stdout.splitlines() if "│" in line}
    assert ("strong_vibration", "pump-8", "severe") in rows
    assert {(row[0], row[2]) for row in rows if row[0].startswith("pump")} == {("pump-7", "1.9"), ("pump-8", "8.4")}
    await _assert_nothing_is_lost(city, sent)


async def _assert_nothing_is_lost(city: City, sent: int) -> None:
    """What was accepted was folded, and archived once."""

    async def balanced() -> bool:
        read = await city.query("SELECT sum(read), sum(folded), sum(abs(difference)) FROM urban.v_ledger")
        stored = await city.query("SELECT count() FROM urban.v_machine")
        return (read, stored) == ([(sent, sent, 0)], [(sent,)])

    await city.until(balanced, f"the books show {sent} observations")


async def _start(city: City, tree: Tree, role: str) -> None:
    """A role of the plant, ready."""
    ready = city.folder / f"{role}.json"
    city.start_from(tree.root, role, "plant", {"URBAN_READY_FILE": str(ready)})

    async def is_ready() -> bool:
        return ready.exists()

    await city.until(is_ready, f"{role} is ready")
