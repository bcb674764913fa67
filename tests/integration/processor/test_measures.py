"""Variance, first, different values, frequent codes, levels, directions: as ClickHouse SQL tells of an archive."""

from __future__ import annotations

import asyncio
import math
from dataclasses import dataclass, replace
from typing import Any, cast

import numpy as np
import pytest

from services.community.domain import COMMUNITY
from services.core.frame import Frame
from services.core.kind import DAY_MS, HOUR_MS, MINUTE_MS, Column, ColumnType, Domain, Kind
from services.environment.domain import ENVIRONMENT
from services.runtime import catalogue
from services.runtime.api.stored import StoredResults
from services.runtime.codec import encode_frame, encode_heartbeat
from services.runtime.contracts import FrameContract
from services.runtime.partitioner import partition_of
from services.runtime.roles import ArchiverRole, ProcessorRole
from services.security.domain import SECURITY
from tests.integration.processor.city import NAME, PARTITIONS, START_MS, City
from urban.common.v1.service_pb2 import ListWindowsRequest
from urban.common.v1.window_pb2 import WindowFrame

FRAMES, ROWS = 120, 60
# Each observation once: one that was sent again has the number of its frame.
ONCE = "FINAL LIMIT 1 BY source_id, sequence, kafka_partition, kafka_index"


@dataclass(frozen=True)
class Case:
    """One kind, how long the time is that it is observed over here, and its windows by SQL."""

    domain: Domain
    window: str
    span_ms: int
    figures: str  # SQL: by (entity_id, start), in the order of `names`
    names: tuple[str, ...]
    bounds: tuple[float, ...]  # relative error of each

    @property
    def kind(self) -> Kind:
        return self.domain.kinds[0]


PEOPLE = Case(
    COMMUNITY,
    "1h",
    6 * HOUR_MS,
    "count(), varSampStable(toFloat64(count)), argMin(count, (t, count))",
    ("count_variance", "count_first"),
    (1e-9, 0),
)
TOPIC_PLACES = range(1, 7)
CAMERAS = Case(
    SECURITY,
    "1m",
    20 * MINUTE_MS,
    "events, topics, latest, "
    + ", ".join(f"if(topics >= {place}, ranked[{place}].1, nan), ranked[{place}].2" for place in TOPIC_PLACES),
    (
        *("topic_distinct", "topic_last_ms"),
        *(f"topic_top{place}{of}" for place in TOPIC_PLACES for of in ("", "_count")),
    ),
    (0,) * 14,
)
AIR = Case(
    ENVIRONMENT,
    "1h",
    3 * HOUR_MS,
    "count(), uniqExactIf(no2_ug_m3, not isNaN(no2_ug_m3)), uniqExactIf(co_mg_m3, not isNaN(co_mg_m3))",
    ("no2_ug_m3_distinct", "co_mg_m3_distinct"),
    (0.05, 0.05),
)
# Of other kinds than the first of their domain.
LEVELS = Case(
    replace(ENVIRONMENT, kinds=(ENVIRONMENT.kind("noise"),)),
    "1h",
    6 * HOUR_MS,
    "count(), 10 * log10(avgIf(exp10(laeq_db / 10.), NOT isNaN(laeq_db)))",
    ("laeq_db_energy_mean",),
    (1e-9,),
)
_WIND = "NOT isNaN(wind_from_deg) AND NOT isNaN(wind_m_s)"
_NORTH, _EAST = (f"sumIf(wind_m_s * {f}(radians(wind_from_deg * 1.)), {_WIND})" for f in ("cos", "sin"))
WINDS = Case(
    replace(ENVIRONMENT, kinds=(ENVIRONMENT.kind("weather"),)),
    "1h",
    6 * HOUR_MS,
    f"count(), if(countIf({_WIND}) = 0, nan, positiveModulo(degrees(atan2({_EAST}, {_NORTH})), 360))",
    ("wind_from_deg_mean_direction",),
    (1e-6,),
)


def by_sql(case: Case) -> str:
    size = case.kind.window(case.window).size_ms
    name = f"{case.domain.name}.{case.kind.name}"
    raw = f"SELECT *, toUnixTimestamp64Milli(time) AS t, intDiv(t, {size}) * {size} AS start FROM {name} {ONCE}"
    if case is CAMERAS:
        counted = (
            f"SELECT entity_id, start, topic, count() AS n, max(t) AS t FROM ({raw}) GROUP BY entity_id, start, topic"
        )
        # A place that no topic has is (0, 0) there.
        ranked = "arraySort(x -> (-x.2, x.1), groupArray((toFloat64(topic), n)))"
        figures = f"sum(n) AS events, max(t) AS latest, count() AS topics, {ranked} AS ranked"
        raw = f"SELECT entity_id, start, {figures} FROM ({counted})"
        return f"SELECT entity_id, start, {case.figures} FROM ({raw} GROUP BY entity_id, start)"
    return f"SELECT entity_id, start, {case.figures} FROM ({raw}) GROUP BY entity_id, start"


def random_frames(case: Case, seed: int) -> list[tuple[int, Frame]]:
    """Numbered frames in disorder, some of them twice, with their partitions."""
    chance, kind = np.random.default_rng(seed), case.kind
    frames = []
    for number in range(FRAMES):
        partition = int(chance.integers(PARTITIONS))
        ids = tuple(i for i in (f"thing-{i}" for i in range(12)) if partition_of(i, PARTITIONS) == partition)
        now_ms = START_MS + case.span_ms * number // FRAMES
        frame = Frame(
            city=NAME,
            entity_ids=ids,
            entity=chance.integers(0, len(ids), ROWS).astype(np.uint32),
            # Whole seconds, so that some are of the same time.
            time_ms=now_ms - chance.integers(0, kind.disorder_ms // 1000, ROWS) * 1000,
            period_s=0,
            columns={c.name: random_column(chance, c, c.name in kind.any_of[:1]) for c in kind.columns},
            source_id="test",
            sequence=number + 1,
            clock_ms=now_ms,
        )
        frames += [(partition, frame)] * (2 if chance.random() < 0.1 else 1)
    return frames


def random_column(chance: np.random.Generator, column: Column, always: bool) -> Any:
    if column.type is ColumnType.CODE:
        # Some codes are more frequent than others, and many equally so.
        weights = np.arange(1, len(column.codes) + 1) ** 2
        return chance.choice([c for c, _ in column.codes], ROWS, p=weights / weights.sum()).astype(np.uint32)
    values = np.rint(chance.uniform(0, min(column.maximum, 400), ROWS) * 4).astype("<f4") / np.float32(4)
    if not (column.required or always):
        values[chance.random(ROWS) < 0.2] = np.nan
    return np.clip(values, column.minimum, column.maximum)


@pytest.mark.timeout(300)
@pytest.mark.parametrize(
    "case", [PEOPLE, CAMERAS, AIR, LEVELS, WINDS], ids=["people", "cameras", "air", "levels", "winds"]
)
async def test_they_are_in_tables_frames_and_answers_what_sql_tells_of_the_archive(city: City, case: Case):
    domain, kind = case.domain, case.kind
    contract = FrameContract.of(domain.name, kind)
    topic, log = catalogue.observations(domain.name, kind.name), random_frames(case, seed=5)
    rows = sum(len(frame) for _, frame in log)
    await city.prepare(domain)
    processor, archiver = ProcessorRole(domain, city.settings()), ArchiverRole(domain, city.settings())
    await asyncio.gather(processor.start(), archiver.start())
    try:
        await city.send_raw([(partition, encode_frame(contract, frame)) for partition, frame in log], topic)
        beat = encode_heartbeat(contract, NAME, START_MS + DAY_MS)
        await city.send_raw([(partition, beat) for partition in range(PARTITIONS)], topic)
        await city.until_handled(domain.name, kind.name)

        async def all_stored() -> bool:
            return bool((await city.query(f"SELECT count() FROM {domain.name}.{kind.name} FINAL"))[0][0] == rows)

        await city.until(all_stored, f"{rows} rows in the archive")
        expected = {tuple(row[:2]): row[2:] for row in await city.query(by_sql(case))}
        columns = ", ".join(case.names)
        found = await city.query(
            f"SELECT entity_id, toUnixTimestamp64Milli(start_time), revision, {columns}"
            f" FROM {domain.name}.{kind.name}_windows FINAL WHERE window = '{case.window}'"
        )
        in_frames = await of_frames(city, case)
        answer = await StoredResults(domain, city.clickhouse).list_windows(
            ListWindowsRequest(parent=f"cities/{NAME}", kind=kind.name, window=case.window, page_size=1_000),
            cast(Any, None),
        )
    finally:
        await processor.stop()
        await archiver.stop()
    in_tables = {tuple(row[:2]): row[2:] for row in found}
    assert len(expected) > 20
    assert_near(in_tables, expected, case)
    assert_near(in_frames, expected, case)
    answered = {
        (w.entity_id, w.start_time.ToMilliseconds()): (w.revision, *(w.measures.get(n, math.nan) for n in case.names))
        for w in answer.windows
    }
    assert_near(answered, expected, case)


async def of_frames(city: City, case: Case) -> dict[tuple[Any, ...], tuple[float, ...]]:
    """The windows of the topic, in their greatest revisions."""
    found: dict[tuple[Any, ...], tuple[float, ...]] = {}
    for record in await city.read(catalogue.windows(case.domain.name)):
        frame = WindowFrame.FromString(record.value or b"")
        measures = {m.name: m.values for m in frame.measures}
        for row, place in enumerate(frame.window):
            bounds = frame.bounds[place]
            key = (frame.entity_ids[frame.entity[row]], bounds.start_ms)
            told = (frame.revision[row], *(measures[name][row] for name in case.names))
            if bounds.window == case.window and told[0] >= found.get(key, (0,))[0]:
                found[key] = told
    return found


def assert_near(found: dict[Any, Any], expected: dict[Any, Any], case: Case) -> None:
    assert found.keys() == expected.keys()
    for key, (revision, *values) in expected.items():
        assert found[key][0] == revision, key
        for name, told, value, bound in zip(case.names, found[key][1:], values, case.bounds, strict=True):
            assert told == pytest.approx(value, rel=bound, abs=bound, nan_ok=True), (key, name)
