"""The real process of the service community, with the kind of this benchmark: `… latency.community processor`."""

from __future__ import annotations

import sys

from services.runtime.service import main
from tests.benchmarks.latency.kinds import COMMUNITY

if __name__ == "__main__":
    sys.exit(main(COMMUNITY))
