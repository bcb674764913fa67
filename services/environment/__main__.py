"""The process of the service environment: `python -m services.environment all|api|processor|archiver`."""

from __future__ import annotations

import sys

from services.environment.domain import ENVIRONMENT
from services.runtime.service import main

if __name__ == "__main__":
    sys.exit(main(ENVIRONMENT))
