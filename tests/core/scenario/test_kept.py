"""What is kept of the cities of a quality run: taken up where it is of the same options, and not otherwise."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from services.correlation.rules import FOLDER
from services.feeds.scenario.city import SMALL_BLOCKS
from tests.benchmarks.quality.cities import Job, run, run_all
from tests.benchmarks.quality.kept import ROOT, read_figures, write_figures

# It computes for some seconds; a busy machine may let it wait.
pytestmark = pytest.mark.timeout(400)


def copy_rule(folder: Path, name: str) -> Path:
    """A folder with one of the rules that ship."""
    folder.mkdir()
    for file in (f"{name}.yaml", f"{name}.examples.yaml"):
        shutil.copy(FOLDER / file, folder / file)
    return folder


def test_a_city_is_run_once_and_rules_are_tried_on_it_again(tmp_path):
    rules = copy_rule(tmp_path / "rules", "tampered_entry")
    job = Job(5, SMALL_BLOCKS, 8, 0, 1.0, ("tampered_entry",), rules, unusual=False, keep=tmp_path / "kept")
    (first,) = run_all([job], at_once=2)
    again = run(job)
    assert (first.again, again.again) == (False, True)
    assert again.scores == first.scores
    assert first.cpu_s == again.cpu_s > 0.0
    assert first.scores.rules["tampered_entry"].planted == 1
    assert not run(replace(job, seed=6, keep=None)).again

    # Another rule: detectors are not run again, which takes most of the time, and the figures are others.
    path = rules / "tampered_entry.yaml"
    path.write_text(path.read_text().replace("radius_m: 150", "radius_m: 1"))
    other = run(job)
    assert not other.again
    assert other.cpu_s < first.cpu_s / 2
    assert other.scores.observations == first.scores.observations
    assert (first.scores.rules["tampered_entry"].found, other.scores.rules["tampered_entry"].found) == (1, 0)


def test_the_command_runs_some_cities_at_once(tmp_path):
    # As it is called, since a spawned process sees the program otherwise than who imports it.
    options = "--seeds 2 --jobs 2 --days 1 --quiet-days 0 --without-unusual --sumo-roads 0".split()
    options += ["--blocks", str(SMALL_BLOCKS), "--only", "tampered_entry", "--json", str(tmp_path / "figures.json")]
    command = [sys.executable, "-m", "tests.benchmarks.quality", *options]
    ended = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=380)
    assert ended.returncode == 0, ended.stderr
    assert "seed 1001: day 1 of 1, " in ended.stderr
    assert "2 of 2 cities" in ended.stderr
    assert json.loads((tmp_path / "figures.json").read_text())["about"]["seeds"] == 2


def test_figures_of_other_options_or_programs_are_not_taken(tmp_path):
    path = tmp_path / "folder" / "seed-1.json"
    assert read_figures(path, {"seed": 1}) is None
    write_figures(path, {"seed": 1, "only": ("a",)}, [1.5])
    assert read_figures(path, {"seed": 1, "only": ("a",)}) == [1.5]
    assert read_figures(path, {"seed": 1, "only": ("b",)}) is None
    assert [file.name for file in path.parent.iterdir()] == ["seed-1.json"]


def test_what_figures_follow_from_is_told_apart(tmp_path):
    rules = copy_rule(tmp_path / "rules", "tampered_entry")
    job = Job(5, SMALL_BLOCKS, 8, 0, 1.0, (), rules, unusual=False, keep=tmp_path)
    for changed in (replace(job, seed=6), replace(job, hours=9), replace(job, unusual=True), replace(job, only=("a",))):
        assert changed.made_of() != job.made_of()
        assert changed.made_of(detectors_only=True) != job.made_of(detectors_only=True)
    before, heard_before = job.made_of(), job.made_of(detectors_only=True)
    path = rules / "tampered_entry.yaml"
    path.write_text(path.read_text() + "# another\n")
    assert job.made_of() != before
    assert job.made_of(detectors_only=True) == heard_before
    assert replace(job, keep=None).made_of() == job.made_of()
