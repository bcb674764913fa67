"""`urban undelivered`: notifications that their receivers have not taken, why, and how they are sent again."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from services.cli.addresses import NothingRunsError, find_addresses
from services.cli.output import JsonOption, RootOption, fail, table

app = typer.Typer(help="Notifications that their receivers have not taken, and how they are sent again.")

ReceiverOption = Annotated[str, typer.Option("--receiver", help="Only those of this receiver.")]
WRITE_SECONDS = 15.0


@app.command("list")
def list_undelivered(receiver: ReceiverOption = "", as_json: JsonOption = False, root: RootOption = None) -> None:
    """List what was not delivered, the oldest first: the topic keeps it for 30 days."""
    found = [_document(record) for record in _read(root, receiver)]
    if as_json:
        print(json.dumps(found, indent=1))
        return
    rows = [(n["id"], n["time"], n["receiver"], n["reason"], n["error"], n["text"]) for n in found]
    heads = ("id", "time (UTC)", "receiver", "reason", "error", "what")
    print(table(heads, rows) if rows else "everything was delivered")


@app.command()
def replay(
    ids: Annotated[list[str] | None, typer.Argument(metavar="[ID]...", help="Ids, as the list gives them.")] = None,
    receiver: ReceiverOption = "",
    everything: Annotated[bool, typer.Option("--all", help="All that the topic holds.")] = False,
    root: RootOption = None,
) -> None:
    """Send notifications again, under their own ids: a receiver that has one drops it."""
    if not ids and not receiver and not everything:
        fail("name ids, a --receiver, or --all")
    wanted = {_notification(r).id: r for r in _read(root, receiver) if not ids or _notification(r).id in ids}
    if missing := sorted(set(ids or ()) - wanted.keys()):
        fail(f"not among what was not delivered: {', '.join(missing)}")
    asyncio.run(write(_kafka(root), list(wanted.values())))
    print(f"{len(wanted)} sent again")


def _kafka(root: Path | None) -> str:
    try:
        return find_addresses(root).kafka
    except NothingRunsError as error:
        fail(str(error))


def _read(root: Path | None, receiver: str) -> list[Any]:
    records = asyncio.run(read_topic(_kafka(root)))
    return [r for r in records if not receiver or _notification(r).receiver == receiver]


async def read_topic(kafka: str) -> list[Any]:
    """The records of what was not delivered, the last one of each notification."""
    from services.cli.log_view import LogView
    from services.runtime.catalogue import UNDELIVERED

    async with LogView(kafka) as log:
        held = await log.held(UNDELIVERED, 0)
        found: dict[str, Any] = {}
        async for record in log.read(UNDELIVERED, 0, held.begin, held.end):
            found.pop(id_ := _notification(record).id, None)
            found[id_] = record
        return list(found.values())


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


def _document(record: Any) -> dict[str, str]:
    from services.cli.explain import enum_name, moment

    found = _notification(record)
    return {
        "id": found.id,
        "time": moment(found.time),
        "receiver": found.receiver,
        "reason": f"{enum_name(found, 'reason')} {found.clock}".strip(),
        "error": dict(record.headers).get("urban_error", b"").decode(errors="replace"),
        "incident_id": found.incident_id,
        "text": found.text,
    }
