"""Series that detectors of the unusual are tried on."""

from __future__ import annotations

import numpy as np

from services.core.kind import HOUR_MS, MINUTE_MS

STEP_MS = 5 * MINUTE_MS


def ordinary(windows: int, entities: int = 1, seed: int = 1) -> np.ndarray:
    chance = np.random.default_rng(seed)
    day = 20 * np.sin(np.arange(windows) * STEP_MS / (24 * HOUR_MS) * 2 * np.pi)
    return 60 + day[:, None] + chance.normal(0, 3, (windows, entities))
