"""Pages that programs write from committed figures say what those figures say."""

from __future__ import annotations

import json

import pytest

from tests.benchmarks import city
from tests.benchmarks.pages import read_part, write_part
from tests.benchmarks.scale import page


def test_the_sizing_of_a_city_is_what_its_program_prints():
    assert read_part(city.PAGE, city.MARK) == city.render(), "run python -m tests.benchmarks.city --write"


def test_the_tables_of_scale_are_of_the_committed_figures():
    document = json.loads(page.JSON_FILE.read_text(encoding="utf-8"))
    assert read_part(page.PAGE, "scale") == page.as_markdown(document)


def test_a_part_is_written_between_its_marks_only(tmp_path):
    file = tmp_path / "page.md"
    file.write_text("before\n<!-- x:begin -->\nold\n<!-- x:end -->\nafter\n")
    write_part(file, "x", "new")
    assert file.read_text() == "before\n<!-- x:begin -->\n\nnew\n\n<!-- x:end -->\nafter\n"
    assert read_part(file, "x") == "new"


@pytest.mark.parametrize(
    "text", ["", "<!-- x:end --> <!-- x:begin -->", "<!-- x:begin --> <!-- x:begin --> <!-- x:end -->"]
)
def test_a_page_without_the_marks_is_refused(tmp_path, text):
    file = tmp_path / "page.md"
    file.write_text(text)
    with pytest.raises(ValueError, match="once each"):
        write_part(file, "x", "new")
