"""What a process of the city does to hold little memory, beside what its own code does: before it works, and meanwhile.

Libraries bring parts that no service uses, Python looks for garbage that there is not, and the C library keeps what is
free for later.
"""

from __future__ import annotations

import asyncio
import ctypes
import gc
import os
import sys
from collections.abc import Sequence
from importlib.abc import MetaPathFinder
from types import ModuleType

# A fetch makes some 100,000 objects that all go together, and what it brings is in no cycle. By Python's default of 700
# they are looked through again and again: with one observation per record that took a third of the processor's time.
YOUNG_OBJECTS = 200_000
_OLDER = (20, 100)
# Arrays from this size on are pieces of the machine's own. glibc would raise this border to 32 MiB by itself, and
# arrays that grow would then leave holes among small things that stay. With 1 MiB each fetch would be such a piece, and
# to have its pages made anew cost a tenth of a worker's processor time.
LARGE_BYTES = 4 << 20
# What the heap keeps at its end, so that it does not grow and shrink with every fetch.
KEPT_BYTES = 32 << 20
# glibc would make 8 for each core. Each leaves holes of its own, and what is free at the end of another than the first
# never goes back: 7 to 27 MB of a worker's. With a million windows, one and two took the same processor time.
HEAPS = 1
# Between two times that pages in holes go back: it takes some ms, and some of them are needed again.
GIVE_BACK_INTERVAL_S = 5.0
# From glibc's malloc.h.
_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD, _M_ARENA_MAX = -1, -3, -8


class _NoPandas(MetaPathFinder):
    def find_spec(self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None) -> None:
        if fullname == "pandas":
            raise ModuleNotFoundError("no service uses pandas", name=fullname)


def leave_out_pandas() -> None:
    """pyarrow would import it with the first array, where it is installed: half a second, and 50 MB."""
    sys.meta_path.insert(0, _NoPandas())


def leave_out_dates() -> None:
    """clickhouse-driver would make a table of all its dates: 90 ms, and 23 MB. It is imported, but nobody uses it."""
    os.environ.setdefault("CLICKHOUSE_DRIVER_LASY_DATE_LUT", "1970-01-01:1970-01-01")


def look_seldom() -> None:
    """From now on Python looks for garbage in cycles seldom, and never at what was imported until now."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(YOUNG_OBJECTS, *_OLDER)


def hold_little() -> None:
    """From now on the C library keeps little of what is free; where it is not glibc, nothing changes.

    To be called before the process has a second thread: how many heaps there may be is asked once.
    """
    mallopt = _of_glibc("mallopt")
    if mallopt is not None:
        mallopt(_M_MMAP_THRESHOLD, LARGE_BYTES)
        mallopt(_M_TRIM_THRESHOLD, KEPT_BYTES)
        mallopt(_M_ARENA_MAX, HEAPS)


async def give_back() -> None:
    """Again and again, gives pages back that lie free among others, as those of a backlog; ends at once without glibc.

    Else they stay until protobuf frees a message that is large enough: then it does the same.
    """
    trim = _of_glibc("malloc_trim")
    while trim is not None:
        await asyncio.sleep(GIVE_BACK_INTERVAL_S)
        trim(0)


def _of_glibc(name: str) -> ctypes._NamedFuncPointer | None:
    return getattr(ctypes.CDLL(None), name, None) if sys.platform == "linux" else None
