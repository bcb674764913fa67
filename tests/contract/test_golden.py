"""Messages of every version that was deployed are read by this one, and what a later version adds is passed over."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from services.correlation import checkpoint as correlation_checkpoint
from services.runtime.catalogue import catalogue, observations
from services.runtime.catalogue import checkpoints as checkpoint_topic
from services.runtime.checkpoints import UnknownLayoutError
from services.runtime.migrations import schemas
from tests.contract.domains import DOMAINS
from tests.contract.golden.files import add, current, read, versions
from tests.contract.golden.reading import Kept, holds
from tests.contract.golden.samples import grown, samples
from urban.common.v1.checkpoint_pb2 import Checkpoint

ALL = [(path.stem, kept, means) for path in versions() for kept, means in read(path)]
IDS = [f"{version} {kept.topic} {kept.name}" for version, kept, _ in ALL]
KEEP = "python -m tests.contract.golden"
# Where checkpoints of an older layout are read as well.
NEWEST_LAYOUTS = {
    checkpoint_topic(correlation_checkpoint.DOMAIN, correlation_checkpoint.KIND): correlation_checkpoint.LAYOUT
}


@pytest.mark.parametrize(("version", "kept", "means"), ALL, ids=IDS)
def test_what_a_version_wrote_means_today_what_it_meant_then(version: str, kept: Kept, means: Any):
    assert holds(kept.meaning(), means), f"{version}: {kept.topic}, {kept.name}: {kept.meaning()} instead of {means}"


@pytest.mark.parametrize(
    ("kept", "means"),
    [
        (kept, means)
        for _, kept, means in ALL
        # Rows and JSON have no fields of protobuf, and a letter holds a record of others, untouched.
        if kept.reader.partition(":")[0] not in ("rows", "letter") and kept.name != "JSON rows"
    ],
    ids=lambda told: f"{told.topic} {told.name}" if isinstance(told, Kept) else "",
)
def test_a_field_that_a_later_version_adds_is_passed_over(kept: Kept, means: Any):
    assert grown(kept).value != kept.value
    assert holds(grown(kept).meaning(), means)


@pytest.mark.parametrize("kept", [kept for _, kept, _ in ALL if kept.name == "JSON rows"], ids=lambda kept: kept.topic)
def test_a_name_that_json_rows_of_a_later_version_have_is_told_and_not_guessed(kept: Kept):
    later = kept.value.replace(b'{"entity_id"', b'{"of_a_later_version": 1, "entity_id"')
    assert later != kept.value
    with pytest.raises(ValueError, match="of_a_later_version"):
        Kept(kept.name, kept.topic, kept.reader, later, kept.headers).meaning()


def test_a_checkpoint_of_a_layout_that_this_version_does_not_know_is_refused_by_name():
    checkpoints = [kept for _, kept, _ in ALL if kept.name == "checkpoint"]
    assert len(checkpoints) >= sum(len(domain.kinds) for domain in DOMAINS) + 3
    for kept in checkpoints:
        later = Checkpoint.FromString(kept.value)
        later.layout = max(later.layout, NEWEST_LAYOUTS.get(kept.topic, 0)) + 1
        with pytest.raises(UnknownLayoutError, match=f"layout {later.layout}"):
            Kept(kept.name, kept.topic, kept.reader, later.SerializeToString()).meaning()


def test_every_topic_has_a_message_of_this_version():
    assert current() in versions(), f"no messages of {current().stem} are kept: {KEEP}"
    kept = {one.topic for one, _ in read(current())}
    # A domain that came since is kept with the next version.
    released = [d for d in DOMAINS if any(observations(d.name, kind.name) in kept for kind in d.kinds)]
    assert len(released) >= 4
    missing = [topic.name for topic in catalogue(released) if topic.name not in kept]
    assert missing == [], f"kept by: {KEEP}"


def test_columns_of_kept_rows_are_those_of_tables_that_are_still_there():
    for _, kept, means in ALL:
        if kept.reader != "rows":
            continue
        database, _, table = kept.topic.partition(".")
        text = "\n".join(path.read_text() for path in sorted(schemas()[database].glob("*.up.sql")))
        assert f" {table}\n" in text
        gone = [name for name in means["types"] if f"{name} " not in text]
        assert gone == [], f"{kept.topic}: a later schema may not take a column away that a version still writes"


def test_what_is_kept_is_never_written_anew(tmp_path: Path):
    path = tmp_path / "0.0.1.json"
    first = next(samples())
    assert add(path, [first]) == [f"{first.topic}: {first.name}"]
    before = path.read_text()
    other = Kept(first.name, first.topic, "message:urban.common.v1.Entity", b"")
    assert add(path, [other]) == []
    assert path.read_text() == before


@pytest.mark.parametrize(
    ("today", "then", "expected"),
    [
        ({"a": 1, "b": [{"c": 2, "new": 3}]}, {"a": 1, "b": [{"c": 2}]}, True),
        ({"a": 1}, {"a": 1, "gone": 2}, False),
        ({"a": [1, 2]}, {"a": [1]}, False),
        ({"a": 2}, {"a": 1}, False),
        ([], {"a": 1}, False),
    ],
)
def test_more_may_be_understood_but_nothing_else(today: Any, then: Any, expected: bool):
    assert holds(today, then) is expected
