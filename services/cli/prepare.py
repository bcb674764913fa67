"""Makes ready what services find when they start: every topic of the catalogue, every table and view."""

from __future__ import annotations

import asyncio
import logging

import structlog

from services.cli.domains import find_domains
from services.runtime.catalogue import catalogue
from services.runtime.migrations import migrate
from services.runtime.topics import ensure_topics


def prepare(kafka: str, clickhouse: str) -> None:
    """Create what is missing; repeating it changes nothing."""
    # This process speaks to people: its libraries are heard where something is wrong.
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING))
    asyncio.run(_prepare(kafka, clickhouse))


async def _prepare(kafka: str, clickhouse: str) -> None:
    await asyncio.gather(ensure_topics(kafka, catalogue(find_domains())), asyncio.to_thread(migrate, clickhouse))
