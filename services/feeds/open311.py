"""Open311 GeoReport v2 as rows of community.service_request: `python -m services.feeds.open311 FILE --city C`.

FILE is what a server answers to GET requests, as XML or JSON ('-': standard input); out come JSON lines, for

    python -m services.feeds.open311 requests.xml --city testville | urban send community.service_request -

A request tells when it was opened and, once it is closed, when that was (wiki.open311.org/GeoReport_v2: dates carry an
offset; `updated_datetime` of a closed request is when it was closed). It does not tell when it was taken up, nor
whether anybody is satisfied. Texts, addresses and pictures are left where they are. `--since` and `--until` take only
what happened between them, so that polls that follow each other tell everything once. What `urban open311 export` wrote
of a request is that request.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import orjson

from services.community.open311_export import ID_PREFIX
from services.core.geometry import cell_of
from services.core.pseudonym import numbers_of

# About 0.7 km²: large enough that a burst is seen in one cell, small enough to go and look.
AREA_RESOLUTION = 8
NO_AREA = "unknown"
_NOT_IN_CATEGORY = re.compile(r"[^A-Za-z0-9._~-]+")
_LONGEST_CATEGORY = 100
_EXPORTED = re.compile(rf"{ID_PREFIX}[0-9a-f]{{26}}")
_WANTED = ("service_request_id", "service_code", "status", "requested_datetime", "updated_datetime", "lat", "long")


@dataclass(frozen=True)
class Request:
    """What is taken of a service request."""

    request_id: str
    category: str
    opened: datetime
    closed: datetime | None
    place: tuple[float, float] | None  # degrees north and east


class RequestFault(ValueError):
    """A service request that cannot be taken, and why."""

    def __init__(self, place: int, reason: str) -> None:
        super().__init__(f"request {place}: {reason}")
        self.reason = reason


class _NoDoctype(ElementTree.TreeBuilder):
    """No answer of GeoReport has a document type; what has one may define entities without end."""

    def doctype(self, name: str, pubid: str | None, system: str | None) -> None:
        raise ValueError("a document type is not taken")


def read_answer(answer: bytes) -> Iterator[Request | RequestFault]:
    """The requests of one answer in their order, with a fault in the place of each that cannot be taken.

    ValueError: it is neither XML nor JSON of GeoReport v2, or a list of errors.
    """
    document = answer.lstrip(b"\xef\xbb\xbf \t\r\n")
    for place, fields in enumerate(_from_xml(document) if document.startswith(b"<") else _from_json(document), start=1):
        try:
            yield _request(fields)
        except ValueError as error:
            yield RequestFault(place, str(error))


def rows_of(
    request: Request, city: str, since: datetime | None = None, until: datetime | None = None
) -> list[dict[str, Any]]:
    """Observations of community.service_request, in their proto JSON form: opened, and resolved where it is."""
    high, low = numbers_of([_digest(request.request_id, city)])
    area = NO_AREA if request.place is None else f"{cell_of(*request.place, AREA_RESOLUTION):x}"
    about = {
        "city": city,
        "entity_id": f"{request.category}:{area}",
        "request_a": int(high[0]),
        "request_b": int(low[0]),
    }
    place = {} if request.place is None else {"latitude": request.place[0], "longitude": request.place[1]}
    told: list[tuple[datetime, dict[str, Any]]] = [(request.opened, {"opened": 1, **place})]
    if request.closed is not None:
        told.append((request.closed, {"resolved_after_s": (request.closed - request.opened).total_seconds()}))
    return [
        {**about, "time": time.astimezone(UTC).isoformat().replace("+00:00", "Z"), **columns}
        for time, columns in told
        if (since is None or since <= time) and (until is None or time < until)
    ]


def _digest(request_id: str, city: str) -> str:
    """What a request is known by here; of one that was exported from here the bits that its id tells."""
    if _EXPORTED.fullmatch(request_id):
        return request_id.removeprefix(ID_PREFIX).ljust(64, "f")
    return hashlib.sha256(f"{city}\x1f{request_id}".encode()).hexdigest()


def _from_xml(document: bytes) -> list[Mapping[str, Any]]:
    try:
        root = ElementTree.fromstring(document, ElementTree.XMLParser(target=_NoDoctype()))
    except ElementTree.ParseError as error:
        raise ValueError(f"no XML: {error}") from None
    if root.tag != "service_requests":
        what = "; ".join(text.strip() for text in root.itertext() if text.strip())
        raise ValueError(f"<{root.tag}> is no answer with service requests: {what[:200]}")
    return [{name: found.findtext(name) for name in _WANTED} for found in root.findall("request")]


def _from_json(document: bytes) -> list[Mapping[str, Any]]:
    found = orjson.loads(document)
    if not isinstance(found, list) or any(not isinstance(one, dict) for one in found):
        raise ValueError("no list of objects")
    if found and all("code" in one and "description" in one and "service_code" not in one for one in found):
        raise ValueError("errors instead of service requests: " + "; ".join(str(one["description"]) for one in found))
    return found


def _request(fields: Mapping[str, Any]) -> Request:
    opened, status = _time(fields, "requested_datetime"), _text(fields, "status")
    if status not in ("open", "closed"):
        raise ValueError(f"status = {status!r} must be open or closed")
    closed = _time(fields, "updated_datetime") if status == "closed" else None
    if closed is not None and closed < opened:
        raise ValueError(f"closed at {closed.isoformat()}, before it was opened at {opened.isoformat()}")
    category = _NOT_IN_CATEGORY.sub("-", _text(fields, "service_code"))[:_LONGEST_CATEGORY]
    return Request(_text(fields, "service_request_id"), category, opened, closed, _place(fields))


def _text(fields: Mapping[str, Any], name: str) -> str:
    text = str(fields.get(name) or "").strip()
    if not text:
        raise ValueError(f"{name} is missing")
    return text


def _time(fields: Mapping[str, Any], name: str) -> datetime:
    text = _text(fields, name)
    try:
        time = datetime.fromisoformat(text)
    except ValueError:
        raise ValueError(f"{name} = {text!r} is no time") from None
    if time.tzinfo is None:
        raise ValueError(f"{name} = {text!r} has no offset from UTC")
    return time


def _place(fields: Mapping[str, Any]) -> tuple[float, float] | None:
    """None where there is none; a request may have an address only."""
    lat, long = fields.get("lat"), fields.get("long")
    if lat in (None, "") or long in (None, ""):
        return None
    try:
        place = float(str(lat)), float(str(long))
        cell_of(*place, AREA_RESOLUTION)
    except ValueError:
        raise ValueError(f"lat = {lat!r}, long = {long!r} is no place") from None
    return place


def main(arguments: Sequence[str] | None = None) -> int:
    """Exit status: 1 where a request could not be taken; each is named on standard error."""
    parser = argparse.ArgumentParser(prog="python -m services.feeds.open311", description=__doc__.splitlines()[0])
    parser.add_argument("file", help="answer to GET requests; '-' for standard input")
    parser.add_argument("--city", required=True)
    parser.add_argument("--since", type=_moment, help="take what happened from this time on, with an offset")
    parser.add_argument("--until", type=_moment, help="take what happened before this time")
    told = parser.parse_args(arguments)
    answer = sys.stdin.buffer.read() if told.file == "-" else Path(told.file).read_bytes()
    faults = 0
    try:
        for request in read_answer(answer):
            if isinstance(request, RequestFault):
                faults += 1
                print(request, file=sys.stderr)
                continue
            for row in rows_of(request, told.city, told.since, told.until):
                print(json.dumps(row))
    except ValueError as error:
        print(f"{told.file}: {error}", file=sys.stderr)
        return 1
    return 1 if faults else 0


def _moment(text: str) -> datetime:
    return _time({"time": text}, "time")


if __name__ == "__main__":
    sys.exit(main())
