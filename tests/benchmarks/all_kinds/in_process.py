"""What detectors, indices and baselines of each kind cost, without servers.

`python -m tests.benchmarks.all_kinds.in_process`. The handler of one partition takes the same records as in the
benchmark beside, and makes of them what a processor sends: rows in Arrow's stream format and records for Kafka; there
they end. What it costs to fetch and to send is left out, of *plain* as of *whole*, so that ratios come out greater than
beside. Each repetition takes *plain* and *whole* in turn; figures are the sum of the least that each fetch took in any
of them, so that what else the machine does counts little. `--profile` tells where the
time of one kind goes, `--json` also a digest of all that was made: the same of two versions that tell the same.
"""

from __future__ import annotations

import argparse
import asyncio
import cProfile
import hashlib
import json
import pstats
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import pyarrow as pa
from aiokafka.structs import ConsumerRecord

from services.cli.domains import find_domains
from services.core.kind import Kind
from services.runtime.baselines import MARK_HOUR, BaselineBook
from services.runtime.catalogue import ENTITIES
from services.runtime.codec import encode_frame, encode_heartbeat
from services.runtime.contracts import FrameContract
from services.runtime.entities import EntityRegistry
from services.runtime.fakes import MemoryLog
from services.runtime.memory import hold_little, look_seldom
from services.runtime.outbox import Outgoing
from services.runtime.processor import KindProcessor, Workshop
from services.runtime.record_columns import Records
from tests.benchmarks.all_kinds.__main__ import reported_today
from tests.benchmarks.all_kinds.backlog import CITY, Backlog
from tests.benchmarks.all_kinds.backlog import plain as plain_kind
from tests.benchmarks.tables import markdown

PARTITION = 0
# What a fetch brings of one partition at most, as consumers ask for it.
FETCH_BYTES = 1 << 20


@dataclass
class EndOfTheWay:
    """Takes the place of the outbox: makes the bytes that would be sent, and keeps nothing but their digest."""

    made: list[bytes | pa.Buffer] = field(default_factory=list)
    rows: dict[str, int] = field(default_factory=dict)
    digest: Any = field(default_factory=hashlib.sha256)

    def put(self, rows: Mapping[str, pa.Table], records: Sequence[Outgoing] = ()) -> None:
        for name, table in rows.items():
            self.rows[name] = self.rows.get(name, 0) + len(table)
            sink = pa.BufferOutputStream()
            with pa.ipc.new_stream(sink, table.schema) as stream:
                stream.write_table(table)
            self.made.append(name.encode())
            self.made.append(sink.getvalue())
        for record in records:
            self.made += (record.topic.encode(), record.key or b"", record.value or b"")

    def let_go(self) -> None:
        for made in self.made:
            self.digest.update(made)
        self.made.clear()

    async def wait_for_room(self) -> None:
        return None

    async def flush(self, *, hurry: bool = True) -> None:
        return None


class NothingStored:
    """Takes the place of ClickHouse: a baseline of nothing, which is finished."""

    async def query(self, *_: Any, **__: Any) -> list[tuple[Any, ...]]:
        return [("", "", MARK_HOUR, float("nan"), float("nan"), 0)]


@dataclass(frozen=True)
class Spent:
    """Processor time of each fetch, and what came out."""

    seconds: tuple[float, ...]
    observations: int
    rows: Mapping[str, int]
    digest: str

    @property
    def ns(self) -> float:
        """For an observation."""
        return sum(self.seconds) / self.observations * 1e9

    def least(self, other: Spent | None) -> Spent:
        """Of each fetch what it took when it was disturbed least. ValueError where something else came out."""
        if other is None:
            return self
        if self.digest != other.digest:
            raise ValueError("the same records came to something else when they were taken again")
        return replace(self, seconds=tuple(map(min, self.seconds, other.seconds)))


def main() -> None:
    """Prints a table, or JSON, or where the time of one kind goes."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kind", default="", help="part of the names of the kinds; none: all")
    parser.add_argument("--entities", type=int, default=8_192, help="of each kind, in all four partitions")
    parser.add_argument("--reports", type=int, default=120, help="of each entity")
    parser.add_argument("--repetitions", type=int, default=3)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--profile", type=int, default=0, metavar="LINES", help="where the time of *whole* goes")
    given = parser.parse_args()
    # As every service does: otherwise looks for garbage and pages made anew are a good part of what is measured.
    hold_little()
    look_seldom()
    backlogs = [
        Backlog(domain.name, kind, given.entities, given.reports)
        for domain in find_domains()
        for kind in domain.kinds
        if given.kind in f"{domain.name}.{kind.name}"
    ]
    if given.profile:
        for backlog in backlogs:
            _profile(backlog, given.profile)
        return
    figures = [_measure(backlog, given.repetitions) for backlog in backlogs]
    document = {"kinds": figures, **_ratios(figures)}
    print(json.dumps(document, indent=1) if given.json else _as_text(document))


def _measure(backlog: Backlog, repetitions: int) -> dict[str, Any]:
    fetches = [*_fetches(backlog)]
    parts = {
        "plain": plain_kind(backlog.kind),
        "without_unusual": backlog.kind.without_unusual(),
        "whole": backlog.kind,
    }
    best: dict[str, Spent] = {}
    for _ in range(repetitions):
        for name, kind in parts.items():
            spent = asyncio.run(_spend(backlog, kind, fetches))
            best[name] = spent.least(best.get(name))
    return {
        "name": backlog.name,
        **{name: round(spent.ns) for name, spent in best.items()},
        "rows": dict(best["whole"].rows),
        "digest": best["whole"].digest,
    }


def _ratios(figures: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    reported = reported_today()
    weights = [reported.get(figure["name"].partition(".")[2], 0.0) for figure in figures]
    plain, whole = ([figure[name] for figure in figures] for name in ("plain", "whole"))
    in_a_city = sum(w * ns for w, ns in zip(weights, plain, strict=True))
    return {
        "ratio": round(sum(whole) / sum(plain), 3),
        "in_a_city": round(sum(w * ns for w, ns in zip(weights, whole, strict=True)) / in_a_city, 3)
        if in_a_city
        else None,
    }


def _as_text(document: Mapping[str, Any]) -> str:
    names = ("plain", "without_unusual", "whole")
    rows = [(f["name"], *(f"{f[n]:,}" for n in names), f"{f['whole'] / f['plain']:.2f}") for f in document["kinds"]]
    table = markdown(("kind", "plain, ns", "without the unusual, ns", "whole, ns", "ratio"), rows)
    return f"{table}\n\nall: {document['ratio']}, weighed by what a city reports: {document['in_a_city']}"


def _fetches(backlog: Backlog) -> Iterator[Records]:
    """The records of one partition, as fetches bring them."""
    contract = FrameContract.of(backlog.domain, backlog.kind)
    values = [encode_frame(contract, frame) for partition, frame in backlog.frames() if partition == PARTITION]
    values.append(encode_heartbeat(contract, CITY, backlog.end_ms + backlog.kind.disorder_ms))
    fetch: list[ConsumerRecord[Any, Any]] = []
    size = 0
    for offset, value in enumerate(values):
        fetch.append(ConsumerRecord("t", PARTITION, offset, 0, 0, None, value, None, 0, len(value), ()))
        size += len(value)
        if size >= FETCH_BYTES:
            yield Records.of(fetch)
            fetch, size = [], 0
    if fetch:
        yield Records.of(fetch)


async def _spend(backlog: Backlog, kind: Kind, fetches: Sequence[Records]) -> Spent:
    processor, end, registry = await _make(backlog, kind)
    spent_s: list[float] = []
    for fetch in fetches:
        began_s = time.process_time()
        await processor.handle(fetch)
        spent_s.append(time.process_time() - began_s)
        end.let_go()
    counters = processor._partition.counters
    await registry.stop()
    return Spent(tuple(spent_s), counters.folded, end.rows, end.digest.hexdigest())


async def _make(backlog: Backlog, kind: Kind) -> tuple[KindProcessor, EndOfTheWay, EntityRegistry]:
    nothing: Any = None
    end: Any = EndOfTheWay()
    stored: Any = NothingStored()
    log = MemoryLog({ENTITIES: 1})
    registry = EntityRegistry("", log.reader)
    await registry.start()
    book = BaselineBook(stored, end, backlog.domain, kind, {}) if kind.baseline else None
    contract = FrameContract.of(backlog.domain, backlog.kind)
    shop = Workshop(backlog.domain, kind, contract, end, nothing, registry, book, 4, passed_end=asyncio.Event())
    return KindProcessor(shop, PARTITION), end, registry


def _profile(backlog: Backlog, lines: int) -> None:
    fetches = [*_fetches(backlog)]

    async def work() -> None:
        processor, _, registry = await _make(backlog, backlog.kind)
        await processor.handle(fetches[0])
        profile.enable()
        for fetch in fetches[1:]:
            await processor.handle(fetch)
        profile.disable()
        await registry.stop()

    profile = cProfile.Profile(time.process_time)
    asyncio.run(work())
    print(backlog.name)
    stats = pstats.Stats(profile)
    stats.sort_stats("cumulative").print_stats(r"services|numpy|pyarrow", lines)
    stats.sort_stats("tottime").print_stats(lines)


if __name__ == "__main__":
    main()
