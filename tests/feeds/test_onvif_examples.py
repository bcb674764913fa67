"""The examples of the ONVIF Analytics specification, where they are at hand: each is read, or refused by its fault."""

from __future__ import annotations

import re
from collections import Counter

import pytest

from services.feeds.onvif_messages import Message, MetadataFault, Scene
from services.feeds.onvif_xml import read_metadata
from tests.feeds.onvif_samples import NAMESPACES
from tests.integration.processor.real_data import need

EXAMPLES = "onvif_examples/analytics_metadata_examples.txt"


def documents() -> list[bytes]:
    """Each example as a document; a fragment is put where it would stand."""
    found = []
    for example in re.split("<!-- =+ -->", need(EXAMPLES).read_text()):
        text = example.strip()
        if not text.startswith("<?xml") and "MetadataStream" not in text:
            text = f"<tt:MetadataStream {NAMESPACES}>{text}</tt:MetadataStream>"
        found.append(text.encode())
    return found


def read(document: bytes) -> list[Message] | str:
    try:
        return list(read_metadata(document))
    except ValueError as error:
        return str(error)


def test_each_example_is_read_or_refused_by_its_fault():
    told = [read(document) for document in documents()]
    assert len(told) == 20
    broken = [one for one in told if isinstance(one, str)]
    messages = [message for one in told if not isinstance(one, str) for message in one]
    # A quotation mark, a bracket and quotes that are missing, and a prefix that is not declared.
    assert len(broken) == 4
    assert all(one.startswith("no XML: ") for one in broken)
    faults = [str(message) for message in messages if isinstance(message, MetadataFault)]
    assert faults == ["UtcTime = '2016-9-10T12:24:57.321' is no time, as 2026-06-01T08:30:00.250Z"] * 2
    whole = [document for document, one in zip(documents(), told, strict=True) if not isinstance(one, str)]
    frames = sum(document.count(b"<tt:Frame ") for document in whole)
    assert Counter(type(message).__name__ for message in messages) == {"Scene": frames - 2, "MetadataFault": 2}


def test_the_person_of_the_last_example_is_counted_and_nothing_else_of_him_is_taken():
    (scene,) = read_metadata(documents()[-1])
    assert isinstance(scene, Scene)
    assert (scene.objects, scene.people, scene.confidence, scene.source) == (1, 1, 0.8, "MyClassifier")
    assert scene.time.isoformat() == "2021-10-05T15:13:27.321000+00:00"


def test_what_was_taken_away_leaves_no_object():
    idle = next(document for document in documents() if b"<tt:Removed/>" in document)
    assert [scene.objects for scene in read(idle) if isinstance(scene, Scene)] == [1, 1, 0, 1, 0]


@pytest.mark.parametrize("name", ["6DZG261", "Volvo", "Backpack", "Code-128"])
def test_plates_brands_bags_and_codes_stay_where_they_are(name: str):
    text = need(EXAMPLES).read_text()
    assert name in text
    assert name not in repr([read(document) for document in documents()])
