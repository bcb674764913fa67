"""Detectors that say beforehand whether they may find anything: where they say no, they would have found nothing."""

from __future__ import annotations

import random

import numpy as np
import pytest

from services.core.aggregates import REVISION
from services.core.kind import Detector, Kind
from services.core.windows import WindowBatch
from tests.contract.domains import CONTRACTS

START_MS = 1_780_272_000_000
TOLD = [(c.kind, d) for c in CONTRACTS for d in c.kind.detectors if d.may_find is not None]
# None, codes of topics, and numbers on both sides of what detectors are told by.
NUMBERS = (np.nan, np.nan, 0.0, 1.0, 3.0, 5.0, 9.0, 10.0, 11.0, 13.0, 40.0, 90.0, 700.0)
LOOKS = 3_000


def window(kind: Kind, detector: Detector, chance: random.Random) -> WindowBatch:
    """One window whose numbers have nothing to do with each other, but that some last two windows on end."""
    window = kind.window(detector.window)
    end_ms = START_MS + window.size_ms

    def numbers(name: str) -> np.ndarray:
        if name.endswith("_last_ms"):
            return np.array([end_ms - chance.choice((0.0, 4_000.0, 20_000.0))])
        return np.array([chance.choice(NUMBERS)])

    measures = {name: numbers(name) for name in kind.measure_names()}
    if chance.random() < 0.2:  # nothing changes
        for name in measures:
            if name.endswith(("_min", "_max")):
                measures[name] = np.array([40.0])
    previous = {name: measures[name] if chance.random() < 0.7 else numbers(name) for name in detector.previous}
    return WindowBatch(
        window=window,
        cities=("oslo",),
        entity_ids=("a",),
        slot=np.zeros(1, np.int64),
        start_ms=np.array([START_MS]),
        revision=np.array([chance.choice((1, 3, 100))], np.uint32),
        measures=measures,
        previous={REVISION: np.ones(1), **previous},
        attributes={name: numbers(name) for name, _ in detector.attributes},
    )


@pytest.mark.parametrize(("kind", "detector"), TOLD, ids=[f"{k.name}-{d.name}" for k, d in TOLD])
@pytest.mark.filterwarnings("ignore::RuntimeWarning")  # numbers that no road has are divided by each other
def test_who_is_not_asked_would_have_found_nothing(kind: Kind, detector: Detector):
    chance = random.Random(7)
    asked = found = 0
    for _ in range(LOOKS):
        batch = window(kind, detector, chance)
        assert detector.find is not None
        assert detector.may_find is not None
        may, does = detector.may_find(batch), bool(detector.find(batch).breached.any())
        assert may or not does, (batch.measures, batch.previous, batch.attributes)
        asked, found = asked + may, found + does
    assert 0 < found <= asked < LOOKS
