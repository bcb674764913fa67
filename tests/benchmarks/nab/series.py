"""Reads the series of NAB and the windows of their labels, and what published detectors made of them."""

from __future__ import annotations

import csv
import json
import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from tests.benchmarks.nab.scoring import Float64Array, Int64Array, Labelled

# As for the tests on real data: these files are not part of this repository.
REAL_DATA = Path(os.environ.get("URBAN_REAL_DATA") or Path(__file__).resolve().parents[4] / "shared" / "data")
DEFAULT = REAL_DATA / "nab"
TRAFFIC = "realTraffic/"


def is_checkout(folder: Path) -> bool:
    """Whether this is NAB's own repository, with all of its 58 series, and not some of its files side by side."""
    return (folder / "labels" / "combined_windows.json").is_file()


def load(folder: Path) -> list[Labelled]:
    """All series that are there, by name. FileNotFoundError: there are no labels."""
    labels, data = (folder / "labels", folder / "data") if is_checkout(folder) else (folder, folder)
    windows = json.loads((labels / "combined_windows.json").read_text())
    return [
        _read(name, path, windows[name])
        for name in sorted(windows)
        for path in [data / name if is_checkout(folder) else data / Path(name).name]
        if path.is_file()
    ]


def _read(name: str, path: Path, windows: Sequence[tuple[str, str]]) -> Labelled:
    rows = _columns(path)
    time_ms = _milliseconds(rows["timestamp"])
    borders = [np.searchsorted(time_ms, _milliseconds(border)) for border in windows]
    value = np.array(rows["value"], np.float64)
    return Labelled(name, time_ms, value, np.array(borders, np.int64).reshape(-1, 2))


def _columns(path: Path) -> dict[str, list[str]]:
    with path.open(newline="") as lines:
        rows = list(csv.DictReader(lines))
    return {name: [row[name] for row in rows] for name in rows[0]}


def _milliseconds(texts: Sequence[str]) -> Int64Array:
    # Labels are written to the microsecond, rows to the second.
    return np.array([text[:19] for text in texts], "datetime64[ms]").astype(np.int64)


def published(folder: Path) -> dict[str, tuple[float, float]]:
    """Threshold and score on all series of each detector whose results a checkout has, by the standard profile."""
    results = folder / "results" / "final_results.json"
    if not results.is_file():
        return {}
    thresholds = json.loads((folder / "config" / "thresholds.json").read_text())
    scores = json.loads(results.read_text())
    return {
        name: (thresholds[name]["standard"]["threshold"], scores[name]["standard"])
        for name in sorted(scores)
        if name in thresholds and (folder / "results" / name).is_dir()
    }


def published_scores(folder: Path, detector: str, corpus: Sequence[Labelled]) -> list[Float64Array]:
    """What a published detector said of each row of these series."""
    return [
        np.array(_columns(folder / "results" / detector / group / f"{detector}_{file}")["anomaly_score"], np.float64)
        for group, file in (series.name.split("/") for series in corpus)
    ]
