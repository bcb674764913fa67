"""Every row of the fault matrix, once, with one seed. `make faults` runs them with more seeds and faults."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.faults.matrix import CORE, ELSEWHERE, MATRIX, PROCESS
from tests.faults.row import Row, Trial
from tests.faults.rows.all import read_rows
from tests.faults.world import World

ROWS = read_rows()
REPOSITORY = Path(__file__).resolve().parents[2]


def names(ring: str) -> list[object]:
    return [pytest.param(row, id=row.fault) for row in ROWS if row.ring == ring]


def test_every_fault_of_the_matrix_has_a_row_in_each_of_its_rings_or_is_tested_elsewhere():
    found = [(row.fault, row.ring) for row in ROWS]
    assert sorted([*found, *ELSEWHERE]) == sorted((f.name, ring) for f in MATRIX for ring in f.rings)
    for path in ELSEWHERE.values():
        assert (REPOSITORY / path).is_file(), path


@pytest.mark.parametrize("row", names(CORE))
async def test_the_core_survives(row: Row, seed: int):
    print(f"{row.fault}: URBAN_FAULT_SEED={seed}")
    (await row.run(Trial(seed, row.once))).check()


@pytest.mark.timeout(240)
@pytest.mark.parametrize("row", names(PROCESS))
async def test_the_processes_survive(row: Row, seed: int, world: World):
    print(f"{row.fault}: URBAN_FAULT_SEED={seed}")
    (await row.run(Trial(seed, row.once, world))).check()
