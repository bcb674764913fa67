"""What is normal for an entity and an hour of the local week: computed by ClickHouse once for each date."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo

import numpy as np
import pyarrow as pa
import structlog
from numpy.typing import NDArray

from services.core.kind import DAY_MS, Baseline, Kind
from services.core.local_time import HOURS_OF_WEEK, LocalTime
from services.core.local_time import UTC as UTC_CLOCK
from services.core.windows import BaselineColumns, WindowBatch
from services.runtime.clickhouse import ClickHouse
from services.runtime.outbox import Outbox

log = structlog.get_logger(__name__)

# 1970-01-05, a Monday: dates of baselines count from there.
FIRST_MONDAY_MS = 4 * DAY_MS
# Late revisions and replays go back; more than so many dates at once nobody needs.
SHEETS_KEPT = 4
MARK_HOUR = 255  # hour_of_week of the row that says: this baseline is finished
UTC_NAME = "UTC"
# Offsets are looked for from 1970 to 2100; no zone changes its clock more often than daily.
_YEARS = (1970, 2100)

_COMPUTE = """
INSERT INTO {database}.baselines
    (kind, kafka_partition, as_of, city, entity_id, hour_of_week, median, mad, samples)
SELECT {{kind:String}}, {{partition:UInt32}}, toDateTime(intDiv({{as_of:Int64}}, 1000), 'UTC'), city, entity_id, hour,
    arrayReduce('quantileExactInclusive(0.5)', xs) AS median,
    arrayReduce('quantileExactInclusive(0.5)', arrayMap(x -> abs(x - median), xs)) AS mad,
    length(xs) AS samples
FROM (
    SELECT city, entity_id, groupArray({measure}) AS xs,
        (toDayOfWeek(start_time, 0, {{zone:String}}) - 1) * 24 + toHour(start_time, {{zone:String}}) AS hour
    FROM {database}.{kind}_windows FINAL
    WHERE window = {{window:String}} AND kafka_partition = {{partition:UInt32}}
        AND start_time >= fromUnixTimestamp64Milli({{since:Int64}}, 'UTC')
        AND end_time <= fromUnixTimestamp64Milli({{as_of:Int64}}, 'UTC')
        AND NOT isNaN({measure}) AND {cities}
    GROUP BY city, entity_id, hour
)
WHERE samples >= {{minimum:UInt32}}
"""

_LOAD = """
SELECT city, entity_id, hour_of_week, median, mad, samples FROM {database}.baselines FINAL
WHERE kind = {{kind:String}} AND kafka_partition = {{partition:UInt32}}
    AND as_of = toDateTime(intDiv({{as_of:Int64}}, 1000), 'UTC')
ORDER BY city, entity_id, hour_of_week
"""


@lru_cache(maxsize=64)
def local_time(zone: str) -> LocalTime:
    """The clock of a zone of the tz database. ZoneInfoNotFoundError: there is none of that name."""
    info = ZoneInfo(zone)

    def offset(at: datetime) -> timedelta:
        found = at.astimezone(info).utcoffset()
        assert found is not None  # ZoneInfo is aware
        return found

    day, end = datetime(_YEARS[0], 1, 1, tzinfo=UTC), datetime(_YEARS[1], 1, 1, tzinfo=UTC)
    transitions, offsets = [_ms(day)], [offset(day)]
    while day < end:
        following = day + timedelta(days=1)
        if offset(following) != offsets[-1]:
            low, high = day, following
            while high - low > timedelta(milliseconds=1):
                middle = low + (high - low) / 2
                low, high = (low, middle) if offset(middle) != offsets[-1] else (middle, high)
            transitions.append(_ms(high))
            offsets.append(offset(following))
        day = following
    return LocalTime(tuple(transitions), tuple(o // timedelta(milliseconds=1) for o in offsets))


def _ms(at: datetime) -> int:
    return round(at.timestamp() * 1000)


@dataclass
class Sheet:
    """The baseline of one partition as of one date. Arrays: (entities, 168); NaN and 0 samples where there is none."""

    rows: Mapping[tuple[str, str], int]  # by city and entity id
    median: NDArray[np.float64]
    mad: NDArray[np.float64]
    samples: NDArray[np.uint32]
    # What was found out of a dictionary of slots: which one, rows of its slots, and whose clock is which.
    shown: Sequence[str] | None = None
    entity: NDArray[np.int64] = field(default_factory=lambda: np.empty(0, np.int64))
    clocks: dict[str, NDArray[np.bool_]] = field(default_factory=dict)


class BaselineBook:
    """The baselines of one kind; asks ClickHouse when a date is needed for the first time."""

    def __init__(
        self, clickhouse: ClickHouse, outbox: Outbox, domain: str, kind: Kind, time_zones: Mapping[str, str]
    ) -> None:
        """`time_zones`: zone of each city; others keep UTC. ZoneInfoNotFoundError for a zone that does not exist."""
        if kind.baseline is None:
            raise ValueError(f"{domain}.{kind.name} has no baseline")
        self._baseline: Baseline = kind.baseline
        self._clickhouse, self._outbox, self._domain, self._kind = clickhouse, outbox, domain, kind
        self._zones = dict(time_zones)
        self._clocks = {city: local_time(zone) for city, zone in self._zones.items()}
        self._sheets: OrderedDict[tuple[int, int], Sheet] = OrderedDict()

    def serves(self, batch: WindowBatch) -> bool:
        """Whether the baseline is one of such windows."""
        return batch.window.name == self._baseline.window

    async def pages(self, partition: int, batch: WindowBatch) -> list[tuple[NDArray[np.int64], BaselineColumns]]:
        """The rows of a batch, split by the date of their baseline, and what is normal for each of them."""
        refresh_ms = self._baseline.refresh_ms
        as_of_ms = FIRST_MONDAY_MS + (batch.start_ms - FIRST_MONDAY_MS) // refresh_ms * refresh_ms
        return [
            (rows, self._look_up(await self._sheet(partition, date), batch, rows, date))
            for date in np.unique(as_of_ms).tolist()
            for rows in [np.flatnonzero(as_of_ms == date)]
        ]

    def _look_up(self, sheet: Sheet, batch: WindowBatch, rows: NDArray[np.int64], as_of_ms: int) -> BaselineColumns:
        model = f"{self._kind.name}/{self._baseline.window} as of {_date(as_of_ms)}"
        if not sheet.rows:
            nothing = np.full(len(rows), np.nan)
            return BaselineColumns(model, nothing, nothing, np.zeros(len(rows), np.uint32))
        entity, clocks = self._places(sheet, batch)
        slot, start_ms = batch.slot[rows], batch.start_ms[rows]
        hour = UTC_CLOCK.hour_of_week(start_ms)
        for city, of_slot in clocks.items():
            mine = np.flatnonzero(of_slot[slot])
            hour[mine] = self._clocks[city].hour_of_week(start_ms[mine])
        of_row = entity[slot]
        known = of_row >= 0
        return BaselineColumns(
            model,
            np.where(known, sheet.median[of_row, hour], np.nan),
            np.where(known, sheet.mad[of_row, hour], np.nan),
            np.where(known, sheet.samples[of_row, hour], 0).astype(np.uint32),
        )

    def _places(self, sheet: Sheet, batch: WindowBatch) -> tuple[NDArray[np.int64], dict[str, NDArray[np.bool_]]]:
        """By slot, the row of the sheet, -1 for none, and who lives by the clock of each city that has one.

        Looked up once for a sheet, and for a dictionary of the engine, which is the same object until an entity comes
        or goes.
        """
        if sheet.shown is not batch.entity_ids:
            keys = zip(batch.cities, batch.entity_ids, strict=True)
            sheet.entity = np.fromiter((sheet.rows.get(key, -1) for key in keys), np.int64, len(batch.entity_ids))
            cities = np.array(batch.cities, object)
            sheet.clocks = {city: cities == city for city in set(batch.cities) & set(self._clocks)}
            sheet.shown = batch.entity_ids
        return sheet.entity, sheet.clocks

    async def _sheet(self, partition: int, as_of_ms: int) -> Sheet:
        key = partition, as_of_ms
        if key not in self._sheets:
            sheet = await self._load(partition, as_of_ms)
            if sheet is None:
                await self._compute(partition, as_of_ms)
                sheet = await self._load(partition, as_of_ms)
                assert sheet is not None  # it is marked as finished by now
            self._sheets[key] = sheet
            while len([k for k in self._sheets if k[0] == partition]) > SHEETS_KEPT:
                del self._sheets[next(k for k in self._sheets if k[0] == partition)]
        self._sheets.move_to_end(key)
        return self._sheets[key]

    async def _load(self, partition: int, as_of_ms: int) -> Sheet | None:
        sql = _LOAD.format(database=self._domain)
        found = await self._clickhouse.query(sql, self._parameters(partition, as_of_ms), give_up_s=None)
        rows = [row for row in found if row[2] < HOURS_OF_WEEK]
        if len(rows) == len(found):
            return None
        index = {key: i for i, key in enumerate(dict.fromkeys((row[0], row[1]) for row in rows))}
        shape = len(index), HOURS_OF_WEEK
        sheet = Sheet(index, np.full(shape, np.nan), np.full(shape, np.nan), np.zeros(shape, np.uint32))
        for city, entity_id, hour, median, mad, samples in rows:
            place = index[city, entity_id], hour
            sheet.median[place], sheet.mad[place], sheet.samples[place] = median, mad, samples
        return sheet

    async def _compute(self, partition: int, as_of_ms: int) -> None:
        """From the windows that are stored by now: all that left before the one that asks, whatever run asks."""
        await self._outbox.flush()
        measure, parameters = self._baseline.measure, self._parameters(partition, as_of_ms)
        for zone, cities in self._zone_conditions():
            sql = _COMPUTE.format(database=self._domain, kind=self._kind.name, measure=measure, cities=cities)
            await self._clickhouse.command(sql, {**parameters, "zone": zone}, repeatable=True)
        await self._mark(partition, as_of_ms)
        log.info("baseline_computed", kind=self._kind.name, partition=partition, as_of=_date(as_of_ms))

    def _zone_conditions(self) -> Iterator[tuple[str, str]]:
        """Each zone and the SQL condition of its cities; the names of cities hold no quotes (they are settings)."""
        quoted = {city: "'" + city.replace("\\", "\\\\").replace("'", "\\'") + "'" for city in sorted(self._zones)}
        for zone in sorted(set(self._zones.values())):
            yield zone, f"city IN ({', '.join(quoted[c] for c in quoted if self._zones[c] == zone)})"
        yield UTC_NAME, f"city NOT IN ({', '.join(quoted.values())})" if quoted else "1"

    async def _mark(self, partition: int, as_of_ms: int) -> None:
        marked = pa.table(
            {
                "kind": [self._kind.name],
                "kafka_partition": pa.array([partition], pa.uint32()),
                "as_of": pa.array([as_of_ms // 1000], pa.timestamp("s", "UTC")),
                "city": [""],
                "entity_id": [""],
                "hour_of_week": pa.array([MARK_HOUR], pa.uint8()),
                "median": [float("nan")],
                "mad": [float("nan")],
                "samples": pa.array([0], pa.uint32()),
            }
        )
        await self._clickhouse.insert(f"{self._domain}.baselines", marked)

    def _parameters(self, partition: int, as_of_ms: int) -> dict[str, str | int]:
        return {
            "kind": self._kind.name,
            "partition": partition,
            "as_of": as_of_ms,
            "since": as_of_ms - self._baseline.history_ms,
            "window": self._baseline.window,
            "minimum": self._baseline.minimum_samples,
        }


def _date(time_ms: int) -> str:
    return datetime.fromtimestamp(time_ms / 1000, UTC).date().isoformat()
