"""What libraries would load for nothing stays out of a service's process, and they work without it."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

_ARRAYS = """
import numpy as np
import pyarrow as pa
from clickhouse_connect.driver import asyncclient
table = pa.table({"a": pa.array(np.arange(3)), "b": pa.array(["x", None, "y"]), "c": pa.array(np.ones(3, "<f4"))})
assert table.num_rows == 3
"""
_NATIVE_DRIVER = """
from services.runtime.migrations import _cluster
_cluster("http://127.0.0.1:1")
from clickhouse_driver.columns import datecolumn
"""
_PROCESS = "from services.runtime.lean import leave_out_pandas\nleave_out_pandas()\n"
_TELL = "\nimport json, sys\nprint(json.dumps(sorted(sys.modules)))"


def run(code: str) -> str:
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=120)
    return done.stdout


def test_arrays_are_made_without_pandas():
    pytest.importorskip("pandas")  # one machine has it, an image has not
    assert "pandas" in json.loads(run(_ARRAYS + _TELL)), "pyarrow no longer imports it: leave_out_pandas may go"
    assert "pandas" not in json.loads(run(_PROCESS + _ARRAYS + _TELL))


def test_the_native_driver_makes_no_table_of_all_dates():
    assert int(run(_NATIVE_DRIVER + "print(len(datecolumn._date_lut))")) <= 1


@pytest.mark.parametrize(
    ("role", "without"), [("api", ("faust", "services.core.partition")), ("processor", ("services.runtime.api",))]
)
def test_a_role_imports_nothing_of_another(role: str, without: tuple[str, ...]):
    told = run(f"from services.runtime import service\nservice._class_of({role!r})" + _TELL)
    assert not set(without) & set(json.loads(told))
