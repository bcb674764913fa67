"""Words for what signals tell: of each detector, each measure and each unit, as a duty officer would say them.

Detectors and measures that are not here are told by their own names, which are words already: `sudden_stop`,
`wind_m_s_mean`. So a new domain needs nothing here; what stands here must mean what the detector's docstring says.
"""

from __future__ import annotations

import math
from functools import lru_cache
from typing import NamedTuple

# Detectors `unusual_<measure>`: see services/core/anomaly/detector.py.
UNUSUAL = "unusual_"
SIGMAS = "sigmas_from_expected"
# Scores, which tell how strange a figure is and not what it is.
STATISTICS = frozenset({"robust_z", "freeman_tukey_z", "unusual_score", SIGMAS})


class Words(NamedTuple):
    """What a detector says."""

    says: str  # {}: what the entity's id tells before ":", "fire " or ""
    # Of its evidence, the best first, those that reach their threshold before others; (): none tells more; None: any.
    figures: tuple[str, ...] | None = None
    normal: str = "{} usual"  # of the expected value; "": it is not what is usual, and not told
    bound: str = "a threshold of {}"  # of the threshold; "": not told


class Measured(NamedTuple):
    """What a measure counts or measures, and in which unit."""

    noun: str  # "mean speed"; "people" where it counts
    unit: str  # "km/h"; "s": told as a duration; "1": told as a percentage
    counts: bool = False


# By kind and type of the signal.
DETECTORS = {
    "people_count.crowding": Words("far more people than usual", ("count_sum",)),
    "people_count.dense_crowd": Words("a dense crowd", ("density_p_m2_mean",)),
    "people_count.over_capacity": Words(
        "more people than the place may hold", ("count_max",), bound="a capacity of {}"
    ),
    "passage.access_denied": Words("many people refused at a gate", ("denied_count",)),
    "passage.tailgating": Words("people passing behind others without identifying", ("tailgated_count",), bound=""),
    "passage.forced_gate": Words("a forced gate", ()),
    "service_request.request_surge": Words("far more {}requests than usual", ("opened_sum",)),
    "road_flow.congestion": Words("slow traffic", ("speed_kmh_mean",), normal="{} in free flow"),
    "road_flow.sudden_stop": Words("traffic that stopped suddenly", ("speed_kmh_mean",), normal="{} a minute before"),
    "road_flow.incident": Words("an incident by the road's detectors", ("votes",), bound="{} needed"),
    "road_flow.detector_silent": Words("a silent road detector", ("observations",), normal="{} expected"),
    "road_flow.silent": Words(
        "a road detector that tells nothing any more", ("silent_s",), normal="{} at most between two of its minutes"
    ),
    "rail_call.train_gap": Words("a gap between trains", ("headway_s_max",), normal="{} scheduled"),
    "rail_call.calls_lost": Words("trains that were cancelled or passed through", ("lost_share",)),
    "rail_call.train_crowded": Words("a crowded train", ("load_p_m2_max",)),
    "service_alert.service_alert": Words("an alert of the operator", ()),
    "air_quality.pollution_rise": Words(
        "air much worse than in the three hours before",
        ("pm2_5_ug_m3_rise", "pm10_ug_m3_rise", "so2_ug_m3_rise", "no2_ug_m3_rise", "co_mg_m3_rise"),
        normal="",
    ),
    "air_quality.heavy_pollution": Words("heavy air pollution", ("alert_level",), bound=""),
    "emission.emission_exceeded": Words("emissions above the limit of the permit", ("times_limit",), bound=""),
    "emission.emission_day_exceeded": Words(
        "a day of emissions above the limit of the permit", ("times_limit",), bound=""
    ),
    "emission.abatement_off": Words("production with the cleaning of waste gas off", ("unabated_share",)),
    "emission.monitoring_flat": Words("monitored emissions that hardly varied for four hours", ()),
    "emission.monitoring_at_detection_limit": Words(
        "monitored emissions about the limit of detection for four hours", ()
    ),
    "emission.monitoring_gap": Words("emissions that were not monitored for four hours", ()),
    "weather.low_visibility": Words("bad sight", ("visibility_m_mean",)),
    "camera_event.camera_offline": Words("a silent camera", ("silent_s",), normal="{} between its signs of life"),
    "camera_event.camera_tamper": Words("a camera tampered with", ("tamper_s",)),
    "camera_event.camera_crowd": Words("a dense crowd before a camera", ("density_p_m2", "people_last")),
    "camera_event.line_crossed": Words("a guarded line crossed", ("crossings_sum",), bound="{} allowed"),
    "camera_event.object_abandoned": Words("something left behind", ()),
    "camera_event.anti_passback": Words("an entry of somebody who is inside already", ()),
    "camera_event.duress": Words("a door opened under duress", ()),
    "camera_event.reader_tamper": Words("a door tampered with", ()),
    "emergency_call.emergency_surge": Words("far more {}emergencies than usual", ("case_count", "calls_sum")),
    "credential_event.brute_force": Words("a credential tried again and again until it worked", ()),
    "credential_event.anti_passback": Words("an entry of somebody who is inside already", ()),
    "credential_event.impossible_travel": Words("a credential used at gates too far apart for the time", ()),
    "credential_event.duress": Words("a gate opened under duress", ()),
    "credential_event.reader_tamper": Words("a badge reader tampered with", ()),
}

# What is counted, by kind and column.
THINGS = {
    "people_count.count": "people",
    "people_count.count_in": "people counted in",
    "people_count.count_out": "people counted out",
    "passage.count_in": "people counted in",
    "passage.count_out": "people counted out",
    "passage.occupancy": "people",
    "passage.denied": "people refused",
    "passage.tailgated": "people",
    "service_request.opened": "requests",
    "parking.vehicles": "vehicles",
    "road_flow.votes": "votes",
    "road_flow.observations": "observations",
    "emission.times_limit": "times the limit",
    "camera_event.crossings": "objects crossing",
    "camera_event.people": "people",
    "emergency_call.calls": "calls",
    "emergency_call.case": "cases",
}

# Kinds whose entities are a category in an area: "fire:88bb504a1dfffff".
IN_AREAS = frozenset({"emergency_call", "service_request"})

# By the end of a column's name; the longer ends first.
UNITS = {
    "_ug_m3": "µg/m³",
    "_mg_m3": "mg/m³",
    "_veh_h": "vehicles/h",
    "_p_m2": "people/m²",
    "_w_m2": "W/m²",
    "_m3_h": "m³/h",
    "_m_s": "m/s",
    "_kmh": "km/h",
    "_hpa": "hPa",
    "_deg": "°",
    "_percent": "%",
    "_share": "1",
    "_db": "dB",
    "_mm": "mm",
    "_m": "m",
    "_s": "s",
    "_c": "°C",
}
# What is told per second, or per metre, as the end of a column's name goes on: mm_s is mm/s.
PER = frozenset({"mm", "cm", "km", "g", "kg", "l", "kw", "mw"})
# Shares that are not called so.
SHARES = frozenset({"road_flow.occupancy", "weather.humidity"})

_NOUNS = {
    "pm2_5": "PM2.5",
    "pm10": "PM10",
    "so2": "SO2",
    "no2": "NO2",
    "o3": "O3",
    "co": "CO",
    "nox": "NOx",
    "laeq": "noise level",
    "headway": "time between trains",
    "silent": "silent for",
    "tamper": "for",
}
_AGGREGATES = {
    "sum": "",
    "mean": "mean",
    "max": "greatest",
    "min": "least",
    "last": "last",
    "first": "first",
    "count": "number of",
    "rise": "rise of",
    "p50": "median",
}


@lru_cache(maxsize=4_096)
def words_of(kind: str, type_: str) -> Words:
    """What a detector says; of one that is not known here, its name."""
    return DETECTORS.get(f"{kind}.{type_}", Words(_plain(type_)))


@lru_cache(maxsize=4_096)
def measured(kind: str, measure: str) -> Measured:
    """What a measure of a kind is: `speed_kmh_mean` is the mean speed in km/h."""
    column, _, last = measure.rpartition("_")
    known = column != "" and (last in _AGGREGATES or _percent(last))
    column = column if known else measure
    if thing := THINGS.get(f"{kind}.{column}"):
        return Measured(thing, "", counts=True)
    end, unit = _unit_of(column)
    # A share is called so: the unit alone would leave "lost" of it.
    noun = column if unit == "1" else column.removesuffix(end)
    unit = "" if last == "count" else "1" if f"{kind}.{column}" in SHARES else unit
    name = _NOUNS.get(noun, _plain(noun))
    how = (_AGGREGATES.get(last) if last in _AGGREGATES else f"{last[1:]}th percentile of") if known else ""
    return Measured(f"{how} {name}".strip(), unit)


def _unit_of(column: str) -> tuple[str, str]:
    """The end of a column's name that tells its unit, and the unit; "": none is known."""
    end = next((end for end in UNITS if column.endswith(end)), "")
    before = column.removesuffix(end).rpartition("_")[2]
    if end in ("_s", "_m") and before in PER:  # vibration_mm_s is no duration
        return f"_{before}{end}", f"{before}/{end[1:]}"
    return end, UNITS.get(end, "")


def _plain(name: str) -> str:
    return " ".join(name.replace("_", " ").split())


def _percent(word: str) -> bool:
    return word.startswith("p") and word[1:].isdecimal()


def number(value: float) -> str:
    """A finite number: thousands apart, three digits below a hundred."""
    return f"{value:,.0f}" if 100 <= abs(value) < 1e9 else f"{value:.3g}"


def one(things: str) -> str:
    """One of what is counted: "people refused" -> "1 person refused"."""
    first, _, rest = things.partition(" ")
    single = {"people": "person", "times": "times"}.get(first) or first.removesuffix("s")
    return f"1 {single} {rest}".rstrip()


def amount(value: float, unit: str) -> str:
    """A finite number in its unit."""
    if unit == "s":
        return duration(value)
    if unit == "1":
        return f"{number(value * 100)}%"
    if unit in ("°", "%"):
        return f"{number(value)}{unit}"
    return f"{number(value)} {unit}" if unit else number(value)


def duration(seconds: float) -> str:
    """So many seconds, minutes, hours or days."""
    size, name = next((step for step in _STEPS if abs(seconds) >= 2 * step[0]), (1.0, "second"))
    count = number(seconds / size) if abs(seconds) < 2 else number(math.floor(seconds / size + 0.5))
    return f"{count} {name}" if count == "1" else f"{count} {name}s"


_STEPS = ((86_400.0, "day"), (3_600.0, "hour"), (60.0, "minute"))


def distance(metres: float) -> str:
    """So many metres, to ten, or kilometres."""
    tens = round(metres, -1)
    return f"{tens:.0f} m" if tens < 1000 else f"{number(tens / 1000)} km"
