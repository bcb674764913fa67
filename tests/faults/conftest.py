"""Servers of their own for the fault matrix, and the seed."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from tests.faults.world import World, download_cache, open_world


@pytest.fixture(scope="session")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    with open_world(tmp_path_factory.mktemp("faults"), download_cache()) as servers:
        yield servers


@pytest.fixture(scope="session")
def seed() -> int:
    """The seed of every row; URBAN_FAULT_SEED sets it."""
    return int(os.environ.get("URBAN_FAULT_SEED", "1"))
