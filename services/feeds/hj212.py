"""Packets of HJ 212 as rows of environment.emission, air_quality and weather: which codes, flags and times are taken.

The codes are those of HJ 212-2017, annex B.2 (2005: its column of former codes, and HJ/T 212-2005, annex B), which
HJ 212-2025, annex B.2, repeats; they were compared in three transcriptions. O3 is a05024 of HJ 524, as platforms use
it. What is not in a table here is not read, and counted.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

from services.core.validation import ENTITY_ID
from services.environment.indices.emission import EmissionState
from services.feeds.csv_rows import read_time, time_text
from services.feeds.hj212_packets import EDITION_2005, Packet, PacketFault

CHINA = ZoneInfo("Asia/Shanghai")
"""DataTime is the clock of the monitored place: UTC+8 in all of China."""


class Data(NamedTuple):
    """One of the ways in which a station tells the same thing; who took several would count it several times."""

    command: str  # CN
    field: str  # behind the code of a factor
    period_s: int  # from DataTime on

    @property
    def converted(self) -> str:
        """The same, converted to the oxygen that the permit names."""
        return f"Zs{self.field}"


REAL_TIME = Data("2011", "Rtd", 0)
# The standard's interval; a station may be set to another (CN=1064), which its packets do not tell.
MINUTES = Data("2051", "Avg", 600)
HOURS = Data("2061", "Avg", 3_600)
# Days (CN=2031) are longer than every window of these kinds.


class Factor(NamedTuple):
    """What becomes of the number behind a code."""

    column: str
    factor: float = 1.0  # from the standard's unit to the column's


@dataclass(frozen=True)
class Source:
    """What makes rows of a kind: the system that packets are of (ST), and its factors."""

    system: str
    factors: Mapping[str, Factor]
    judged: tuple[str, ...] = ()  # columns whose flags decide the state; (): the kind has none


_DUST, _SO2, _NOX = Factor("dust_mg_m3"), Factor("so2_mg_m3"), Factor("nox_mg_m3")
_FLOW, _OXYGEN = Factor("flow_m3_h", 3_600.0), Factor("oxygen_percent")  # flow is told in m³/s
_STATION = "22"

SOURCES: Mapping[str, Source] = {
    "environment.emission": Source(
        "31",
        {
            **{"a34013": _DUST, "a21026": _SO2, "a21002": _NOX, "a00000": _FLOW, "a19001": _OXYGEN},
            **{"01": _DUST, "02": _SO2, "03": _NOX, "B02": _FLOW, "S01": _OXYGEN},
        },
        judged=("dust_mg_m3", "so2_mg_m3", "nox_mg_m3"),
    ),
    # In µg/m³, CO in mg/m³, as stations of air quality tell them (GB 3095) and the standard's example does. Its annex
    # names ng/m³ for particles and mg/m³ for gases, by which that example would be a thousandth and a thousand times
    # of what any city's air holds.
    "environment.air_quality": Source(
        _STATION,
        {
            **{"a34004": Factor("pm2_5_ug_m3"), "a34002": Factor("pm10_ug_m3"), "a21026": Factor("so2_ug_m3")},
            **{"a21004": Factor("no2_ug_m3"), "a05024": Factor("o3_ug_m3"), "a21005": Factor("co_mg_m3")},
        },
    ),
    "environment.weather": Source(
        _STATION,
        {
            **{"a01001": Factor("temperature_c"), "a01002": Factor("humidity", 0.01)},  # %
            **{"a01006": Factor("pressure_hpa", 10.0), "a01007": Factor("wind_m_s")},  # kPa
            "a01008": Factor("wind_from_deg"),
        },
    ),
}

# A value beyond the range (T) is the least that it can have been, and measured. The digit 3 is "normal" and 1 "weather"
# at a station of air quality of 2005. A value that was typed in (S) was not measured.
_MEASURED = frozenset({"N", "T", "1", "3"})
_NOT_MEASURED: Mapping[str, EmissionState | None] = {
    "S": None,
    "M": EmissionState.MAINTENANCE,
    "C": EmissionState.CALIBRATION,
    "D": EmissionState.FAULT,
    "B": EmissionState.FAULT,  # the logger does not reach the analyser
    "F": EmissionState.FAULT,  # the analyser is out of operation; of 2005: the source is
    "P": EmissionState.FAULT,  # 2005: no power
    "0": EmissionState.CALIBRATION,  # 2005, stations of air quality
    "2": None,  # 2005, stations of air quality: abnormal
}
# What is told of several analysers is that of the first of these.
_FIRST = (EmissionState.STOPPED, EmissionState.FAULT, EmissionState.MAINTENANCE, EmissionState.CALIBRATION)
# Rows of a station that are known again: half a day of every 30 s.
_REMEMBERED = 1_440
_MOMENT = re.compile(r"(\d{8})(\d{6})", re.ASCII)
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?", re.ASCII)


class Told(NamedTuple):
    """A row in its proto JSON form, and the packet that it is of."""

    number: int
    row: dict[str, Any]


@dataclass
class _Parts:
    """Packets of one observation."""

    last: Packet
    told: dict[str, str] = field(default_factory=dict)
    seen: set[int] = field(default_factory=set)


class Rows:
    """Makes rows of one kind out of the packets of a stream, of which it takes one kind of data."""

    def __init__(self, kind: str, data: Data, zone: ZoneInfo = CHINA) -> None:
        """`kind`: one of SOURCES."""
        self._source, self._data, self._zone = SOURCES[kind], data, zone
        self._parts: dict[str, _Parts] = {}  # by station
        self._recent: dict[str, dict[str, dict[str, Any]]] = {}  # rows by station and time
        self.unread: Counter[str] = Counter()
        """What was not read, and how often: CN=2051, ST=32, codes of factors, and what was sent again."""

    def of(self, packet: Packet) -> Iterator[Told | PacketFault]:
        """What a packet tells, and what it lets end."""
        if packet.command != self._data.command:
            self.unread[f"CN={packet.command}"] += 1
            return
        if packet.system != self._source.system:
            self.unread[f"ST={packet.system}"] += 1
            return
        waiting = self._parts.get(packet.station)
        time = packet.told.get("DataTime", "")
        if waiting and (packet.parts, time) != (waiting.last.parts, waiting.told.get("DataTime")):
            yield from self._end(packet.station)
        if packet.parts == 1:
            yield from self._rows(packet, packet.told)
            return
        parts = self._parts.setdefault(packet.station, _Parts(packet))
        parts.last = packet
        parts.told |= packet.told
        parts.seen.add(packet.part)
        if len(parts.seen) == packet.parts:
            yield from self._end(packet.station)

    def end(self) -> Iterator[Told | PacketFault]:
        """What waits for parts that do not come."""
        for station in [*self._parts]:
            yield from self._end(station)

    def _end(self, station: str) -> Iterator[Told | PacketFault]:
        parts = self._parts.pop(station)
        lacking = sorted(set(range(1, parts.last.parts + 1)) - parts.seen)
        if lacking:
            told = ", ".join(map(str, lacking))
            yield PacketFault(parts.last.number, "PNO", told, f"of {parts.last.parts} parts did not come")
        yield from self._rows(parts.last, parts.told)

    def _rows(self, packet: Packet, told: Mapping[str, str]) -> Iterator[Told | PacketFault]:
        codes = dict.fromkeys(name.partition("-")[0] for name in told if "-" in name)
        self.unread.update(code for code in codes if code not in self._source.factors)
        known = [code for code in codes if code in self._source.factors]
        if not known:
            return
        try:
            row: dict[str, Any] = {
                "entity_id": _entity(packet),
                "time": time_text(self._time(packet, told)),
                "period_s": self._data.period_s,
            }
        except PacketFault as fault:
            yield fault
            return
        states: set[EmissionState | None] = set()
        values: dict[str, float] = {}
        for code in known:
            factor = self._source.factors[code]
            try:
                measured, state = _flag(packet, code, told)
                value = self._number(packet, code, told) if measured else None
            except PacketFault as fault:
                yield fault
                continue
            if value is not None:
                values[factor.column] = value * factor.factor
            if factor.column in self._source.judged:
                states.add(state)
        row |= values
        if self._source.judged:
            state = next((one for one in _FIRST if one in states), EmissionState.RUNNING)
            row["state"] = f"EMISSION_STATE_{state.name}"
        if values or states:
            yield from self._once(packet, row)

    def _once(self, packet: Packet, row: dict[str, Any]) -> Iterator[Told | PacketFault]:
        """A row, unless the station has told it before: what is not acknowledged is sent again."""
        recent = self._recent.setdefault(packet.station, {})
        before = recent.setdefault(row["time"], row)
        if before is not row:
            if before == row:
                self.unread["sent again"] += 1
            else:
                yield PacketFault(
                    packet.number, "DataTime", row["time"], "was told before, with other numbers or flags"
                )
            return
        if len(recent) > _REMEMBERED:
            del recent[next(iter(recent))]
        yield Told(packet.number, row)

    def _time(self, packet: Packet, told: Mapping[str, str]) -> datetime:
        text = told.get("DataTime", "")
        match = _MOMENT.fullmatch(text)
        try:
            if match is None:
                raise ValueError("must be a time as 20260601083000")
            return read_time(f"{match[1]}T{match[2]}", self._zone, "DataTime")
        except ValueError as error:
            raise PacketFault(packet.number, "DataTime", text, str(error)) from None

    def _number(self, packet: Packet, code: str, told: Mapping[str, str]) -> float | None:
        """The number behind a code, converted where it is told so; None: nothing is told."""
        for name in (f"{code}-{self._data.converted}", f"{code}-{self._data.field}"):
            if text := told.get(name, ""):
                if _NUMBER.fullmatch(text) is None:
                    raise PacketFault(packet.number, name, text, "must be a number")
                return float(text)
        return None


def _entity(packet: Packet) -> str:
    if ENTITY_ID.fullmatch(packet.station) is None:
        reason = "must be 1 to 128 of a-z, A-Z, 0-9, '.', '_', '~', ':' and '-'"
        raise PacketFault(packet.number, "MN", packet.station, reason)
    return packet.station


def _flag(packet: Packet, code: str, told: Mapping[str, str]) -> tuple[bool, EmissionState | None]:
    """Whether the number behind a code was measured, and what the flag says of the source; no flag says nothing."""
    name = f"{code}-Flag"
    flag = told.get(name, "") or "N"
    if flag in _MEASURED:
        return True, None
    if flag not in _NOT_MEASURED:
        known = ", ".join(sorted({*_MEASURED, *_NOT_MEASURED}))
        raise PacketFault(packet.number, name, flag, f"must be one of {known}")
    if flag == "F" and packet.edition == EDITION_2005:
        return False, EmissionState.STOPPED
    return False, _NOT_MEASURED[flag]
