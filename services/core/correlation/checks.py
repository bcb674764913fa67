"""What the parts of a rule are checked with: an error that names the field, its value and the reason."""

from __future__ import annotations

import re

IDENTIFIER = re.compile(r"[a-z][a-z0-9_]{0,62}")
# Half of the Earth's girth; no two places are farther apart.
MAX_RADIUS_M = 20_038_000.0
MAX_SECONDS = 366 * 86_400


class RuleError(ValueError):
    """A rule that cannot be: names the field, its value and the reason."""

    def __init__(self, field: str, value: object, reason: str) -> None:
        super().__init__(f"{field} = {value!r}: {reason}")
        self.field, self.value, self.reason = field, value, reason


def check_identifier(field: str, value: str) -> None:
    """RuleError where a text is no name."""
    if not IDENTIFIER.fullmatch(value):
        raise RuleError(field, value, "must be 1 to 63 of a-z, 0-9 and '_', and start with a letter")


def check_range(field: str, value: float, low: float, high: float) -> None:
    """RuleError where a number does not lie between two others (NaN lies nowhere)."""
    if not low <= value <= high:
        raise RuleError(field, value, f"must lie between {low:g} and {high:g}")
