"""The real process of the service traffic, with the kind of this benchmark: `… latency.traffic processor`."""

from __future__ import annotations

import sys

from services.runtime.service import main
from tests.benchmarks.latency.kinds import TRAFFIC

if __name__ == "__main__":
    sys.exit(main(TRAFFIC))
