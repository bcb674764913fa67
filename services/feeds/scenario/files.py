"""A scenario in a folder: frames as they go over the wire, the register, and the truth.

<domain>.<kind>.frames   frames of the kind's message, each behind its length as a varint, in the order of the clock
<domain>.geojson         entities, for `urban entities import`
truth.jsonl              one happening in each line
scenario.json            the seed and the size that all of it follows from
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import IO

import numpy as np

from services.core.frame import Frame, Malformed
from services.feeds.scenario.city import City
from services.feeds.scenario.delivery import steps
from services.feeds.scenario.register import features
from services.feeds.scenario.script import Script
from services.runtime.codec import decode_frame, encode_frame
from services.runtime.contracts import FrameContract

TRUTH, ABOUT = "truth.jsonl", "scenario.json"


def write_truth(script: Script, path: Path) -> None:
    """All that happens, as lines of JSON."""
    with path.open("w", encoding="utf-8") as file:
        for happening in script.happenings:
            print(json.dumps(happening.document(), ensure_ascii=False), file=file)


def write_folder(city: City, script: Script, folder: Path, progress: Callable[[int, int], None]) -> int:
    """Writes all of it; the number of observations. `progress` is told the clock and the observations so far.

    What stands there under the same names is written over.
    """
    folder.mkdir(parents=True, exist_ok=True)
    write_truth(script, folder / TRUTH)
    for domain in sorted({group.domain for group in city.groups.values()}):
        (folder / f"{domain}.geojson").write_text(json.dumps(features(city, domain)), encoding="utf-8")
    contracts = {g.kind_name: FrameContract.of(g.domain, g.kind) for g in city.groups.values()}
    observations = 0
    with ExitStack() as stack:
        files: dict[str, IO[bytes]] = {
            name: stack.enter_context((folder / f"{name}.frames").open("wb")) for name in contracts
        }
        for step in steps(city, script):
            for group, frame in step.frames:
                value = encode_frame(contracts[group.kind_name], frame)
                files[group.kind_name].write(_varint(len(value)) + value)
                observations += len(frame)
            progress(step.time_ms, observations)
    about = {
        "seed": city.seed,
        "city": city.name,
        "blocks": city.streets.blocks,
        "sensors": city.sensors,
        "from_ms": script.from_ms,
        "to_ms": script.to_ms,
        "observations": observations,
        "numpy": np.__version__,
    }
    (folder / ABOUT).write_text(json.dumps(about, indent=1) + "\n", encoding="utf-8")
    return observations


def read_frames(path: Path, contract: FrameContract) -> Iterator[Frame]:
    """The frames of a file, in their order. ValueError where it is torn or of another kind."""
    data = path.read_bytes()
    place = 0
    while place < len(data):
        length, shift = 0, 0
        while True:
            if place >= len(data):
                raise ValueError(f"{path.name}: the file ends within a length")
            byte = data[place]
            length |= (byte & 0x7F) << shift
            place, shift = place + 1, shift + 7
            if byte < 0x80:
                break
        if place + length > len(data):
            raise ValueError(f"{path.name}: the file ends within a frame")
        frame = decode_frame(contract, data[place : place + length])
        if isinstance(frame, Malformed):
            raise ValueError(f"{path.name}: {frame.field}: {frame.reason}")
        yield frame
        place += length


def _varint(number: int) -> bytes:
    """As protobuf writes lengths."""
    out = bytearray()
    while number > 0x7F:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    out.append(number)
    return bytes(out)
