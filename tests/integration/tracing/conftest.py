"""A collector of spans for each test."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from tests.collector import Collector, collecting


@pytest.fixture
async def collector() -> AsyncIterator[Collector]:
    async with collecting() as made:
        yield made
