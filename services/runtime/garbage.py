"""How often Python looks for garbage in cycles: seldom, as what a fetch brings lives for a moment and is in none."""

from __future__ import annotations

import gc

# A fetch makes some 100,000 objects that all go together. By Python's default of 700 they are looked through again and
# again: with one observation per record that took a third of the processor's time.
YOUNG_OBJECTS = 200_000
_OLDER = (20, 100)


def look_seldom() -> None:
    """From now on, and never at what was imported until now."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(YOUNG_OBJECTS, *_OLDER)
