"""DATEX II as a stream of XML: each measurement site, set of measurements or car park as a small tree, one at a time.

Versions 2 and 3 differ in name spaces and in how elements are wrapped, and both come with SOAP around them or not. So
elements are known by their names alone, and only those of DATEX II count.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import IO
from xml.etree import ElementTree
from xml.etree.ElementTree import Element, TreeBuilder, XMLParser

# Name spaces of version 2 (http://datex2.eu/schema/2/2_0) and of the parts of version 3 (…/schema/3/roadTrafficData).
_DATEX = "{http://datex2.eu/schema/"
SITES = frozenset({"measurementSiteRecord", "measurementSite"})  # version 2, 3
MEASUREMENTS = "siteMeasurements"
ROAD = SITES | {MEASUREMENTS}

_CHUNK = 1 << 16
_DEEPEST = 64
# Elements of one site or set of measurements; a Dutch motorway of eight lanes and six classes has some 2,000.
MOST_ELEMENTS = 50_000


class _Pieces:
    """A target of the parser: keeps whole pieces until they are taken, and nothing of what is around them."""

    def __init__(self, wanted: frozenset[str]) -> None:
        self._wanted = wanted
        self.ready: list[Element] = []
        self._builder: TreeBuilder | None = None
        self._depth = 0
        self._inside = 0  # elements of the piece that are open
        self._elements = 0

    def doctype(self, name: str, pubid: str | None, system: str | None) -> None:
        raise ValueError("a document type is not taken")

    def start(self, tag: str, attrs: dict[str, str]) -> None:
        self._depth += 1
        if self._depth > _DEEPEST:
            raise ValueError(f"<{tag}> is nested more than {_DEEPEST} deep")
        name = _name(tag)
        if self._builder is None:
            if name not in self._wanted:
                return
            self._builder, self._elements = TreeBuilder(), 0
        self._elements += 1
        if self._elements > MOST_ELEMENTS:
            raise ValueError(f"one of <{'>, <'.join(sorted(self._wanted))}> has more than {MOST_ELEMENTS} elements")
        self._inside += 1
        self._builder.start(name, {_attribute(key): value for key, value in attrs.items()})

    def data(self, text: str) -> None:
        if self._builder is not None:
            self._builder.data(text)

    def end(self, tag: str) -> None:
        self._depth -= 1
        if self._builder is None:
            return
        self._inside -= 1
        self._builder.end(_name(tag))
        if not self._inside:
            self.ready.append(self._builder.close())
            self._builder = None

    def close(self) -> None:
        """Nothing is left to be done."""


def _name(tag: str) -> str:
    """The name of an element of DATEX II; of another one with its name space, so that it is none of them."""
    return tag.rpartition("}")[2] if tag.startswith(_DATEX) or not tag.startswith("{") else tag


def _attribute(name: str) -> str:
    return name.rpartition("}")[2]


def pieces_of(
    file: IO[bytes], tell: Callable[[int], None] = lambda count: None, wanted: frozenset[str] = ROAD
) -> Iterator[Element]:
    """The outermost elements that are wanted, in their order, with plain names; `tell` hears of bytes read.

    ValueError: it is no XML, has a document type (and so might have entities), or is nested or filled beyond reason.
    """
    target = _Pieces(wanted)
    parser = XMLParser(target=target)
    try:
        while chunk := file.read(_CHUNK):
            tell(len(chunk))
            parser.feed(chunk)
            yield from target.ready
            target.ready.clear()
        parser.close()
    except ElementTree.ParseError as error:
        raise ValueError(f"no XML: {error}") from None
    yield from target.ready
