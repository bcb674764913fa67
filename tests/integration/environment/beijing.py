"""Twelve stations of Beijing, hour by hour, where they are at hand (Zhang et al., Proc. R. Soc. A, 2017; CC BY 4.0)."""

from __future__ import annotations

import csv
import gzip
from dataclasses import dataclass
from datetime import date

import numpy as np
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
