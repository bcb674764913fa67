"""Twelve stations of Beijing, hour by hour, where they are at hand (Zhang et al., Proc. R. Soc. A, 2017; CC BY 4.0)."""

from __future__ import annotations

import csv
import gzip
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date
from urllib.parse import urlsplit

import clickhouse_connect
import numpy as np
import pyarrow as pa
from clickhouse_connect.driver.client import Client
from numpy.typing import NDArray

from services.environment.indices.standard import Pollutant
from tests.integration.processor.real_data import need

STATIONS = (
    "Aotizhongxin Changping Dingling Dongsi Guanyuan Gucheng Huairou Nongzhanguan Shunyi Tiantan Wanliu Wanshouxigong"
).split()
FIRST_DAY = date(2013, 3, 1)
DAYS = 671
COLUMNS = {"PM2.5": "pm2_5", "PM10": "pm10", "SO2": "so2", "NO2": "no2", "O3": "o3", "CO": "co"}
# All are told in µg/m³, with four decimals at most.
SCALE = 10_000


@dataclass(frozen=True)
class Hours:
    """Whole local days of all stations. Shapes: (24 days, stations); in 1/10,000 µg/m³, -1 where there is no value."""

    scaled: dict[Pollutant, NDArray[np.int64]]

    def ug_m3(self, pollutant: Pollutant) -> NDArray[np.float64]:
        """As numbers; NaN where there is no value."""
        scaled = self.scaled[pollutant]
        return np.where(scaled < 0, np.nan, scaled / SCALE)


def read_hours() -> Hours:
    """March 2013 to December 2014."""
    scaled = {Pollutant(name): np.full((24 * DAYS, len(STATIONS)), -1, np.int64) for name in COLUMNS.values()}
    for place, station in enumerate(STATIONS):
        with gzip.open(need(f"beijing_prsa/PRSA_Data_{station}_2013-2014.csv.gz"), "rt") as lines:
            for row in csv.DictReader(lines):
                day = date(int(row["year"]), int(row["month"]), int(row["day"])) - FIRST_DAY
                hour = 24 * day.days + int(row["hour"])
                for told, name in COLUMNS.items():
                    if row[told] != "NA":
                        scaled[Pollutant(name)][hour, place] = round(float(row[told]) * SCALE)
    return Hours(scaled)


@contextmanager
def hours_in_clickhouse(url: str, database: str, hours: Mapping[Pollutant, NDArray[np.int64]]) -> Iterator[Client]:
    """A client, and `hours` of a database of its own: a table of the hours, (hours, stations) of whole days."""
    parts = urlsplit(url)
    with clickhouse_connect.get_client(host=parts.hostname or "", port=parts.port or 0) as client:
        client.command(f"CREATE DATABASE {database}")
        columns = ", ".join(f"{p.value} Int64" for p in Pollutant)
        client.command(
            f"CREATE TABLE {database}.hours (station UInt32, day UInt32, hour UInt8, {columns})"
            " ENGINE = MergeTree ORDER BY (station, day, hour)"
        )
        hour, station = np.indices(hours[Pollutant.PM2_5].shape)
        table = {
            "station": pa.array(station.ravel(), pa.uint32()),
            "day": pa.array(hour.ravel() // 24, pa.uint32()),
            "hour": pa.array(hour.ravel() % 24, pa.uint8()),
        }
        table |= {p.value: pa.array(hours[p].ravel()) for p in Pollutant}
        client.insert_arrow(f"{database}.hours", pa.table(table))
        try:
            yield client
        finally:
            client.command(f"DROP DATABASE {database}")
