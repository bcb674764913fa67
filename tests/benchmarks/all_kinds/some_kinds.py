"""The process of a domain with some of its kinds: `python -m tests.benchmarks.all_kinds.some_kinds processor`.

KINDS names them: traffic.road_flow is one, traffic all of that domain. With PLAIN=1 it computes their windows only: no
detectors, indices, baselines, patterns.
"""

from __future__ import annotations

import os
import sys
from dataclasses import replace

from services.cli.domains import find_domains
from services.runtime.service import main
from tests.benchmarks.all_kinds.backlog import plain

if __name__ == "__main__":
    name, _, kind = os.environ["KINDS"].partition(".")
    (domain,) = [domain for domain in find_domains() if domain.name == name]
    kinds = tuple(k for k in domain.kinds if kind in ("", k.name))
    sys.exit(main(replace(domain, kinds=tuple(map(plain, kinds)) if os.environ.get("PLAIN") else kinds)))
