"""What a job is told on its command line, the same for every engine."""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Given:
    """One run."""

    kafka: str  # bootstrap servers
    clickhouse: str  # http://host:port
    topic: str
    encoding: str  # protobuf, json or frames
    sink: str  # kafka or clickhouse
    results: str  # name of the topic or the table
    group: str
    folder: Path
    checkpoint_s: float
    durable: bool  # state outlives this machine (Quix) or this process (Bytewax)
    workers: int


def read_arguments() -> Given:
    """From the command line."""
    parser = argparse.ArgumentParser()
    for name in ("kafka", "clickhouse", "topic", "encoding", "sink", "results", "group"):
        parser.add_argument(f"--{name}", required=True)
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--checkpoint-s", type=float, required=True)
    parser.add_argument("--durable", action="store_true")
    parser.add_argument("--workers", type=int, default=1)
    return Given(**vars(parser.parse_args()))
