"""What libraries would load for nothing stays out of a service's process, and what is free goes back to the machine."""

from __future__ import annotations

import json
import platform
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
_PROCESS = "from services.runtime.memory import leave_out_pandas\nleave_out_pandas()\n"
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


_HOLES = """
import asyncio
import psutil
from services.runtime import memory
memory.GIVE_BACK_INTERVAL_S = 0.01

def held_mb():
    return psutil.Process().memory_info().rss / 1e6

async def main():
    blocks = [bytes([1]) * 200_000 for _ in range(500)]
    full = held_mb()
    del blocks[::2]  # each hole lies before something that stays
    holes = held_mb()
    giving_back = asyncio.create_task(memory.give_back())
    await asyncio.sleep(0.2)
    giving_back.cancel()
    print(full - holes, holes - held_mb())

asyncio.run(main())
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="the C library is not glibc")
def test_what_is_free_among_other_things_goes_back():
    by_itself_mb, given_back_mb = map(float, run(_HOLES).split())
    assert by_itself_mb < 10, "the C library gives holes back by itself: give_back may go"
    assert given_back_mb > 35


# Threads that ask for memory at once, each in a heap of its own where it may have one.
_THREADS = """
import ctypes, threading
import {first}
import services.runtime.roles
import numpy as np

all_there = threading.Barrier(8)

def ask():
    all_there.wait()
    held = [np.ones(1_000) for _ in range(1_000)]
    all_there.wait()

threads = [threading.Thread(target=ask) for _ in range(8)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
libc = ctypes.CDLL(None)
libc.fopen.restype = ctypes.c_void_p
libc.malloc_info.argtypes = (ctypes.c_int, ctypes.c_void_p)
libc.fflush.argtypes = (ctypes.c_void_p,)
libc.malloc_info(0, libc.fopen(b"/dev/stdout", b"w"))
libc.fflush(None)
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="the C library is not glibc")
@pytest.mark.parametrize("first", ["services.core.kind", "services.runtime.service", "services.correlation.roles"])
def test_all_threads_share_one_heap_whatever_is_imported_first(first: str):
    assert run(_THREADS.format(first=first)).count("<heap nr=") == 1
