"""What the results of the job must be, by a plain count over panes, and whether an engine's results are that."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from tests.benchmarks.job.domain import HOP_MS, WINDOW_MS
from tests.benchmarks.job.observations import START_MS, Job, gateways, reports

PANES = WINDOW_MS // HOP_MS


@dataclass(frozen=True)
class Windows:
    """Results by entity and window, ordered by both. Shapes: (n,)."""

    entity: NDArray[np.int64]  # index into `entities` of the job
    start_ms: NDArray[np.int64]
    figures: dict[str, NDArray[np.float64]]  # count, sum, min, max, mean

    def __len__(self) -> int:
        return len(self.entity)


def entities(job: Job) -> list[str]:
    """Ids of all entities that results are compared of."""
    return [name for _, ids in gateways(job) for name in ids]


def expected(job: Job) -> Windows:
    """Every window of every entity with an observation that is not late."""
    # Windows begin up to a window before the first observation, and end up to one after the last.
    first_ms = START_MS - WINDOW_MS
    panes = int((job.end_ms + WINDOW_MS - first_ms) // HOP_MS) + 1
    shape = (job.entities, panes)
    count, total = np.zeros(shape), np.zeros(shape)
    least, greatest = np.full(shape, np.inf), np.full(shape, -np.inf)
    for report in reports(job):
        good = ~report.late
        cell = report.gateway * job.rows_per_frame + report.entity[good], (report.time_ms[good] - first_ms) // HOP_MS
        value = report.value[good].astype(np.float64)
        # A report has one number of each entity, so no cell is there twice.
        count[cell] += 1
        total[cell] += value
        least[cell] = np.minimum(least[cell], value)
        greatest[cell] = np.maximum(greatest[cell], value)
    # A window is the pane that it begins in and those after it.
    width = panes - PANES + 1
    count, total = (np.add.reduce([array[:, i : i + width] for i in range(PANES)]) for array in (count, total))
    least = np.minimum.reduce([least[:, i : i + width] for i in range(PANES)])
    greatest = np.maximum.reduce([greatest[:, i : i + width] for i in range(PANES)])
    row, begin = np.nonzero(count)
    figures = {name: a[row, begin] for name, a in {"count": count, "sum": total, "min": least, "max": greatest}.items()}
    figures["mean"] = figures["sum"] / figures["count"]
    return Windows(row, first_ms + begin * HOP_MS, figures)


def differences(found: Any, wanted: Windows, names: list[str]) -> list[str]:
    """What is wrong with results; empty: nothing. `found`: an Arrow table of entity_id, start_ms and the figures.

    The same row twice is no fault (delivery is at least once), two rows that differ are.
    """
    if not len(found):
        return ["no rows"]
    ids = found["entity_id"].combine_chunks()
    given = pc.fill_null(pc.index_in(ids, pa.array(names, ids.type)), -1).to_numpy().astype(np.int64)
    start_ms = np.asarray(found["start_ms"].to_numpy(), np.int64)
    columns = {name: np.asarray(found[name].to_numpy(), np.float64) for name in wanted.figures}
    mine = given >= 0
    key = given[mine] * 2**42 + (start_ms[mine] - START_MS + WINDOW_MS)
    told = np.stack([columns[name][mine] for name in wanted.figures], axis=1)
    order = np.argsort(key, kind="stable")
    key, told = key[order], told[order]
    again = np.flatnonzero(key[1:] == key[:-1])
    troubles = []
    if len(again) and not (told[again] == told[again + 1]).all():
        unequal = int((told[again] != told[again + 1]).any(axis=1).sum())
        troubles.append(f"{unequal} windows were told twice, and differently")
    once = np.concatenate(([True], key[1:] != key[:-1])) if len(key) else np.zeros(0, np.bool_)
    key, told = key[once], told[once]
    must = wanted.entity * 2**42 + (wanted.start_ms - START_MS + WINDOW_MS)
    missing, unknown = np.setdiff1d(must, key), np.setdiff1d(key, must)
    if len(missing) or len(unknown):
        return [*troubles, f"{len(missing)} windows are missing, {len(unknown)} are none of the job's"]
    order = np.argsort(must)
    for place, (name, values) in enumerate(wanted.figures.items()):
        wrong = ~np.isclose(told[:, place], values[order], rtol=1e-9 if name == "mean" else 0.0, atol=0.0)
        if wrong.any():
            troubles.append(f"{name} differs in {int(wrong.sum())} of {len(wrong)} windows")
    return troubles
