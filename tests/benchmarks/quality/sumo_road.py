"""A motorway of SUMO (DLR's microscopic traffic simulation): every driver follows and overtakes, and some stop.

SUMO is a program of its own, out of the wheel `eclipse-sumo`; nothing of it is imported into ours. A run is one road of
three lanes with loops in each lane every 500 m. An incident is a vehicle that stands in a lane, or two side by side.
"""

from __future__ import annotations

import importlib.util
import subprocess
import xml.etree.ElementTree as ET
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

Float64Array = NDArray[np.float64]

LANES = 3
STATION_EVERY_M = 500.0
STATIONS = 10
# Before the first station, where vehicles find their lane, and after the last one.
APPROACH_M, REST_M = 1_000.0, 500.0
LIMIT_KMH = 100.0
FREE_M_S = LIMIT_KMH / 3.6
# One vehicle in ten is a lorry.
HEAVY_SHARE = 0.1
# Seconds that SUMO may take for a run; it needs a few.
PATIENCE_S = 900.0


class NoSumo(RuntimeError):
    """SUMO is not installed here."""


@dataclass(frozen=True)
class Blocked:
    """Lanes in which vehicles stop: about `start_s`, for `lasts_s`, at so many metres after the first station."""

    lanes: int
    start_s: float
    lasts_s: float
    at_m: float

    @property
    def upstream_station(self) -> int:
        """The last station before it."""
        return int(self.at_m // STATION_EVERY_M)


@dataclass(frozen=True)
class Recording:
    """What stations tell each minute, all lanes together. Shapes: (minutes, stations)."""

    occupancy: Float64Array
    speed_kmh: Float64Array  # NaN where no vehicle passed
    flow_veh_h: Float64Array
    stopped_s: tuple[float, ...]  # when the vehicles of an incident came to a stand


def binaries() -> Path:
    """Folder of SUMO's programs. NoSumo where it is not installed."""
    found = importlib.util.find_spec("sumo")
    if found is None or not found.submodule_search_locations:
        raise NoSumo("SUMO is not installed: pip install --require-hashes -r requirements-sumo.txt")
    return Path(found.submodule_search_locations[0]) / "bin"


def simulate(
    folder: Path, seed: int, minutes: int, demand_veh_h: float, blocked: Blocked | None = None, *, convoy: bool = False
) -> Recording:
    """A run of a road in which so many vehicles an hour and lane want to drive. `folder`: for its files; must exist.

    `convoy`: in the twentieth minute comes one that drives 36 km/h, and all must pass: no incident, and hard to tell
    from one. NoSumo where SUMO is not installed; subprocess.CalledProcessError where it refuses what it is given.
    """
    bin_ = binaries()
    _write_network(folder)
    _run([bin_ / "netconvert", "--node-files=n.xml", "--edge-files=e.xml", "--output-file=net.xml"], folder)
    stopping = [] if blocked is None else [_stopping(blocked, lane) for lane in range(blocked.lanes)]
    _write_demand(folder, minutes, demand_veh_h, [*stopping, *([_CONVOY] if convoy else [])])
    _write_loops(folder)
    files = ["--net-file=net.xml", "--route-files=demand.xml", "--additional-files=loops.xml"]
    how = [
        f"--seed={seed}",
        f"--end={60 * minutes}",
        "--stop-output=stops.xml",
        "--time-to-teleport=-1",
    ]
    _run([bin_ / "sumo", *files, *how], folder)
    return Recording(*_read_loops(folder / "told.xml", minutes), _read_stops(folder / "stops.xml"))


def _run(command: Sequence[str | Path], folder: Path) -> None:
    quiet = subprocess.DEVNULL
    subprocess.run(command, cwd=folder, check=True, stdin=quiet, stdout=quiet, stderr=quiet, timeout=PATIENCE_S)


def _write_network(folder: Path) -> None:
    length_m = APPROACH_M + (STATIONS - 1) * STATION_EVERY_M + REST_M
    nodes = f'<nodes><node id="a" x="0" y="0"/><node id="b" x="{length_m}" y="0"/></nodes>'
    edges = f'<edges><edge id="road" from="a" to="b" numLanes="{LANES}" speed="{FREE_M_S}"/></edges>'
    (folder / "n.xml").write_text(nodes)
    (folder / "e.xml").write_text(edges)


_CONVOY = (
    '<vType id="convoy" vClass="truck" maxSpeed="10"/>'
    '<trip id="convoy" type="convoy" from="road" to="road" depart="1200" departLane="0" departSpeed="max"/>'
)


def _write_demand(folder: Path, minutes: int, demand_veh_h: float, others: Sequence[str]) -> None:
    an_hour = {"car": (1.0 - HEAVY_SHARE) * LANES * demand_veh_h, "lorry": HEAVY_SHARE * LANES * demand_veh_h}
    # Arrivals as they come: the time from one to the next is exponential.
    flows = "".join(
        f'<flow id="{name}" type="{name}" route="all" begin="0" end="{60 * minutes}" period="exp({veh_h / 3600:.6f})" '
        'departLane="best" departSpeed="avg"/>'
        for name, veh_h in an_hour.items()
    )
    (folder / "demand.xml").write_text(
        "<routes>"
        '<vType id="car" speedFactor="normc(1,0.1,0.7,1.3)" sigma="0.5"/>'
        '<vType id="lorry" vClass="truck" maxSpeed="25" speedFactor="normc(0.9,0.05,0.8,1)" sigma="0.5"/>'
        f'<route id="all" edges="road"/>{flows}{"".join(others)}</routes>'
    )


def _stopping(blocked: Blocked, lane: int) -> str:
    """A vehicle that drives to the place as others do, and stops there in its lane, whoever is behind it."""
    at_m = APPROACH_M + blocked.at_m
    depart_s = max(0.0, blocked.start_s - at_m / FREE_M_S)
    return (
        f'<trip id="stop{lane}" type="car" from="road" to="road" depart="{depart_s}" '
        f'departLane="{lane}" departSpeed="desired">'
        f'<stop lane="road_{lane}" endPos="{at_m}" duration="{blocked.lasts_s}"/></trip>'
    )


def _write_loops(folder: Path) -> None:
    loops = "".join(
        f'<inductionLoop id="{station}.{lane}" lane="road_{lane}" pos="{APPROACH_M + station * STATION_EVERY_M}" '
        'period="60" file="told.xml"/>'
        for station in range(STATIONS)
        for lane in range(LANES)
    )
    (folder / "loops.xml").write_text(f"<additional>{loops}</additional>")


def _read_loops(path: Path, minutes: int) -> tuple[Float64Array, Float64Array, Float64Array]:
    occupied, distance, passed = np.zeros((3, minutes, STATIONS))
    for told in ET.parse(path).getroot():
        minute, station = round(float(told.attrib["begin"]) / 60.0), int(told.attrib["id"].split(".")[0])
        if minute >= minutes:
            continue
        vehicles = float(told.attrib["nVehContrib"])
        occupied[minute, station] += float(told.attrib["occupancy"]) / 100.0 / LANES
        passed[minute, station] += vehicles
        distance[minute, station] += vehicles * max(float(told.attrib["speed"]), 0.0) * 3.6
    with np.errstate(invalid="ignore"):
        return occupied, distance / passed, passed * 60.0


def _read_stops(path: Path) -> tuple[float, ...]:
    return tuple(sorted(float(stop.attrib["started"]) for stop in ET.parse(path).getroot()))
