"""The process of the correlation: `python -m services.correlation all|api|exchange|processor|responder|scanner`."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence

from services.correlation.exchange_role import ExchangeRole
from services.correlation.responder_role import ResponderRole
from services.correlation.roles import CorrelationApiRole, CorrelatorRole
from services.correlation.scanner_role import ScannerRole
from services.runtime.catalogue import shared_topics
from services.runtime.role import Role
from services.runtime.service import chosen_roles, run_service
from services.runtime.settings import Settings


def main(arguments: Sequence[str]) -> int:
    """Runs the roles that are asked for; the exit status of the process."""
    makers: dict[str, Callable[[Settings], Role]] = {
        "api": CorrelationApiRole,
        "exchange": ExchangeRole,
        "processor": CorrelatorRole,
        "responder": ResponderRole,
        "scanner": ScannerRole,
    }
    settings = Settings()  # type: ignore[call-arg]  # every field has a default
    names = chosen_roles("correlation", list(makers), arguments)
    return run_service("correlation", settings, {n: makers[n](settings) for n in names}, shared_topics(()))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
