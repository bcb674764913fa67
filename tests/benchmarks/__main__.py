"""All benchmarks, one after the other, as one JSON document: `make bench`."""

from __future__ import annotations

import argparse
import importlib.metadata
import json
import os
import platform
import subprocess
import sys
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[2]
# Each is a program by itself that prints JSON; what it says meanwhile goes to standard error.
BENCHMARKS = (
    "fold",
    "unusual",
    "nab",
    "processor",
    "recovery",
    "latency",
    "ingest",
    "startup",
    "scale",
    "correlation",
    "all_kinds",
)
LIBRARIES = ("numpy", "protobuf", "aiokafka", "faust-streaming", "clickhouse-connect", "chdb", "pyarrow")


def describe_machine() -> dict[str, object]:
    """What figures depend on; no name of the machine."""
    return {
        "cores": os.cpu_count(),
        "architecture": platform.machine(),
        "system": platform.system(),
        "python": platform.python_version(),
        "libraries": {name: importlib.metadata.version(name) for name in LIBRARIES},
    }


def run(name: str) -> object:
    """The result of one benchmark, in a process of its own: none warms the other up."""
    argv = [sys.executable, "-m", f"tests.benchmarks.{name}"]
    done = subprocess.run(argv, cwd=REPOSITORY, stdout=subprocess.PIPE, text=True, check=True)
    return json.loads(done.stdout)


def main() -> None:
    """Prints the results, or writes them to a file."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", choices=BENCHMARKS, help="one of them")
    parser.add_argument("--output", type=Path, help="write the JSON here")
    given = parser.parse_args()
    results = {name: run(name) for name in ([given.only] if given.only else BENCHMARKS)}
    text = json.dumps({"machine": describe_machine(), "results": results}, indent=2)
    if given.output:
        given.output.write_text(text + "\n", encoding="utf-8")
    else:
        print(text)


if __name__ == "__main__":
    main()
