"""What was refused gets in once its cause is gone: `urban dlq` against a processor that runs."""

from __future__ import annotations

from typing import Any

from services.cli.replayer import TAIL_RECORDS
from services.runtime import catalogue
from services.runtime.codec import encode_frame
from services.traffic.domain import ROAD_FLOW
from tests.integration.processor.city import (
    CONTRACT,
    MINUTE_MS,
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
from tests.integration.processor.command import Answer, urban
from tests.integration.processor.test_ledger import until_compared

MINUTES = 20
TOPIC = catalogue.observations("traffic", "road_flow")
AHEAD_MS = START_MS + 40 * MINUTE_MS
NOW_MS = START_MS + MINUTES * MINUTE_MS
LATER_MS = AHEAD_MS + MINUTE_MS
END_MS = START_MS + 60 * MINUTE_MS
GOOD = Flow("bridge-1", NOW_MS - MINUTE_MS, 100.0, 40.0)
AHEAD = Flow("bridge-1", AHEAD_MS, 200.0, 50.0)
BAD = GOOD._replace(speed_kmh=-1.0)
PARTITION = frames_by_minute([GOOD])[0][0]


async def begin(city: City) -> list[Flow]:
    """A city with a processor, an archiver, and letters of every sort; the observations that were folded."""
    await city.prepare()
    await city.migrate()
    city.start("processor")
    city.start("archiver")
    rows = flows(MINUTES, segments=10)
    await city.send(frames_by_minute(rows))
    numbered = frame_of([GOOD, AHEAD], sequence=900, clock_ms=NOW_MS)
    mixed = frame_of([AHEAD._replace(entity_id="bridge-1", flow_veh_h=7.0), GOOD, BAD], clock_ms=NOW_MS)
    await city.send_raw(
        [(PARTITION, encode_frame(CONTRACT, f)) for f in (numbered, mixed)] + [(PARTITION, b"\xff\x01")]
    )
    await city.send_raw(
        [(PARTITION, b'[17, {"entity_id": "bridge-1", "time": "2026-06-01T00:00:00Z", "speed_kmh": -4}]')],
        headers=[("content-type", b"application/json"), ("urban_city", b"testville")],
    )
    await city.until_handled()
    return [*rows, GOOD, GOOD]


async def listed(city: City, *options: str) -> list[dict[str, Any]]:
    answer = await urban(city, "dlq", "list", "--json", *options)
    assert answer.status == 0, answer.errors
    found: list[dict[str, Any]] = answer.document
    return sorted(found, key=lambda row: row["offset"])


async def replay(city: City, *arguments: str) -> Answer:
    answer = await urban(city, "dlq", "replay", *arguments)
    await city.until_handled()
    return answer


async def check(city: City, rows: list[Flow], refused: int, duplicate: int = 0) -> None:
    """The windows are those of these observations, and all books balance."""
    await city.close_windows(END_MS + ROAD_FLOW.disorder_ms)
    await city.until_handled()
    same(await city.windows(), plain_windows(rows, END_MS))
    assert await city.ledger() == (len(rows) + duplicate + refused, len(rows), duplicate, 0, refused)
    assert await until_compared(city) == dict.fromkeys(range(PARTITIONS), 0)


async def test_letters_are_listed_by_what_is_asked_for(city: City):
    await begin(city)
    found = await listed(city)
    assert [(row["error_class"], row["observations"], row["replayed_time"]) for row in found] == [
        ("future", 1, None),
        ("invalid", 2, None),
        ("malformed", 1, None),
        ("malformed", 2, None),
    ]
    assert await listed(city, "--class", "future", "--domain", "traffic", "--kind", "road_flow") == found[:1]
    assert await listed(city, "--domain", "security") == await listed(city, "--until", "1h") == []
    assert len(await listed(city, "--since", "1h", "--limit", "3")) == 3
    people = await urban(city, "dlq", "list")
    assert found[0]["id"] in people.output
    assert (await urban(city, "dlq", "list", "--since", "yesterday")).errors.startswith(
        "urban: 'yesterday' is no moment"
    )


async def test_a_letter_is_shown_with_the_reason_of_each_observation(city: City):
    await begin(city)
    numbered, mixed, torn, json_rows = [row["id"] for row in await listed(city)]
    told = (await urban(city, "dlq", "show", mixed, "--json")).document
    assert [(r["index"], r["field"], r["row"]["flow_veh_h"]) for r in told["refused"]] == [
        (0, "time", 7.0),
        (2, "speed_kmh", 100.0),
    ]
    people = await urban(city, "dlq", "show", numbered)
    assert people.status == 0, people.errors
    assert f"observation 1: time = {AHEAD_MS}: ends more than" in people.output
    assert "entity_id=bridge-1 time=2026-06-01T00:40:00.000Z" in people.output
    assert "000000  ff 01" in (await urban(city, "dlq", "show", torn)).output
    rows = (await urban(city, "dlq", "show", json_rows)).output
    assert "header     content-type: application/json" in rows
    assert "unreadable 0: value: 17: must be a JSON object" in rows
    assert "observation 1: speed_kmh = -4.0: must be 0 to" in rows
    unknown = await urban(city, "dlq", "show", f"{TOPIC}/0/99999")
    assert (unknown.status, unknown.output) == (1, "")
    assert "hold no such record" in unknown.errors


async def test_what_was_ahead_of_its_time_gets_in_later_and_once(city: City):
    rows = await begin(city)
    future = (await listed(city, "--class", "future"))[0]["id"]
    early = await replay(city, "--class", "future")
    assert (early.status, "would be refused again" in early.output) == (1, True), early
    await city.close_windows(LATER_MS)
    ends = await city.ends(TOPIC)
    dry = await replay(city, future, "--dry-run")
    assert dry.status == 0, dry
    assert f"{future}: 1 observations would be sent" in dry.output
    assert "1 letters would be sent (1 folded), 0 not" in dry.output
    assert await city.ends(TOPIC) == ends
    assert (await listed(city, "--class", "future"))[0]["replayed_time"] is None

    sent = await replay(city, "--class", "future")
    assert (sent.status, sent.errors) == (0, ""), sent
    assert f"1 observations sent at offset {ends[PARTITION]}" in sent.output
    (row,) = await listed(city, "--class", "future")
    assert (row["replay_offset"], row["replayed_time"] is None) == (ends[PARTITION], False)
    assert await listed(city, "--class", "future", "--open") == []

    second = await replay(city, future)
    assert (second.status, "was sent again" in second.errors) == (0, True), second
    assert (await city.ends(TOPIC))[PARTITION] == ends[PARTITION] + 1
    await check(city, [*rows, AHEAD], refused=6)


async def test_a_replay_that_was_not_marked_is_sent_again_and_folded_once(city: City):
    rows = await begin(city)
    await city.close_windows(LATER_MS)
    assert (await replay(city, "--class", "future")).status == 0
    await city.clickhouse.command("TRUNCATE TABLE traffic.dead_letter_replays")
    seen = await replay(city, "--class", "future")
    assert (seen.status, "not sent: was sent before" in seen.output) == (0, True), seen
    # So many records later the command no longer sees what it has sent; the processor does.
    for _ in range(TAIL_RECORDS):
        await city.close_windows(LATER_MS)
    again = await replay(city, "--class", "future")
    assert (again.status, "sent at offset" in again.output) == (0, True), again
    await check(city, [*rows, AHEAD], refused=6, duplicate=1)


async def test_of_a_record_that_was_refused_in_part_only_the_refused_observations_are_sent(city: City):
    rows = await begin(city)
    await city.close_windows(LATER_MS)
    answer = await replay(city, "--class", "invalid", "--json")
    assert answer.status == 0, answer
    (told,) = answer.document["letters"]
    assert (told["folded"], told["refused"]) == (1, 1)
    assert [(p["index"], p["field"], p["value"]) for p in told["problems"]] == [(2, "speed_kmh", "-1.0")]
    # What is refused again has a place of its own, and can be sent again when the rule has changed.
    again = [row for row in await listed(city, "--class", "invalid", "--open") if row["observations"] == 1]
    assert [row["offset"] for row in again] == [told["offset"]]
    await check(city, [*rows, AHEAD._replace(flow_veh_h=7.0)], refused=7)


async def test_what_nobody_can_read_stays_where_it_is(city: City):
    await begin(city)
    ends = await city.ends(TOPIC)
    answer = await replay(city, "--class", "malformed")
    assert answer.status == 1
    assert "not sent: cannot be read: " in answer.output
    assert "0 letters sent (0 folded), 2 not" in answer.output
    assert await city.ends(TOPIC) == ends
    nothing = await urban(city, "dlq", "replay")
    assert (nothing.status, "say which" in nothing.errors) == (1, True)
