"""How well the unusual is found in NAB's labelled series of real traffic: `python -m tests.benchmarks.nab` prints JSON.

`--data` is a folder with some of its files, or a checkout of github.com/numenta/NAB: then all of its 58 series are
scored as well, and so are the results of other detectors that it has. With `--markdown` a table is printed instead.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
from collections.abc import Mapping, Sequence
from pathlib import Path

from services.core.anomaly.score import WEEK_MS
from tests.benchmarks.nab.detectors import UNUSUAL, unusual, windowed_gaussian
from tests.benchmarks.nab.scoring import STANDARD, Float64Array, Labelled, Tally, best_threshold, tally, weigh
from tests.benchmarks.nab.scoring import thresholds_of_others as of_others
from tests.benchmarks.nab.series import DEFAULT, TRAFFIC, is_checkout, load, published, published_scores

Scores = Sequence[Float64Array]
OURS, GAUSSIAN = "urban brain", "windowed Gaussian, ours"
EXPECTED_A_WEEK = (10, 3, 1, 0.3, 0.1)
# How a threshold is found, from the strictest on.
RULES = {
    "untuned": "the score that one false alarm a week means; no label was looked at",
    "others": "each series by the threshold that is best for all others of the set",
    "corpus": "the threshold that is best on all 58 series, as NAB's own scores have it",
    "best": "the threshold that is best on the set itself",
}


def score(corpus: Sequence[Labelled], scores: Scores, whole: float | None, untuned: float | None) -> dict[str, Tally]:
    """What a detector comes to on a set of series by each rule for the threshold that can be followed."""

    def by(thresholds: Sequence[float]) -> Tally:
        return tally(corpus, scores, thresholds, STANDARD)

    one = {"untuned": untuned, "corpus": whole, "best": best_threshold(corpus, scores, STANDARD)}
    told = {rule: by([threshold] * len(corpus)) for rule, threshold in one.items() if threshold is not None}
    return told | {"others": by(of_others(corpus, scores, STANDARD))}


def count_news(corpus: Sequence[Labelled], scores: Scores) -> dict[str, float]:
    """Findings a week that were expected at most so many times a week by chance; labelled anomalies are among them."""
    first = [weigh(series, STANDARD).first for series in corpus]
    weeks = sum((s.time_ms[-1] - s.time_ms[row]) / WEEK_MS for s, row in zip(corpus, first, strict=True))
    told = {}
    for expected in EXPECTED_A_WEEK:
        rows = sum(int((s[row:] >= 1 / (1 + expected)).sum()) for s, row in zip(scores, first, strict=True))
        told[f"at most {expected:g}"] = round(rows / float(weeks), 3)
    return told


def measure(folder: Path) -> dict[str, object]:
    """The scores of all detectors on all sets of series that the folder allows."""
    corpus = load(folder)
    checkout = is_checkout(folder)
    detectors: dict[str, Scores] = {OURS: unusual(corpus), GAUSSIAN: windowed_gaussian(corpus)}
    known = published(folder)
    detectors |= {name: published_scores(folder, name, corpus) for name in known}
    sets = {"traffic": [s.name.startswith(TRAFFIC) for s in corpus]}
    if checkout:
        sets["all"] = [True] * len(corpus)
    results: dict[str, dict[str, dict[str, Tally]]] = {name: {} for name in sets}
    for detector, scores in detectors.items():
        threshold = known[detector][0] if detector in known else None
        if threshold is None and checkout:
            threshold = best_threshold(corpus, scores, STANDARD)
        untuned = UNUSUAL.budget.least_score if detector == OURS else None
        for name, chosen in sets.items():
            some = [series for series, wanted in zip(corpus, chosen, strict=True) if wanted]
            theirs = [s for s, wanted in zip(scores, chosen, strict=True) if wanted]
            results[name][detector] = score(some, theirs, threshold, untuned)
    return {
        "series": [series.name for series in corpus],
        "rules": RULES,
        "news_a_week": count_news(corpus, detectors[OURS]),
        "published_scores_recomputed": {
            name: {"published": told, "recomputed": results["all"][name]["corpus"].score}
            for name, (_, told) in known.items()
        },
        "sets": {
            name: {d: {r: dataclasses.asdict(t) for r, t in rules.items()} for d, rules in by_detector.items()}
            for name, by_detector in results.items()
        },
    }


def table(rules: Mapping[str, Mapping[str, Mapping[str, float]]]) -> str:
    """Markdown: a line for each detector, the best by the strictest rule that all can follow first."""
    lines = ["| detector | " + " | ".join(RULES) + " | windows found, false rows (others) |", "|---" * 6 + "|"]
    for name, told in sorted(rules.items(), key=lambda item: -item[1]["others"]["score"]):
        cells = [f"{told[rule]['score']:.1f}" if rule in told else "" for rule in RULES]
        others = told["others"]
        found = f"{others['found']} of {others['windows']}, {others['false_rows']}"
        lines.append(f"| {name} | {' | '.join(cells)} | {found} |")
    return "\n".join(lines)


def main() -> None:
    """Scores what is there; says what is missing where nothing is."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, default=DEFAULT, help="by default nab in the folder URBAN_REAL_DATA")
    parser.add_argument("--markdown", action="store_true", help="tables instead of JSON")
    given = parser.parse_args()
    try:
        result = measure(given.data)
    except FileNotFoundError:
        wanted = "set URBAN_REAL_DATA to a folder that has nab/combined_windows.json, or --data"
        print(json.dumps({"skipped": f"no series of NAB in {given.data.name}: {wanted}"}))
        return
    if given.markdown:
        for name, rules in result["sets"].items():  # type: ignore[attr-defined]  # of objects, as JSON has them
            print(f"{name}\n\n{table(rules)}\n")
    else:
        print(json.dumps(result, indent=2, allow_nan=False))


if __name__ == "__main__":
    main()
