"""The process of a domain with one of its kinds: `python -m tests.benchmarks.all_kinds.one_kind processor`.

KIND=traffic.road_flow names it. With PLAIN=1 it computes its windows only: no detectors, indices, baselines, patterns.
"""

from __future__ import annotations

import os
import sys
from dataclasses import replace

from services.cli.domains import find_kind
from services.runtime.service import main
from tests.benchmarks.all_kinds.backlog import plain

if __name__ == "__main__":
    domain, kind = find_kind(os.environ["KIND"])
    if os.environ.get("PLAIN"):
        kind = plain(kind)
    sys.exit(main(replace(domain, kinds=(kind,))))
