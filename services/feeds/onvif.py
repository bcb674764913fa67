"""ONVIF metadata as rows of security.camera_event: `python -m services.feeds.onvif FILE --city C --camera ID`.

FILE is a recording of a metadata stream in XML, or answers to PullMessages, one document after the other ('-': standard
input); out come JSON lines, for

    python -m services.feeds.onvif recording.xml --city testville --camera cam-7 | urban send security.camera_event -
    mosquitto_sub -t '+/onvif-ej/#' -F %J | python -m services.feeds.onvif - --mqtt --city testville | urban send …

The second form reads events over MQTT line by line, each device called as its topic prefix. Pictures, plates, faces,
credentials and names of holders are not read. What cannot be taken is named on standard error, with its place.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from services.core.validation import ENTITY_ID
from services.feeds.onvif_json import read_line
from services.feeds.onvif_messages import MetadataFault
from services.feeds.onvif_rows import Device, Row
from services.feeds.onvif_topics import LONGEST_CAMERA, name_of
from services.feeds.onvif_xml import documents_of, read_metadata


def rows_of_recording(recording: bytes, device: Device) -> Iterator[Row | MetadataFault]:
    """Rows of the documents of a recording, with a fault in the place of each message that gives none."""
    for place, document in enumerate(documents_of(recording), start=1):
        for told in _told(document, device):
            yield MetadataFault(f"document {place}: {told}") if isinstance(told, MetadataFault) else told


def _told(document: bytes, device: Device) -> Iterator[Row | MetadataFault]:
    try:
        for message in read_metadata(document):
            if isinstance(message, MetadataFault):
                yield message
                continue
            try:
                yield from device.rows(message)
            except MetadataFault as fault:
                yield fault
    except ValueError as error:
        yield MetadataFault(str(error))


def rows_of_lines(lines: Iterable[bytes], city: str, *, per_source: bool = False) -> Iterator[Row | MetadataFault]:
    """Rows of messages over MQTT, one a line, of any number of devices."""
    devices: dict[str, Device] = {}
    for place, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            prefix, notice = read_line(line)
            # Prefixes may be paths.
            name = name_of(prefix.replace("/", "."), LONGEST_CAMERA)
            device = devices.setdefault(name, Device(city, name, per_source=per_source))
            yield from device.rows(notice)
        except MetadataFault as fault:
            yield MetadataFault(f"line {place}: {fault}")


def main(arguments: Sequence[str] | None = None) -> int:
    """Exit status: 1 where something could not be taken; each is named on standard error."""
    parser = argparse.ArgumentParser(prog="python -m services.feeds.onvif", description=__doc__.splitlines()[0])
    parser.add_argument("file", help="recording of XML documents, or of lines with --mqtt; '-' for standard input")
    parser.add_argument("--city", required=True)
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("--camera", help="entity id of the camera that the XML is of")
    what.add_argument("--mqtt", action="store_true", help="lines as `mosquitto_sub -F %%J` prints them")
    parser.add_argument(
        "--per-source", action="store_true", help="each video source is a camera: of encoders and recorders"
    )
    told = parser.parse_args(arguments)
    if told.camera is not None and (ENTITY_ID.fullmatch(told.camera) is None or len(told.camera) > LONGEST_CAMERA):
        allowed = f"1 to {LONGEST_CAMERA} of a-z, A-Z, 0-9, '.', '_', '~', ':' and '-'"
        parser.error(f"--camera {told.camera!r} must be {allowed}, as its rules are named behind it")
    faults = 0
    try:
        for row in _rows(told):
            if isinstance(row, MetadataFault):
                faults += 1
                print(row, file=sys.stderr)
            else:
                # A pipe is read while the devices tell.
                print(json.dumps(row), flush=told.mqtt)
    except OSError as error:
        print(f"{told.file}: {error}", file=sys.stderr)
        return 1
    return 1 if faults else 0


def _rows(told: argparse.Namespace) -> Iterator[Row | MetadataFault]:
    if told.mqtt and told.file == "-":
        yield from rows_of_lines(sys.stdin.buffer, told.city, per_source=told.per_source)
        return
    recording = sys.stdin.buffer.read() if told.file == "-" else Path(told.file).read_bytes()
    if told.mqtt:
        yield from rows_of_lines(recording.splitlines(), told.city, per_source=told.per_source)
    else:
        yield from rows_of_recording(recording, Device(told.city, told.camera, per_source=told.per_source))


if __name__ == "__main__":
    sys.exit(main())
