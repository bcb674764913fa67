"""The process of the service community: `python -m services.community all|api|processor|archiver`."""

from __future__ import annotations

import sys

from services.community.domain import COMMUNITY
from services.runtime.service import main

if __name__ == "__main__":
    sys.exit(main(COMMUNITY))
