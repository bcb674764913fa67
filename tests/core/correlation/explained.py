"""What the first incident of each shipped rule says: `python -m tests.core.correlation.explained` writes it."""

from __future__ import annotations

from pathlib import Path

from services.core.correlation.event_time import Watermarks
from services.core.correlation.incident import Incident
from services.core.correlation.rule import Rule
from services.correlation.examples import examples_of
from services.correlation.rules import FOLDER, load_rules
from tests.core.correlation.city import Reader

KEPT = Path(__file__).with_name("explanations.txt")


def first_incident(rule: Rule) -> Incident:
    """The incident of the first example of a rule that has one, when event time has passed its signals."""
    examples = examples_of(FOLDER / f"{rule.name}.yaml", rule)
    signals = next(example.signals.values() for example in examples if example.incidents)
    sources = {(selector.domain, selector.kind): 1 for selector in rule.selectors}
    end_ms = max(signal.end_ms for signal in signals)
    passed = [Watermarks(domain, kind, {0: end_ms}) for domain, kind in sources]
    return Reader(rule, sources=sources).read(*signals, *passed)[-1]


def explanations() -> str:
    """Each rule's name and what its incident says."""
    return "\n".join(f"{rule.name}\n    {first_incident(rule).explanation}\n" for rule in load_rules())


if __name__ == "__main__":
    KEPT.write_text(explanations())
