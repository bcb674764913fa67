"""The contract of the job, made from `proto` here beside and put beside the generated contracts of the city."""

from __future__ import annotations

import sys
from functools import cache
from pathlib import Path

import grpc_tools
from grpc_tools import protoc

import urban
from services.runtime.contracts import FrameContract
from tests.benchmarks.job.domain import BENCHMARK, READING

REPOSITORY = Path(__file__).resolve().parents[3]
SOURCES = Path(__file__).parent / "proto"
OUTPUT = REPOSITORY / "build" / "benchmarks" / "proto"
READING_PROTO = "urban/benchmark/v1/reading.proto"


@cache
def contract() -> FrameContract:
    """The messages of the job, generated where they are older than their source."""
    made = OUTPUT / READING_PROTO.replace(".proto", "_pb2.py")
    source = SOURCES / READING_PROTO
    if not made.exists() or made.stat().st_mtime < source.stat().st_mtime:
        OUTPUT.mkdir(parents=True, exist_ok=True)
        include = [SOURCES, REPOSITORY / "proto", Path(grpc_tools.__file__).parent / "_proto"]
        status = protoc.main(["protoc", *(f"-I{folder}" for folder in include), f"--python_out={OUTPUT}", str(source)])
        if status:
            sys.exit(f"{source} does not compile")
    if str(OUTPUT / "urban") not in urban.__path__:
        urban.__path__.append(str(OUTPUT / "urban"))
    return FrameContract.of(BENCHMARK.name, READING)
