"""What a rule asks of the domains that they cannot give: names that are not there, and waiting that is too short."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

from services.core.correlation.rule import Rule
from services.core.kind import Domain
from services.correlation.rules import RuleFileError
from services.correlation.yaml_lines import read_yaml


class Fault(NamedTuple):
    """A field that cannot be as it is."""

    field: str
    value: object
    reason: str

    def __str__(self) -> str:
        return f"{self.field} = {self.value!r}: {self.reason}"


def faults_of_rule(rule: Rule, domains: Iterable[Domain]) -> Iterator[Fault]:
    """The faults of a rule, in the order of its signals."""
    by_name = {domain.name: domain for domain in domains}
    for number, selector in enumerate(rule.selectors):
        field, domain = f"signals[{number}]", by_name.get(selector.domain)
        if domain is None:
            yield Fault(f"{field}.domain", selector.domain, f"is none of {', '.join(by_name)}")
            continue
        kinds = {kind.name: kind for kind in domain.kinds}
        if (kind := kinds.get(selector.kind)) is None:
            yield Fault(f"{field}.kind", selector.kind, f"is none of {', '.join(kinds)}")
            continue
        detectors = {detector.name: detector for detector in kind.detectors}
        for type_ in selector.types:
            if (detector := detectors.get(type_)) is None:
                yield Fault(f"{field}.type", type_, f"is none of {', '.join(detectors)}")
                continue
            pane_ms = min(window.slide_ms for window in kind.windows)
            needed_s = -(-(kind.window(detector.window).size_ms + kind.lateness_ms + pane_ms) // 1000)
            if rule.settled_after_s < needed_s:
                name = f"{selector.name} ({selector.domain}.{selector.kind})"
                reason = f"{name} may come or change for {needed_s} s after the start of its window"
                yield Fault("settled_after_s", rule.settled_after_s, reason)


def rule_file_error(path: Path, fault: Fault, text: str | None = None) -> RuleFileError:
    """A fault as an error of its file, with the line. `text`: what was read from it, if it may be another by now."""
    _, lines = read_yaml(path.read_text(encoding="utf-8") if text is None else text)
    return RuleFileError(path, fault.field, fault.value, fault.reason, lines.of(fault.field))
