"""Parts of libraries that cost much and that no service uses are left out of its process."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from importlib.abc import MetaPathFinder
from types import ModuleType


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
