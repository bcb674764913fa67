"""Entities from a file to the log, to ClickHouse and its dictionary; and what becomes of observations of others."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

from deploy.local.process import Child
from services.core.shapes import middle_of_line
from services.runtime import catalogue
from services.runtime.codec import encode_announcement, encode_frame
from services.runtime.entities import EntityRegistry, entity_name
from services.runtime.partitioner import partition_of
from services.traffic.domain import ROAD_FLOW
from tests.integration.processor.city import (
    CONTRACT,
    MINUTE_MS,
    NAME,
    PARTITIONS,
    START_MS,
    City,
    Flow,
    flows,
    frame_of,
    frames_by_minute,
    plain_windows,
    same,
)
from tests.integration.processor.command import Answer, until_ready, urban
from tests.integration.processor.test_ledger import until_compared

MINUTES = 10
END_MS = START_MS + 60 * MINUTE_MS
QUARANTINE = json.dumps({"traffic.road_flow": "quarantine"})
BRIDGE = [[174.76, -36.85], [174.77, -36.85], [174.77, -36.84]]
REFUSE = json.dumps({"traffic.road_flow": "refuse"})


class Place:
    """A city whose api runs, and the command that speaks to it."""

    def __init__(self, city: City, child: Child, port: int) -> None:
        self.city, self.api = city, child
        self._services = {"traffic": f"127.0.0.1:{port}"}

    @classmethod
    async def start(cls, city: City, **environment: str) -> Place:
        # The clock of a replay: heartbeats of the wall clock would close the windows of the day that is told here.
        file = city.folder / f"ready-{len(city.children)}.json"
        child = city.start("api", URBAN_READY_FILE=str(file), URBAN_CLOCK="replay", **environment)
        return cls(city, child, (await until_ready(city, file))["grpc"])

    async def entities(self, *arguments: str) -> Answer:
        return await urban(self.city, "entities", *arguments, "--city", NAME, services=self._services)

    async def send(self, rows: list[dict[str, Any]]) -> Answer:
        file = self.city.folder / "rows.jsonl"
        file.write_text("".join(json.dumps(row) + "\n" for row in rows))
        return await urban(self.city, "send", "traffic.road_flow", str(file), "--city", NAME, services=self._services)


def write_csv(folder: Path, ids: list[str], wrong_id: str = "") -> str:
    lines = ["entity_id,type,name,latitude,longitude,lanes,operator"]
    lines += [
        f"{i},road_segment,Road {i},{-96.85 if i == wrong_id else -36.85},{174 + n / 1e6:.6f},2,City"
        for n, i in enumerate(ids)
    ]
    file = folder / "entities.csv"
    file.write_text("\n".join(lines) + "\n")
    return str(file)


def write_geojson(folder: Path, name: str = "Bridge") -> str:
    line = {"type": "LineString", "coordinates": BRIDGE}
    feature = {"type": "Feature", "id": "bridge-1", "geometry": line, "properties": {"name": name, "lanes": 8}}
    file = folder / "bridges.geojson"
    file.write_text(json.dumps({"type": "FeatureCollection", "features": [feature]}))
    return str(file)


async def count(city: City, sql: str) -> int:
    return int((await city.query(sql))[0][0])


async def test_a_file_is_imported_whole_listed_and_shown(city: City):
    await city.prepare()
    place = await Place.start(city)
    ids = [f"segment-{i}" for i in range(2_500)]
    dry = await place.entities("import", "traffic", write_csv(city.folder, ids), "--dry-run")
    assert (dry.status, dry.output) == (0, "2,500 entities would be imported\n"), dry
    assert await city.ends(catalogue.ENTITIES) == {0: 0}
    done = await place.entities("import", "traffic", write_csv(city.folder, ids))
    assert (done.status, done.output) == (0, "2,500 entities imported\n"), done
    shape = await place.entities("import", "traffic", write_geojson(city.folder), "--type", "bridge")
    assert (shape.status, shape.output) == (0, "1 entities imported\n"), shape

    listed = await place.entities("list", "traffic", "--limit", "3000", "--json")
    assert listed.status == 0, listed
    names = [entity_name(NAME, "traffic", entity_id) for entity_id in sorted([*ids, "bridge-1"])]
    assert [entity["name"] for entity in listed.document] == names
    shown = (await place.entities("show", "traffic", "bridge-1")).output
    assert f"cities/{NAME}/domains/traffic/entities/bridge-1" in shown
    assert "lanes" in shown
    nobody = await place.entities("show", "traffic", "nobody")
    assert (nobody.status, nobody.errors.startswith("urban: NOT_FOUND: ")) == (1, True)


async def test_analysts_need_no_join(city: City):
    await city.prepare()
    place = await Place.start(city)
    city.start("archiver")
    ids = [f"segment-{i}" for i in range(2_500)]
    assert (await place.entities("import", "traffic", write_csv(city.folder, ids))).status == 0
    assert (await place.entities("import", "traffic", write_geojson(city.folder), "--type", "bridge")).status == 0
    name = "dictGet('traffic.entity', 'display_name', ('{}', '{}'))"
    looked_up = f"SELECT {name.format(NAME, 'bridge-1')}, {name.format(NAME, 'segment-2499')}"

    async def stored() -> bool:
        return await city.query(looked_up) == [("Bridge", "Road segment-2499")]

    await city.until(stored, "the dictionary holds what was imported")
    assert await count(city, "SELECT count() FROM traffic.entities FINAL") == 2_501
    bridge = middle_of_line(np.array(BRIDGE))
    found = await city.query(
        f"SELECT dictGet('traffic.entity', ('type', 'latitude', 'longitude', 'numbers'), ('{NAME}', 'bridge-1')),"
        f" {name.format('elsewhere', 'bridge-1')}, isNaN(dictGet('traffic.entity', 'latitude', ('{NAME}', 'nobody')))"
    )
    told = {"type": "bridge", "latitude": bridge.latitude, "longitude": bridge.longitude, "numbers": {"lanes": 8.0}}
    assert found == [(told, "", 1)]
    # Later versions replace what is there, here too.
    again = write_geojson(city.folder, "Harbour Bridge")
    assert (await place.entities("import", "traffic", again, "--type", "bridge")).status == 0

    async def renamed() -> bool:
        return [row[0] for row in await city.query(looked_up)] == ["Harbour Bridge"]

    await city.until(renamed, "the dictionary holds the later version")


async def test_views_tell_of_the_entity_of_each_window(city: City):
    await city.prepare()
    await city.migrate()
    place = await Place.start(city)
    city.start("archiver")
    city.start("processor")
    assert (await place.entities("import", "traffic", write_csv(city.folder, ["segment-0"]))).status == 0
    await city.send(frames_by_minute(flows(MINUTES, segments=2)))
    await city.close_windows(END_MS)
    await city.until_handled()

    async def named() -> bool:
        found = await city.query(
            "SELECT DISTINCT entity_id, entity_type, display_name, latitude, h3_cell != 0"
            " FROM urban.v_road_flow_windows ORDER BY entity_id"
        )
        known, unknown = found
        assert unknown[:3] == ("segment-1", "", "")
        return known == ("segment-0", "road_segment", "Road segment-0", -36.85, 1)

    await city.until(named, "windows are told with the names of their entities")
    raw = "SELECT count() FROM urban.v_road_flow WHERE display_name = 'Road segment-0'"

    async def archived() -> bool:
        return await count(city, raw) == sum(row.entity_id == "segment-0" for row in flows(MINUTES, segments=2))

    await city.until(archived, "observations are told with the names of their entities")


async def test_of_a_file_with_faults_nothing_is_imported_and_each_fault_is_named(city: City):
    await city.prepare()
    place = await Place.start(city)
    file = write_csv(city.folder, ["a", "b", "c d", "a"], wrong_id="b")
    answer = await place.entities("import", "traffic", file)
    assert (answer.status, answer.output) == (1, "")
    told = answer.errors.splitlines()
    assert told[0] == "line 3: position.latitude = -96.85: must be -90 to 90 degrees"
    assert told[1].startswith("line 4: entity_id = c d: must be 1 to 128 of")
    assert told[2:] == [
        "line 5: entity_id = a: was told of in line 2 already",
        "urban: 3 of 4 are wrong: nothing was imported",
    ]
    assert await city.ends(catalogue.ENTITIES) == {0: 0}
    assert "unknown domain 'trafic'" in (await place.entities("import", "trafic", file)).errors


async def test_entities_outlive_every_process_and_old_versions_are_compacted_away(city: City):
    await city.prepare()
    place = await Place.start(city)
    file = write_csv(city.folder, ["a", "b"])
    for _ in range(2):
        assert (await place.entities("import", "traffic", file)).status == 0
    before = (await place.entities("list", "traffic", "--json")).document
    place.api.kill()
    other = await Place.start(city)
    assert (await other.entities("list", "traffic", "--json")).document == before
    registry = EntityRegistry(city.kafka)
    await registry.start()
    await registry.stop()
    assert (len(registry), registry.ids("traffic")) == (2, {NAME: ["a", "b"]})
    topic = next(t for t in catalogue.catalogue([]) if t.name == catalogue.ENTITIES)
    assert topic.compacted
    assert {r.key for r in await city.read(catalogue.ENTITIES)} == {e["name"].encode() for e in before}


async def letters(city: City) -> list[tuple[Any, ...]]:
    return await city.query(
        "SELECT error_class, sum(observations) FROM traffic.dead_letters FINAL GROUP BY error_class ORDER BY ALL"
    )


async def test_what_was_quarantined_gets_in_when_its_entity_is_known(city: City):
    """And the books add up at every moment: 0 observations unaccounted for, none missing in the archive."""
    await city.prepare()
    await city.migrate()
    place = await Place.start(city, URBAN_UNKNOWN_ENTITIES=QUARANTINE)
    city.start("processor", URBAN_UNKNOWN_ENTITIES=QUARANTINE)
    city.start("archiver", URBAN_UNKNOWN_ENTITIES=QUARANTINE)
    known = [f"segment-{i}" for i in range(6)]
    assert (await place.entities("import", "traffic", write_csv(city.folder, known))).status == 0
    rows = flows(MINUTES, segments=10)
    strange = [row for row in rows if row.entity_id not in known]
    assert strange
    await city.send(frames_by_minute(rows))
    await city.until_handled()
    assert await letters(city) == [("unknown", len(strange))]
    assert await city.ledger() == (len(rows), len(rows) - len(strange), 0, 0, len(strange))

    early = await urban(city, "dlq", "replay", "--class", "unknown")
    assert (early.status, "would be refused again: observation 0: entity_id = segment-" in early.output) == (1, True)
    new = sorted({row.entity_id for row in strange})
    assert (await place.entities("import", "traffic", write_csv(city.folder, new))).status == 0
    dry = await urban(city, "dlq", "replay", "--class", "unknown", "--dry-run")
    assert (dry.status, f"({len(strange):,} folded), 0 not" in dry.output) == (0, True), dry
    sent = await urban(city, "dlq", "replay", "--class", "unknown")
    assert (sent.status, f"({len(strange):,} folded), 0 not" in sent.output) == (0, True), sent
    assert (await urban(city, "dlq", "replay", "--class", "unknown", "--again")).status == 0
    await city.close_windows(END_MS + ROAD_FLOW.disorder_ms)
    await city.until_handled()
    same(await city.windows(), plain_windows(rows, END_MS))
    read, folded, duplicate, late, refused = await city.ledger()
    assert (folded, late, refused) == (len(rows), 0, len(strange))
    assert read == folded + duplicate + refused
    assert await until_compared(city) == dict.fromkeys(range(PARTITIONS), 0)


async def test_a_worker_that_takes_over_knows_who_was_known(city: City):
    """The announcements lie before the checkpoint that it goes on from, and are not read again."""
    await city.prepare()
    rows = flows(MINUTES, segments=8)
    known = {row.entity_id for row in rows if partition_of(row.entity_id, 2)}
    for entity_id in sorted(known):
        value = encode_announcement(CONTRACT, NAME, [entity_id])
        await city.send_raw([(partition_of(entity_id, PARTITIONS), value)])
    await city.send_raw([(p, encode_announcement(CONTRACT, "", [])) for p in range(PARTITIONS)])
    frames = frames_by_minute(rows)
    for part in (frames[: len(frames) // 2], frames[len(frames) // 2 :]):
        await city.send(part)
        child = city.start("processor", URBAN_UNKNOWN_ENTITIES=QUARANTINE)
        await city.until_handled()
        child.kill()
    city.start("processor", URBAN_UNKNOWN_ENTITIES=QUARANTINE)
    await city.close_windows(END_MS + ROAD_FLOW.disorder_ms)
    await city.until_handled()
    expected = [row for row in rows if row.entity_id in known]
    same(await city.windows(), plain_windows(expected, END_MS))
    assert await city.ledger() == (len(rows), len(expected), 0, 0, len(rows) - len(expected))
    assert await letters(city) == [("unknown", len(rows) - len(expected))]


async def test_a_refusal_names_line_and_entity_and_what_comes_past_the_api_is_put_aside(city: City):
    await city.prepare()
    place = await Place.start(city, URBAN_UNKNOWN_ENTITIES=REFUSE)
    city.start("processor", URBAN_UNKNOWN_ENTITIES=REFUSE)
    assert (await place.entities("import", "traffic", write_csv(city.folder, ["segment-1"]))).status == 0
    row = {"time": "2026-06-01T00:00:00Z", "period_s": 60, "speed_kmh": 40.0}
    answer = await place.send([{**row, "entity_id": "segment-1"}, {**row, "entity_id": "stranger"}])
    assert (answer.status, answer.output) == (1, "1 accepted, 1 rejected\n"), answer
    assert answer.errors.startswith("line 2: entity_id = stranger: is not known: tell of the entity first")
    # A bridge of somebody else writes to the topic itself.
    frame = frame_of([Flow("stranger", START_MS, 100.0, 40.0)])
    await city.send_raw([(partition_of("stranger", PARTITIONS), encode_frame(CONTRACT, frame))])
    await city.until_handled()
    assert await letters(city) == [("unknown", 1)]
    assert await city.ledger() == (2, 1, 0, 0, 1)
