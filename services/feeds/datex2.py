"""DATEX II: what measurement sites measure, by index, and what their values say of road flow, lane by lane.

After DATEX II 2.3 (CEN/TS 16157:2011, d2LogicalModel) and 3.x (EN 16157-5, RoadTrafficData). Flow comes in vehicles an
hour, speed in km/h, occupancy in percent. A value has an index, and the table of sites says what the index stands for.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from xml.etree.ElementTree import Element

# Classes by name that count as heavy (VehicleTypeEnum), and the length in m from which vehicles do: the lowest class of
# Dutch loops ends at 5.6 m. Both are assumptions.
HEAVY_TYPES = frozenset(
    {"articulatedVehicle", "bus", "constructionOrMaintenanceVehicle", "heavyGoodsVehicle", "lorry", "tanker"}
)
HEAVY_FROM_M = 5.6
ANY_VEHICLE = "anyVehicle"
# Lane names of a value that is of all lanes.
_ALL_LANES = frozenset({"", "allLanesCompleteCarriageway"})
# How far the middle and the begin of a measurement are from its end, in periods (timeMeaning of version 3.5). Where
# nothing is said it is the end: a value cannot be told before. An assumption.
_PERIODS_BEFORE = {"": 1.0, "endTime": 1.0, "middleTime": 0.5, "beginTime": 0.0, "startTime": 0.0}


class SiteFault(ValueError):
    """Measurements that cannot be taken: which field of which site, its value, and why."""

    def __init__(self, field: str, value: str, reason: str) -> None:
        super().__init__(f"{field} = {value}: {reason}")
        self.field, self.value, self.reason = field, value, reason


@dataclass(frozen=True)
class Characteristic:
    """What one index of a site stands for."""

    lane: str  # "lane1"; empty: all lanes together
    period_s: int  # 0: not told
    total: bool  # of all vehicles
    heavy: bool  # of a class of heavy ones


@dataclass(frozen=True)
class Site:
    """A measurement site of a table; degrees of WGS 84, NaN: not told."""

    id: str
    name: str
    side: str  # "northBound"; empty: not told
    lanes: float  # NaN: not told
    latitude: float
    longitude: float
    by_index: Mapping[str, Characteristic] = field(default_factory=dict)

    @property
    def measured_lanes(self) -> frozenset[str]:
        """Lanes that are measured apart."""
        return frozenset(found.lane for found in self.by_index.values() if found.lane)


@dataclass(frozen=True)
class LaneFlow:
    """What one lane of a site measured, or all lanes together. NaN: not measured."""

    lane: str  # empty: all lanes together
    time_ms: int  # start of the time measured over
    period_s: int
    flow_veh_h: float
    speed_kmh: float
    occupancy: float
    heavy_share: float


@dataclass
class _Value:
    """One indexed value. NaN: not told, or said to be wrong."""

    told: Characteristic
    kind: str
    number: float
    inputs: float  # numberOfInputValuesUsed
    long_share: float  # of a flow: percentageLongVehicles


def read_site(piece: Element) -> Site:
    """A site out of its record in a table."""
    by_index = {}
    for outer in piece.findall("measurementSpecificCharacteristics"):
        inner = _inner(outer, "measurementSpecificCharacteristics")
        by_index[outer.get("index", "")] = _characteristic(inner)
    location = piece.find("measurementSiteLocation")
    lanes = number_of(piece, "measurementSiteNumberOfLanes")
    return Site(
        id=piece.get("id", ""),
        name=text_of(piece.find("measurementSiteName")),
        side=text_of(piece.find("measurementSide")),
        lanes=number_of(piece, "numberOfLanes") if math.isnan(lanes) else lanes,
        latitude=math.nan if location is None else number_of(location, "latitude"),
        longitude=math.nan if location is None else number_of(location, "longitude"),
        by_index=by_index,
    )


def _characteristic(told: Element) -> Characteristic:
    lane = told.find("specificLane")
    number = "" if lane is None else text_of(lane.find(".//laneNumber"))
    name = f"lane{number}" if number else text_of(lane)
    period = number_of(told, "period")
    vehicles = told.find("specificVehicleCharacteristics")
    types = set() if vehicles is None else {text_of(found) for found in vehicles.iter("vehicleType")}
    lengths = [] if vehicles is None else [*vehicles.iter("lengthCharacteristic")]
    heavy = bool(types) and types <= HEAVY_TYPES
    for length in lengths:
        from_there = text_of(length.find("comparisonOperator")).startswith("greaterThan")
        heavy |= from_there and number_of(length, "vehicleLength") >= HEAVY_FROM_M
    return Characteristic(
        lane="" if name in _ALL_LANES else name,
        period_s=0 if math.isnan(period) else round(period),
        total=types <= {ANY_VEHICLE} and not lengths,
        heavy=heavy,
    )


def read_measurements(piece: Element, sites: Mapping[str, Site]) -> tuple[str, list[LaneFlow], int]:
    """The id of a site, what each of its lanes measured, and how many of its values are of other things or faulty.

    SiteFault: it names no site or time, or has several values of one sort and no table says which is which.
    """
    reference = piece.find("measurementSiteReference")
    site_id = "" if reference is None else reference.get("id", "")
    if not site_id:
        raise SiteFault("measurementSiteReference", site_id, "must name a site")
    site = sites.get(site_id)
    time_ms, periods_before = _time(piece)
    groups: dict[tuple[str, int], list[_Value]] = defaultdict(list)
    left_out = 0
    for value in _values(piece, site):
        if value is None:
            left_out += 1
        else:
            groups[value.told.lane, value.told.period_s].append(value)
    if site is None:
        _check_alone(site_id, groups)
    found = []
    for (lane, period_s), values in groups.items():
        start_ms = time_ms - round(periods_before * period_s * 1000)
        figures = _flow_of(values)
        if all(math.isnan(figure) for figure in figures):
            left_out += len(values)
        else:
            found.append(LaneFlow(lane, start_ms, period_s, *figures))
    return site_id, found, left_out


def _check_alone(site_id: str, groups: Mapping[tuple[str, int], list[_Value]]) -> None:
    kinds = [value.kind for values in groups.values() for value in values]
    if len(set(kinds)) < len(kinds):
        reason = "is in no table of sites, which tell lanes and classes apart"
        raise SiteFault("measurementSiteReference", site_id, reason)


def _time(piece: Element) -> tuple[int, float]:
    """The time of measurements in ms, and how many periods the begin lies before it."""
    told = piece.find("measurementTimeDefault")
    inner = None if told is None else told.find("timeValue")
    time_ms = read_time("measurementTimeDefault", text_of(told if inner is None else inner))
    meaning = "" if told is None else text_of(told.find("timeMeaning"))
    if meaning not in _PERIODS_BEFORE:
        raise SiteFault("timeMeaning", meaning, f"must be one of {', '.join(filter(None, _PERIODS_BEFORE))}")
    return time_ms, _PERIODS_BEFORE[meaning]


def read_time(field: str, text: str) -> int:
    """A time in ms since 1970. SiteFault: it is none, or has no offset."""
    try:
        time = datetime.fromisoformat(text)
    except ValueError:
        raise SiteFault(field, text, "is no time of ISO 8601") from None
    if time.tzinfo is None:
        raise SiteFault(field, text, "needs an offset, as 2026-06-01T08:00:00Z has")
    return round(time.timestamp() * 1000)


# The element of each sort of data, in it the element that may have faults, and in it the number.
_NUMBERS = {
    "TrafficFlow": ("vehicleFlow", "vehicleFlowRate"),
    "TrafficSpeed": ("averageVehicleSpeed", "speed"),
    "TrafficConcentration": ("occupancy", "percentage"),
}
_UNKNOWN = Characteristic("", 0, total=True, heavy=False)


def _values(piece: Element, site: Site | None) -> Iterator[_Value | None]:
    """The values of a site; None in the place of each that is of something else or of an unknown index."""
    for outer in (*piece.findall("measuredValue"), *piece.findall("physicalQuantity")):
        inner = _inner(outer, outer.tag)
        data = inner.find("basicData")
        kind = "" if data is None else data.get("type", "").rpartition(":")[2]
        told = _UNKNOWN if site is None else site.by_index.get(outer.get("index", ""))
        if data is None or told is None or kind not in _NUMBERS:
            yield None
            continue
        holder_name, name = _NUMBERS[kind]
        holder = data.find(holder_name)
        faulty = any(text_of(fault) in ("true", "1") for fault in inner.iter("dataError"))
        faulty |= inner.find(".//physicalQuantityFault") is not None
        number = math.nan if holder is None or faulty else number_of(holder, name)
        inputs = math.nan if holder is None else _float(holder.get("numberOfInputValuesUsed", ""))
        # -1: nothing was measured (NDW). The mean speed of no vehicles is none, while no vehicles are a flow.
        if number < 0.0 or (kind == "TrafficSpeed" and inputs == 0.0):
            number = math.nan
        long = data.find("percentageLongVehicles")
        share = math.nan if long is None or faulty else number_of(long, "percentage") / 100.0
        yield _Value(told, kind, number, inputs, share)


def _flow_of(values: list[_Value]) -> tuple[float, float, float, float]:
    """Flow, speed, occupancy and share of heavy vehicles of one lane."""
    of: dict[str, list[_Value]] = defaultdict(list)
    for value in values:
        of[value.kind].append(value)
    flows, speeds = of["TrafficFlow"], of["TrafficSpeed"]
    flow, by_class = _total(flows), [value for value in flows if not value.told.total]
    heavy = _sum([value.number for value in by_class if value.told.heavy])
    share = heavy / flow if flow > 0.0 else math.nan
    if math.isnan(share):
        share = next((v.long_share for v in flows if v.told.total), math.nan)
    speed = next((value.number for value in speeds if value.told.total), math.nan)
    if math.isnan(speed):
        speed = _mean([value for value in speeds if not value.told.total])
    occupancy = next((value.number / 100.0 for value in of["TrafficConcentration"] if value.told.total), math.nan)
    return flow, speed, occupancy, min(share, 1.0) if share >= 0.0 else math.nan


def _total(flows: list[_Value]) -> float:
    """The flow of all vehicles: as told, else the sum of all classes; NaN where one of them is not known."""
    told = [value.number for value in flows if value.told.total]
    if told and not math.isnan(told[0]):
        return told[0]
    return _sum([value.number for value in flows if not value.told.total])


def _sum(numbers: list[float]) -> float:
    return sum(numbers) if numbers else math.nan


def _mean(speeds: list[_Value]) -> float:
    """The mean speed of classes, each by how many vehicles it is of; NaN where that is not told."""
    measured = [value for value in speeds if not math.isnan(value.number)]
    weight = sum(value.inputs for value in measured)
    return sum(value.number * value.inputs for value in measured) / weight if measured and weight > 0.0 else math.nan


def _inner(outer: Element, name: str) -> Element:
    """What is wrapped in an element of its own name, as indexed elements are."""
    inner = outer.find(name)
    return outer if inner is None else inner


def text_of(element: Element | None) -> str:
    """The first text in an element: names are wrapped in values of languages."""
    if element is None:
        return ""
    return next((text.strip() for text in element.itertext() if text.strip()), "")


def number_of(element: Element, name: str) -> float:
    """The first number of that name in an element; NaN where there is none."""
    return _float(text_of(element.find(f".//{name}")))


def _float(text: str) -> float:
    try:
        number = float(text)
    except ValueError:
        return math.nan
    return number if math.isfinite(number) else math.nan
