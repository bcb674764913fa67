"""Recordings of packets of HJ 212, as a gateway received them, a format for each kind of data that they tell."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from zoneinfo import ZoneInfo

from services.feeds.hj212 import CHINA, HOURS, MINUTES, REAL_TIME, SOURCES, Data, Rows, Told
from services.feeds.hj212_packets import PacketFault, read_packets
from services.feeds.recordings.documents import Document, each_file
from services.feeds.recordings.opening import Item
from services.feeds.recordings.stream import Format, Wanted

_ABOUT = "HJ 212 packets of stations, {what}; China's clock, or --zone"
# What --zone says when nobody says anything; no station of this standard lives by it.
_UNTOLD_ZONE = "UTC"
_DATA = (
    ("hj212", REAL_TIME, "data in real time (CN=2011)"),
    ("hj212-minute", MINUTES, "means of 10 minutes (CN=2051)"),
    ("hj212-hour", HOURS, "means of hours (CN=2061)"),
)
_FORMAT_OF = {f"CN={data.command}": f" (--format {name})" for name, data, _ in _DATA}


def read_hj212(data: Data, item: Item, wanted: Wanted) -> Iterator[Document]:
    """What stations told in one kind of data; the lines are the packets, broken ones and others among them."""
    zone = CHINA if wanted.zone == _UNTOLD_ZONE else ZoneInfo(wanted.zone)
    rows = Rows(wanted.kind_name, data, zone)
    passed = 0

    def pass_over(count: int) -> None:
        nonlocal passed
        passed += count

    with item.open() as file:
        for packet in read_packets(file, wanted.tell, pass_over):
            if isinstance(packet, PacketFault):
                yield _document(packet)
            else:
                yield from map(_document, rows.of(packet))
    yield from map(_document, rows.end())
    unread = [f"{name} × {count:,}{_FORMAT_OF.get(name, '')}" for name, count in rows.unread.most_common()]
    unread += [f"{passed:,} bytes between packets"] if passed else []
    if unread:
        wanted.note(f"{item.name}: not read as {wanted.kind_name}: {', '.join(unread)}")


def _document(told: Told | PacketFault) -> Document:
    if isinstance(told, PacketFault):
        return Document(told.number, None, told.reason, told.value, told.field)
    return Document(told.number, told.row)


FORMATS = {
    # Stations send again what was not acknowledged.
    name: Format(
        _ABOUT.format(what=what),
        each_file(partial(read_hj212, data), sorted_by_time=False, variant=data.command),
        tuple(SOURCES),
    )
    for name, data, what in _DATA
}
