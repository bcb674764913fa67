"""How many examples a property is tried with: all of them by default, a share of them in the daily loop."""

from __future__ import annotations

import os

from hypothesis import settings

# `make test-fast` sets it below 1.
SHARE = float(os.environ.get("URBAN_TEST_EXAMPLES", "1"))
LEAST = 5


def examples(count: int) -> settings:
    """Settings of a property that is tried with `count` examples in a full run."""
    return settings(max_examples=max(LEAST, round(count * SHARE)))
