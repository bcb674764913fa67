"""`urban undelivered`: notifications that their receivers have not taken, why, and how they are sent again."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, NamedTuple

import typer

from services.cli.addresses import NothingRunsError, find_addresses
from services.cli.output import JsonOption, RootOption, fail, table

app = typer.Typer(help="Notifications that their receivers have not taken, and how they are sent again.")

ReceiverOption = Annotated[str, typer.Option("--receiver", help="Only those of this receiver.")]
AllOption = Annotated[bool, typer.Option("--all", help="Also those that somebody has sent again since.")]
WRITE_SECONDS = 15.0


class PutAside(NamedTuple):
    """A notification that its receiver has not taken."""

    id: str
    receiver: str
    sent_again: bool  # since it was put aside last
    record: Any  # of the topic, the last one of this id


@app.command("list")
def list_undelivered(
    receiver: ReceiverOption = "", everything: AllOption = False, as_json: JsonOption = False, root: RootOption = None
) -> None:
    """List what was not delivered and that nobody has sent again, the oldest first: the topic keeps it for 30 days."""
    found = [_document(put_aside) for put_aside in _read(root, receiver) if everything or not put_aside.sent_again]
    if as_json:
        print(json.dumps(found, indent=1))
        return
    rows = [(n["id"], n["time"], n["receiver"], n["reason"], n["error"], n["text"]) for n in found]
    heads = ("id", "time (UTC)", "receiver", "reason", "error", "what")
    print(table(heads, rows) if rows else "everything was delivered, or sent again")


@app.command()
def replay(
    ids: Annotated[list[str] | None, typer.Argument(metavar="[ID]...", help="Ids, as the list gives them.")] = None,
    receiver: ReceiverOption = "",
    everything: Annotated[bool, typer.Option("--all", help="All that nobody has sent again.")] = False,
    root: RootOption = None,
) -> None:
    """Send notifications again, the oldest first, under their own ids: a receiver that has one drops it.

    They are tried for as long as new ones. One that is not taken then is put aside, and listed, once more. What was
    sent again before is sent once more only where its id is named.
    """
    if not ids and not receiver and not everything:
        fail("name ids, a --receiver, or --all")
    found = {put_aside.id: put_aside for put_aside in _read(root, receiver)}
    if missing := sorted(set(ids or ()) - found.keys()):
        fail(f"not among what was not delivered: {', '.join(missing)}")
    wanted = [p for p in found.values() if (p.id in ids if ids else not p.sent_again)]
    asyncio.run(write(_kafka(root), [put_aside.record for put_aside in wanted]))
    print(f"{len(wanted)} sent again")


def _kafka(root: Path | None) -> str:
    try:
        return find_addresses(root).kafka
    except NothingRunsError as error:
        fail(str(error))


def _read(root: Path | None, receiver: str) -> list[PutAside]:
    found = asyncio.run(read_put_aside(_kafka(root)))
    return [put_aside for put_aside in found if not receiver or put_aside.receiver == receiver]


async def read_put_aside(kafka: str) -> list[PutAside]:
    """What was not delivered, in the order in which it was told. LogError: Kafka does not answer."""
    from services.cli.log_view import LogView
    from services.runtime.catalogue import NOTIFICATIONS, UNDELIVERED

    async with LogView(kafka) as log:
        held = await log.held(UNDELIVERED, 0)
        newest = {_notification(r).id: r async for r in log.read(UNDELIVERED, 0, held.begin, held.end)}
        if not newest:
            return []
        first = await log.offset_at(NOTIFICATIONS, 0, min(record.timestamp_ms for record in newest.values()))
        end = (await log.held(NOTIFICATIONS, 0)).end
        again: set[str] = set()
        async for record in log.read(NOTIFICATIONS, 0, first, end):
            # `replay` writes it there again; where that fails, it is put aside anew.
            id_ = _notification(record).id
            if id_ in newest and newest[id_].timestamp_ms < record.timestamp_ms:
                again.add(id_)
    told = [(_notification(record), record) for record in newest.values()]
    told.sort(key=lambda pair: (pair[0].time.ToMilliseconds(), pair[1].offset))
    return [PutAside(n.id, n.receiver, n.id in again, record) for n, record in told]


async def write(kafka: str, records: Sequence[Any]) -> None:
    """Writes notifications to their topic again, under their own ids."""
    from services.runtime.catalogue import NOTIFICATIONS
    from services.runtime.producer import KafkaWriter, acknowledged

    writer = KafkaWriter(kafka)
    await writer.start()
    try:
        for r in records:
            headers = [(name, value) for name, value in r.headers if not name.startswith("urban_")]
            sent = await writer.send(NOTIFICATIONS, r.value, partition=0, key=r.key, headers=headers)
            await acknowledged(sent, WRITE_SECONDS)
    finally:
        await writer.stop()


def _notification(record: Any) -> Any:
    from urban.correlation.v1.notification_pb2 import Notification

    return Notification.FromString(record.value or b"")


def _document(put_aside: PutAside) -> dict[str, object]:
    from services.cli.explain import enum_name, moment

    record = put_aside.record
    found = _notification(record)
    return {
        "id": found.id,
        "time": moment(found.time),
        "receiver": found.receiver,
        "reason": f"{enum_name(found, 'reason')} {found.clock}".strip(),
        "error": dict(record.headers).get("urban_error", b"").decode(errors="replace"),
        "incident_id": found.incident_id,
        "text": found.text,
        "sent_again": put_aside.sent_again,
    }
