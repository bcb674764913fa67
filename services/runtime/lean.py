"""Parts of libraries that cost much and that no service uses are left out of its process."""

from __future__ import annotations

import os
import sys


def leave_out_pandas() -> None:
    """pyarrow would import it with the first array, where it is installed: half a second, and 50 MB."""
    sys.modules.setdefault("pandas", None)  # type: ignore[arg-type]  # None: there is none to import


def leave_out_dates() -> None:
    """clickhouse-driver would make a table of all its dates: 90 ms, and 23 MB. It is imported, but nobody uses it."""
    os.environ.setdefault("CLICKHOUSE_DRIVER_LASY_DATE_LUT", "1970-01-01:1970-01-01")
