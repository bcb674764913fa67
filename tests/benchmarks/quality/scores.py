"""Figures of quality: what rules and detectors found of what was planted, what they said besides, and how soon."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from typing import Any, TypeVar

import numpy as np

from services.core.kind import DAY_MS, HOUR_MS
from services.feeds.scenario.happening import Happening, Part, What
from services.feeds.scenario.script import WEEK_MS
from tests.benchmarks.quality.course import Course, ToldIncident, ToldSignal
from tests.benchmarks.quality.judging import explains, kind_of, matches, unexplained

# Detectors of the unusual learn for so long before anything is expected of them.
PAST_MS = 3 * DAY_MS
NOTHING = "nothing"


@dataclass
class RuleScore:
    """Of one rule over all seeds."""

    rule: str
    planted: int = 0
    found: int = 0
    told: int = 0  # incidents
    right: int = 0  # of them, about something that was planted for the rule
    withdrawn: int = 0  # told and retracted, beside those above
    planned: int = 0  # that a planned event explained: nobody was told
    weeks: float = 0.0  # in which something happened
    delay_s: list[float] = field(default_factory=list)  # since it began
    after_last_s: list[float] = field(default_factory=list)  # since the last side that is needed was told
    after_last_windows: list[float] = field(default_factory=list)  # the same in windows of the signal that told it
    complete: list[float] = field(default_factory=list)  # share of the needed sides that the incident names
    false_about: Counter[str] = field(default_factory=Counter)
    missed: list[str] = field(default_factory=list)

    def document(self) -> dict[str, Any]:
        """Figures; None where there is nothing to divide by."""
        return {
            "rule": self.rule,
            "planted": self.planted,
            "recall": _share(self.found, self.planted),
            "incidents": self.told,
            "precision": _share(self.right, self.told),
            "false_per_city_week": _share(self.told - self.right, self.weeks),
            "told_more_than_once": self.right - self.found,
            "withdrawn": self.withdrawn,
            "planned": self.planned,
            "seconds_to_detect": _spread(self.delay_s),
            "seconds_after_the_last_needed_signal": _spread(self.after_last_s),
            "windows_after_the_last_needed_signal": _spread(self.after_last_windows),
            "explanation_complete": round(float(np.mean(self.complete)), 3) if self.complete else None,
            "false_about": dict(sorted(self.false_about.items())),
            "missed": self.missed,
        }


@dataclass
class DetectorScore:
    """Of one detector over all seeds."""

    detector: str
    expected: int = 0
    raised: int = 0
    signals: int = 0
    false: int = 0
    hours: float = 0.0  # sensors times hours
    delay_s: list[float] = field(default_factory=list)

    def document(self) -> dict[str, Any]:
        """Figures; None where there is nothing to divide by."""
        return {
            "detector": self.detector,
            "expected": self.expected,
            "detection_rate": _share(self.raised, self.expected),
            "signals": self.signals,
            "false": self.false,
            "false_per_detector_hour": self.false / self.hours if self.hours else None,
            "mean_seconds_to_detect": round(float(np.mean(self.delay_s)), 1) if self.delay_s else None,
        }


@dataclass
class Scores:
    """Of a whole run, to which courses are added one by one."""

    rules: dict[str, RuleScore] = field(default_factory=dict)
    detectors: dict[str, DetectorScore] = field(default_factory=dict)
    planted: Counter[str] = field(default_factory=Counter)
    observations: int = 0

    @classmethod
    def of(cls, course: Course, rules: Iterable[str]) -> Scores:
        """What came of one seed."""
        scores = cls()
        scores.add(course, rules)
        return scores

    def add(self, course: Course, rules: Iterable[str]) -> None:
        """Takes in what came of one seed, by the names of the rules that ran."""
        self.observations += course.observations
        self.planted.update(h.name for h in course.script.happenings if h.what is What.INCIDENT)
        for rule in rules:
            _score_rule(self.rules.setdefault(rule, RuleScore(rule)), course)
        self._score_detectors(course)

    def join(self, others: Scores) -> None:
        """Takes in what came of other seeds."""
        self.observations += others.observations
        self.planted.update(others.planted)
        for name, rule in others.rules.items():
            self.rules[name] = _joined(self.rules[name], rule) if name in self.rules else rule
        for name, detector in others.detectors.items():
            self.detectors[name] = _joined(self.detectors[name], detector) if name in self.detectors else detector

    def plain(self) -> dict[str, Any]:
        """All that was counted, to be kept as JSON: `restored` makes the scores of it again."""
        rules = {name: {**vars(rule), "false_about": dict(rule.false_about)} for name, rule in self.rules.items()}
        detectors = {name: dict(vars(detector)) for name, detector in self.detectors.items()}
        return {
            "rules": rules,
            "detectors": detectors,
            "planted": dict(self.planted),
            "observations": self.observations,
        }

    @classmethod
    def restored(cls, plain: Mapping[str, Any]) -> Scores:
        """The scores that `plain` was made of."""
        rules = {n: RuleScore(**{**r, "false_about": Counter(r["false_about"])}) for n, r in plain["rules"].items()}
        detectors = {n: DetectorScore(**d) for n, d in plain["detectors"].items()}
        return cls(rules, detectors, Counter(plain["planted"]), plain["observations"])

    def _score_detectors(self, course: Course) -> None:
        hours = (course.script.to_ms - course.script.from_ms) / HOUR_MS
        by_kind: dict[str, list[ToldSignal]] = defaultdict(list)
        for told in course.signals:
            by_kind[kind_of(told.signal)].append(told)
        sensors = Counter[str]()
        for group in course.city.groups.values():
            sensors[group.kind_name] += len(group)
        kinds = {g.kind_name: g.kind for g in course.city.groups.values() if g.kind_name in course.kinds}
        for kind_name, kind in kinds.items():
            for detector in kind.detectors:
                name = f"{kind_name}.{detector.name}"
                score = self.detectors.setdefault(name, DetectorScore(name))
                score.hours += sensors[kind_name] * hours
                _score_detector(score, course, by_kind[name])

    def document(self) -> dict[str, Any]:
        """All of it, for JSON."""
        return {
            "observations": self.observations,
            "in_all": _in_all(self.rules.values()),
            "rules": [self.rules[name].document() for name in sorted(self.rules)],
            "planted_without_a_rule": sorted(set(self.planted) - set(self.rules)),
            "rules_without_truth": sorted(set(self.rules) - set(self.planted)),
            "detectors": [
                self.detectors[name].document()
                for name in sorted(self.detectors)
                if self.detectors[name].expected or self.detectors[name].signals
            ],
        }


Score = TypeVar("Score", RuleScore, DetectorScore)


def _joined(one: Score, other: Score) -> Score:
    """Of one rule or detector over the seeds of both: all that is counted adds up."""
    counted = [f.name for f in fields(one) if not isinstance(getattr(one, f.name), str)]
    return replace(one, **{name: getattr(one, name) + getattr(other, name) for name in counted})


def _in_all(rules: Iterable[RuleScore]) -> dict[str, Any]:
    """Of all rules together: whoever sits at the desk does not care of which rule a false alarm is."""
    rules = list(rules)
    weeks = max((rule.weeks for rule in rules), default=0.0)
    told, right = sum(rule.told for rule in rules), sum(rule.right for rule in rules)
    planted, found = sum(rule.planted for rule in rules), sum(rule.found for rule in rules)
    return {
        "city_weeks": round(weeks, 4),
        "planted": planted,
        "found": found,
        "recall": _share(found, planted),
        "incidents": told,
        "precision": _share(right, told),
        "false": told - right,
        "false_per_city_week": _share(told - right, weeks),
        "withdrawn": sum(rule.withdrawn for rule in rules),
        "planned": sum(rule.planned for rule in rules),
        "windows_after_the_last_needed_signal": _spread([n for rule in rules for n in rule.after_last_windows]),
    }


def _score_rule(score: RuleScore, course: Course) -> None:
    happenings = course.script.happenings
    planted = [h for h in happenings if h.what is What.INCIDENT and h.name == score.rule]
    told = sorted((t for t in course.incidents if t.incident.rule == score.rule), key=lambda t: t.clock_ms)
    # What is false in the quiet days counts; the days themselves do not, as nothing there tempts a rule.
    score.weeks += (course.script.to_ms - course.script.from_ms - course.quiet_ms) / WEEK_MS
    score.withdrawn += sum(t.incident.rule == score.rule for t in course.withdrawn)
    score.planned += sum(t.incident.rule == score.rule for t in course.planned)
    score.planted += len(planted)
    score.told += len(told)
    about = {id(t): [h for h in planted if _is_about(t, h)] for t in told}
    for incident in told:
        score.right += bool(about[id(incident)])
        if not about[id(incident)]:
            score.false_about[_what_behind(incident, happenings)] += 1
    for happening in planted:
        mine = [t for t in told if happening in about[id(t)]]
        sides = _first_told(happening, course.signals)
        told_ms = min((one.clock_ms for t in mine for one in t.line if _is_about(one, happening)), default=0)
        if not mine:
            score.missed.append(f"seed {course.city.seed} {happening.id}: {_why(happening, sides)}")
            continue
        score.found += 1
        score.delay_s.append((told_ms - happening.from_ms) / 1000.0)
        firsts = [first for first in sides.values() if first is not None]
        if len(firsts) == len(sides):
            last = max(firsts, key=lambda first: first.clock_ms)
            after_ms = told_ms - last.clock_ms
            score.after_last_s.append(after_ms / 1000.0)
            score.after_last_windows.append(after_ms / (last.signal.end_ms - last.signal.start_ms))
        named = [any(_names(part, t) for t in mine) for part in _needed(happening)]
        score.complete.append(sum(named) / len(named))


def _is_about(told: ToldIncident, happening: Happening) -> bool:
    return any(explains(happening, signal) for signal in told.incident.signals)


def _what_behind(told: ToldIncident, happenings: Sequence[Happening]) -> str:
    """What the signals of a false incident are of, the most frequent of it: "near_miss flood"."""
    behind = Counter(
        f"{h.what.value} {h.name}" for h in happenings for signal in told.incident.signals if explains(h, signal)
    )
    return behind.most_common(1)[0][0] if behind else NOTHING


def _needed(happening: Happening) -> list[Part]:
    return [part for part in happening.parts if part.needed and part.expected]


def _first_told(happening: Happening, signals: Sequence[ToldSignal]) -> Mapping[str, ToldSignal | None]:
    """The signal that told of each side that is needed first; None: nothing ever did."""
    mine = [t for t in signals if explains(happening, t.signal)]
    found: dict[str, ToldSignal | None] = {}
    for part in _needed(happening):
        of_part = [t for t in mine if any(matches(e, t.signal) for e in part.expected)]
        found[part.name] = min(of_part, key=lambda t: t.clock_ms, default=None)
    return found


def _why(happening: Happening, sides: Mapping[str, ToldSignal | None]) -> str:
    unseen = [name for name, first in sides.items() if first is None]
    return f"no signal of {', '.join(unseen)}" if unseen else "every side was told of, and no rule put them together"


def _names(part: Part, told: ToldIncident) -> bool:
    return any(matches(expected, signal) for expected in part.expected for signal in told.incident.signals)


def _score_detector(score: DetectorScore, course: Course, told: Sequence[ToldSignal]) -> None:
    begin_ms = course.script.from_ms
    wanted = [
        expected
        for happening in course.script.happenings
        for expected in happening.expected
        if expected.signal == score.detector and (not expected.needs_past or expected.from_ms - begin_ms >= PAST_MS)
    ]
    score.expected += len(wanted)
    score.signals += len(told)
    score.false += len(unexplained(course.script.happenings, (t.signal for t in told)))
    for expected in wanted:
        clocks = [t.clock_ms for t in told if matches(expected, t.signal)]
        score.raised += bool(clocks)
        if clocks:
            score.delay_s.append((min(clocks) - expected.from_ms) / 1000.0)


def _share(part: float, whole: float) -> float | None:
    return round(part / whole, 4) if whole else None


def _spread(values: Sequence[float]) -> dict[str, float] | None:
    if not values:
        return None
    median, p95 = np.percentile(values, [50, 95]).tolist()
    return {"median": round(median, 1), "p95": round(p95, 1)}
