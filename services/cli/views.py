"""Makes the analysts' database `urban`: views over the tables that the services have made."""

from __future__ import annotations

import logging

import structlog

from services.runtime.migrations import ANALYSTS, migrate


def make_views(clickhouse: str) -> None:
    """Create what is missing; repeating it changes nothing."""
    # This process speaks to people: its libraries are heard where something is wrong.
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING))
    migrate(clickhouse, [ANALYSTS])
