"""Each system of a city has a test that is named after it, and the table in tests/README.md says which."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

TESTS = Path(__file__).resolve().parents[1]
TABLE = (TESTS / "README.md").read_text(encoding="utf-8").partition('## What "works" means')[2]
LINK = re.compile(r"\[[^\]]+\]\(([^)]+)\)")
ROWS = {
    name.strip(): (LINK.findall(named), LINK.findall(beside))
    for name, named, beside in re.findall(r"^\| (.+?) \| (.*?) \| ?(.*?) ?\|$", TABLE, re.MULTILINE)
    if name != "system"
}


def name_of(row: str) -> str:
    """A row's name as it stands in names of tests: "Urban brain (Jiujiang style)" is urban_brain_jiujiang_style."""
    return re.sub(r"[^a-z]+", "_", row.lower().replace("&", "and")).strip("_")


def test_the_table_is_read():
    assert {"Urban brain (Jiujiang style)", "Pollution sources & environment"} <= ROWS.keys()


@pytest.mark.parametrize("row", ROWS)
def test_a_system_has_tests_that_are_named_after_it(row: str):
    named, beside = ROWS[row]
    assert named
    for path in named:
        assert Path(path).name == f"test_{name_of(row)}_works.py"
        assert re.search(r"^(async )?def test_", (TESTS / path).read_text(encoding="utf-8"), re.MULTILINE), path
    assert [path for path in beside if not (TESTS / path).is_file()] == []


def test_every_test_of_what_works_is_in_the_table():
    there = {path.relative_to(TESTS).as_posix() for path in TESTS.rglob("test_*_works.py")}
    there.remove("architecture/test_what_works.py")
    assert there == {path for named, _ in ROWS.values() for path in named}
