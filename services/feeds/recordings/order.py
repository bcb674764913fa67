"""Puts observations in the order of time, however many there are: sorted runs on disk, merged piece by piece."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import fields
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pyarrow as pa

from services.feeds.recordings.block import Block, join

RUN_ROWS = 262_144
"""Observations that are sorted in memory at once."""

_PIECE_ROWS = 8_192
_OWN = tuple(f.name for f in fields(Block) if f.name != "columns")


def sort_blocks(blocks: Iterable[Block], run_rows: int = RUN_ROWS) -> Iterator[Block]:
    """The same observations by time, and those of one time as they came. Reads all of them first."""
    with TemporaryDirectory(prefix="urban-replay-") as folder:
        files: list[Path] = []
        pending: list[Block] = []
        rows = 0
        for block in blocks:
            pending.append(block)
            rows += len(block)
            if rows >= run_rows:
                files.append(_write(_sorted(pending), Path(folder) / f"{len(files)}.arrow"))
                pending, rows = [], 0
        last = [_cut(_sorted(pending))] if pending else []
        yield from _merge([*(_read(file) for file in files), *last])


def _sorted(blocks: Sequence[Block]) -> Block:
    whole = join(blocks)
    return whole.take(np.argsort(whole.time_ms, kind="stable"))


def _cut(block: Block) -> Iterator[Block]:
    for first in range(0, len(block), _PIECE_ROWS):
        yield block.take(slice(first, first + _PIECE_ROWS))


def _write(block: Block, path: Path) -> Path:
    columns = {name: getattr(block, name) for name in _OWN} | {f"columns.{n}": v for n, v in block.columns.items()}
    table = pa.table(columns)
    with pa.OSFile(str(path), "wb") as file, pa.ipc.new_file(file, table.schema) as writer:
        writer.write_table(table, max_chunksize=_PIECE_ROWS)
    return path


def _read(path: Path) -> Iterator[Block]:
    with pa.OSFile(str(path)) as file:
        reader = pa.ipc.open_file(file)
        for number in range(reader.num_record_batches):
            batch = reader.get_batch(number)
            found = {name: np.asarray(values) for name, values in zip(batch.schema.names, batch.columns, strict=True)}
            columns = {n.removeprefix("columns."): v for n, v in found.items() if n.startswith("columns.")}
            yield Block(**{name: found[name] for name in _OWN}, columns=columns)


def _merge(runs: Sequence[Iterator[Block]]) -> Iterator[Block]:
    """Runs that are sorted each, as one. Holds about one piece of each run."""
    open_runs = list(runs)
    newest = [np.iinfo(np.int64).min] * len(open_runs)  # how far each run was read
    held: list[Block] = []
    while open_runs:
        slowest = newest.index(min(newest))
        piece = next(open_runs[slowest], None)
        if piece is None:
            del open_runs[slowest], newest[slowest]
        elif len(piece):
            newest[slowest] = int(piece.time_ms[-1])
            held.append(piece)
        if not held:
            continue
        # What no run can undercut any more; of equal times the runs hold theirs in the order in which they were made.
        whole = _sorted(held)
        ready = len(whole) if not open_runs else int(np.searchsorted(whole.time_ms, min(newest)))
        if ready:
            yield whole.take(slice(0, ready))
        held = [whole.take(slice(ready, None))] if ready < len(whole) else []
