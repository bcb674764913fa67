"""The rules of correlation against the domains: what a rule names must be there, and be given its time."""

from __future__ import annotations

import pytest

from services.core.correlation.rule import Rule
from services.core.correlation.selector import Selector
from services.core.kind import Detector, Kind
from services.correlation.rules import load_rules
from tests.contract.domains import DOMAINS

RULES = load_rules()
SELECTORS = [(rule, selector) for rule in RULES for selector in rule.selectors]
NAMES = [f"{rule.name}-{selector.name}" for rule, selector in SELECTORS]


def declared(selector: Selector) -> tuple[Kind, Detector]:
    """The kind and the detector that a selector names; fails where there is none."""
    (domain,) = (d for d in DOMAINS if d.name == selector.domain)
    kind = domain.kind(selector.kind)
    (detector,) = (d for d in kind.detectors if d.name == selector.type)
    return kind, detector


@pytest.mark.parametrize(("rule", "selector"), SELECTORS, ids=NAMES)
def test_a_selector_names_a_detector_that_exists(rule: Rule, selector: Selector):
    declared(selector)


@pytest.mark.parametrize(("rule", "selector"), SELECTORS, ids=NAMES)
def test_a_rule_waits_for_the_latest_correction_of_its_signals(rule: Rule, selector: Selector):
    # A row is taken until its window has ended and the lateness is over; its signal leaves at the next pane border.
    kind, detector = declared(selector)
    pane_ms = min(window.slide_ms for window in kind.windows)
    assert kind.window(detector.window).size_ms + kind.lateness_ms + pane_ms <= rule.settled_after_ms
