"""Chance of a scenario: streams of random numbers by name, so that no part of a city shifts the numbers of another."""

from __future__ import annotations

import hashlib

import numpy as np


def stream(seed: int, *names: str | int) -> np.random.Generator:
    """The random numbers of these names; the same names give the same numbers (of one version of numpy)."""
    digest = hashlib.sha256("\x1f".join(map(str, (seed, *names))).encode()).digest()
    return np.random.Generator(np.random.Philox(key=int.from_bytes(digest[:16], "little")))
