"""The process of the service traffic: `python -m services.traffic all|api|processor|archiver`."""

from __future__ import annotations

import sys

from services.runtime.service import main
from services.traffic.domain import TRAFFIC

if __name__ == "__main__":
    sys.exit(main(TRAFFIC))
