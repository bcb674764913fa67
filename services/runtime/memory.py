"""Memory that is free goes back to the machine, where the C library would rather keep it for later."""

from __future__ import annotations

import ctypes
import sys

# Arrays from this size on are pieces of the machine's own. glibc would raise this border to 32 MiB by itself, and
# arrays that grow would then leave holes among small things that stay. With 1 MiB each fetch would be such a piece, and
# to have its pages made anew cost a tenth of a worker's processor time.
LARGE_BYTES = 4 << 20
# What the heap keeps at its end, so that it does not grow and shrink with every fetch.
KEPT_BYTES = 32 << 20
# From glibc's malloc.h.
_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3


def hold_little() -> None:
    """From now on; where the C library is not glibc, nothing changes."""
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None) if sys.platform == "linux" else None
    if mallopt is not None:
        mallopt(_M_MMAP_THRESHOLD, LARGE_BYTES)
        mallopt(_M_TRIM_THRESHOLD, KEPT_BYTES)
