"""The process of the service security: `python -m services.security all|api|processor|archiver`."""

from __future__ import annotations

import sys

from services.runtime.service import main
from services.security.domain import SECURITY

if __name__ == "__main__":
    sys.exit(main(SECURITY))
