"""Kubernetes as one program, built once for all tests."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.cluster import machine


@pytest.fixture(scope="session")
def kube() -> Path:
    """The program, on a machine that has all else it needs: a failure where it has not."""
    return machine.prepare()
